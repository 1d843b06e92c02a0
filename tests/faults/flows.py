"""The flows that are led through a fault proxy: what each does, and what must be true of what it says in the end."""

import io
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from mailwire import (
    BulkSending,
    Delivery,
    Endpoint,
    LMTPClient,
    Mailing,
    MailwireError,
    Password,
    PoolSending,
    POP3Client,
    Receipt,
    SendResult,
    SMTPClient,
    SMTPPool,
)
from mailwire.message import MessageSource
from mailwire.testing import Account, MailServer, Policy, client_context
from mailwire.testing.policy import DEFAULTS

__all__ = [
    "BODY",
    "ENVELOPE",
    "FLOWS",
    "OF_THIS_MACHINE",
    "RECIPIENTS",
    "STORED",
    "TOKEN",
    "Flow",
    "Run",
    "client_of",
    "committing",
    "judge",
    "judge_mails",
    "judge_receipt",
    "mail",
    "make_server",
    "retrieving",
    "send_by",
    "send_each",
    "sending",
    "sending_all",
    "sending_by_a_pool",
    "sending_files",
    "take_all",
    "taking_down",
]

BODY: Final = b"".join(b"line %d of it\r\n..\r\n.\r\n" % number for number in range(150))
"""What makes a message long enough to be hit in its middle."""

SENDER: Final = "a@example.org"
RECIPIENTS: Final = ("b@example.org", "c@example.org")
_PASSWORD: Final = "kanarienvogel"
TOKEN: Final = "kanarienvogelfutter"
"""That logs in as well."""

STORED: Final[Mapping[str, bytes]] = {
    f"u{number}": b"Subject: %d\r\n\r\n" % number + BODY[: 1200 * number].rpartition(b"\n")[0] + b"\n"
    for number in range(1, 4)
}
"""What is in the maildrop, by its unique ids."""


@dataclass
class Run:
    """A flow under way, and what it has heard and said so far.

    receipts: what was said of each mail, by its number.
    got: what was retrieved, whole, by unique ids.
    reports: what is known of each message that was to be deleted.
    errors: those by which a mail among others failed.
    doubts: those by which it is unknown whether something was deleted, which is no failure of the call.
    open_file: how a file is opened that is given to the client open.
    first: the number of the first mail.
    is_connected: whether a client was still connected when sending or retrieving had failed.
    """

    endpoint: Endpoint
    receipts: dict[int, Receipt] = field(default_factory=dict)
    errors: list[MailwireError] = field(default_factory=list)
    doubts: list[MailwireError] = field(default_factory=list)
    got: dict[str, bytes] = field(default_factory=dict)
    committed: set[str] = field(default_factory=set)
    remaining: set[str] = field(default_factory=set)
    marked: set[str] = field(default_factory=set)
    open_file: Callable[[Path], io.FileIO] = io.FileIO
    first: int = 0
    is_connected: bool = False

    def take_down(self, number: int, receipt: Receipt | None, error: MailwireError | None = None) -> None:
        """Take down what is said of the mail of this number, None for nothing, and by an `error`, if it failed."""
        if receipt is not None:
            self.receipts[number] = receipt
        if error is not None:
            assert error.delivery is (Delivery.NOT_SENT if receipt is None else receipt.delivery)
            assert receipt is None or error.receipt == receipt


@dataclass(frozen=True)
class Flow:
    """How a flow goes.

    tls, protocol, auth: of the endpoint.
    mails: how many it sends.
    is_local: whether it goes by a Unix socket.
    policy: what the server demands and refuses.
    """

    play: Callable[[Run], Awaitable[None]]
    protocol: str = "smtp"
    tls: str = "none"
    auth: bool = False
    mails: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    is_local: bool = False
    policy: Policy = DEFAULTS

    @property
    def is_encrypted(self) -> bool:
        """Whether what passes cannot be altered unnoticed."""
        return self.tls != "none"

    def endpoint(
        self,
        port: int,
        tls_context: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        unix_path: str | None = None,
    ) -> Endpoint:
        """Return where it goes, at this port or path."""
        settings: dict[str, Any] = {"protocol": self.protocol, "tls": self.tls, **self.settings}
        if unix_path is not None:
            settings["unix_path"] = unix_path
        if self.auth:
            settings |= {"auth": Password("b", _PASSWORD), "allow_cleartext_auth": True}
        if self.is_encrypted:
            settings["tls_context"] = tls_context or client_context()
        return Endpoint(host, port, **settings)

    def port(self, server: MailServer) -> int:
        """Return the port of `server` that it needs."""
        return {"smtp": server.smtp_port, "lmtp": server.lmtp_port, "pop3": server.pop3_port}[self.protocol]


def make_server(
    flow: Flow,
    tls_context: ssl.SSLContext | None,
    *,
    implicit: bool = False,
    lmtp_path: str | None = None,
    knows: bool = True,
) -> MailServer:
    """Return the server for `flow`, not started: accounts, and mail in one of them.

    implicit: it speaks TLS alone.
    knows: whether it knows the recipients and the password.
    """
    accounts = [
        Account("b", _PASSWORD, RECIPIENTS[:1], access_tokens=(TOKEN,)),
        Account("c", _PASSWORD, RECIPIENTS[1:]),
    ]
    if not knows:
        accounts = [Account(user, "another", (f"{user}@example.net",)) for user in ("b", "c")]
    is_implicit = implicit or flow.tls == "implicit"
    server = MailServer(
        accounts, policy=flow.policy, tls_context=tls_context, implicit_tls=is_implicit, lmtp_path=lmtp_path
    )
    if flow.protocol == "pop3":
        for uid, message in STORED.items():
            server.maildrop.put("b", message, uid=uid)
    return server


def mail(number: int) -> bytes:
    return b"Subject: %d\r\n\r\n" % number + BODY


ENVELOPE: Final[dict[str, Any]] = {"sender": SENDER, "recipients": RECIPIENTS}


# The flows


async def sending(run: Run) -> None:
    await send_each(run, (mail(run.first), mail(run.first + 1)))


async def sending_files(run: Run) -> None:
    with TemporaryDirectory() as folder:
        path, other = (Path(folder) / str(number) for number in range(2))
        path.write_bytes(mail(0))
        other.write_bytes(mail(1))
        with run.open_file(other) as opened:
            await send_each(run, (path, opened))


async def send_each(run: Run, messages: Iterable[MessageSource]) -> None:
    async with client_of(run) as client:
        for number, message in enumerate(messages, run.first):
            await send_by(client, number, message, run)


async def send_by(client: SMTPClient, number: int, message: MessageSource, run: Run) -> None:
    """Send the message of this number, and take down the word about it."""
    client.last_receipt = None
    with taking_down(run, number, client):
        try:
            receipt = await client.send(message, **ENVELOPE)
            assert receipt is client.last_receipt
        except BaseException:
            run.is_connected = client.is_connected
            raise


@contextmanager
def taking_down(run: Run, number: int, told: SMTPClient | Mailing) -> Iterator[None]:
    """Take down, once the mail of this number was sent or was not, what its client or the Mailing has `told` of it, and
    the error by which it failed."""
    failure: MailwireError | None = None
    try:
        yield
    except MailwireError as error:
        failure = error
        raise
    finally:
        run.take_down(number, told.last_receipt, failure)


def client_of(run: Run) -> SMTPClient:
    return LMTPClient(run.endpoint) if run.endpoint.protocol == "lmtp" else SMTPClient(run.endpoint)


async def sending_all(run: Run) -> None:
    async with client_of(run) as client:
        await take_all(client.send_all(map(mail, range(5)), **ENVELOPE), run)


async def sending_by_a_pool(run: Run) -> None:
    async with SMTPPool(run.endpoint, max_connections=2) as pool:
        await take_all(pool.send_all(map(mail, range(6)), **ENVELOPE), run)


async def take_all(results: BulkSending | PoolSending, run: Run) -> None:
    try:
        async with results:
            async for result in results:
                _take_down(result, run)
    finally:
        for result in results.remaining:
            _take_down(result, run)


def _take_down(result: SendResult, run: Run) -> None:
    run.take_down(result.index, result.receipt, result.error)
    if result.error is not None:
        run.errors.append(result.error)


async def retrieving(run: Run) -> None:
    async with POP3Client(run.endpoint) as client:
        listing = await client.listing()
        try:
            async for item in client.retrieve(listing):
                if item.error is None:
                    run.got[item.entry.uid or ""] = await item.read()
        except BaseException:
            run.is_connected = client.is_connected
            raise


async def committing(run: Run) -> None:
    client = POP3Client(run.endpoint)
    try:
        async with client:
            listing = await client.listing()
            async for item in client.retrieve(listing):
                if item.error is None:
                    run.got[item.entry.uid or ""] = await item.read()
            run.marked = {*run.got}
            await client.delete([entry for entry in listing if entry.uid in run.got])
            await client.commit()
    finally:
        if (report := client.last_commit) is not None:
            run.committed = {*report.committed_uids}
            run.remaining = {*report.remaining_uids}
            if report.error is not None:
                run.doubts.append(report.error)


FLOWS: Final[Mapping[str, Flow]] = {
    "DATA": Flow(sending, mails=2, settings={"use_chunking": False}),
    "BDAT": Flow(sending, mails=2),
    "eager": Flow(sending, mails=2, settings={"use_chunking": "eager"}),
    "AUTH": Flow(sending, auth=True, mails=2),
    "STARTTLS": Flow(sending, tls="starttls", mails=2, auth=True),
    "implicit TLS": Flow(sending, tls="implicit", mails=2),
    "send_all": Flow(sending_all, mails=5),
    "pool": Flow(sending_by_a_pool, mails=6),
    "LMTP": Flow(sending, protocol="lmtp", mails=2),
    "POP3": Flow(retrieving, protocol="pop3", auth=True),
    "POP3 commit": Flow(committing, protocol="pop3", auth=True),
    "STLS commit": Flow(committing, protocol="pop3", tls="starttls", auth=True),
}

"""What is led through a fault proxy."""

OF_THIS_MACHINE: Final[Mapping[str, Flow]] = {
    "LMTP by a Unix socket": Flow(sending, protocol="lmtp", mails=2, is_local=True),
    "messages from files": Flow(sending_files, mails=2),
}
"""What has to do with more than a connection to somewhere else."""


# What must be true


_MAILBOXES: Final = dict(zip(RECIPIENTS, "bc", strict=True))


def judge(flow: Flow, run: Run, server: MailServer, *, is_intact: bool) -> None:
    """Compare what the client says with what the server has; `is_intact`: nothing was altered on the way."""
    if flow.mails:
        judge_mails(flow.mails, run.receipts, server, is_intact=is_intact)
        return
    for uid, message in run.got.items():
        assert not is_intact or message == STORED.get(uid), f"{uid} is not what was sent"
    there = {message.uid for message in server.messages("b")}
    assert run.committed <= run.marked
    assert not run.committed & there, "what is said to be deleted is there"
    assert run.remaining <= there, "what is said to be there is gone"
    assert {*STORED} - there <= run.marked, "what nobody asked to be deleted is gone"


def judge_mails(mails: int, receipts: Mapping[int, Receipt], server: MailServer, *, is_intact: bool) -> None:
    """Compare what the client says of so many mails, for each recipient, with what the server has of them; `is_intact`
    as for `judge`. Of those without a receipt the client says that they were not sent."""
    for receipt in receipts.values():
        judge_receipt(receipt)
    for place, (address, user) in enumerate(_MAILBOXES.items()):
        found = Counter(message.content.partition(b"\r\n")[0] for message in server.messages(user))
        for number in range(mails):
            count, word = found[b"Subject: %d" % number], Delivery.NOT_SENT
            if number in receipts:
                # An address may be another on the way, and one who was refused then has the mail of one who was not.
                receipt = receipts[number]
                word = receipt.recipients[place].delivery if is_intact else receipt.delivery
            assert count <= 1, f"it was sent twice to {address}"
            if count:
                said = f"mail {number} is there for {address}, and said to be {word}"
                assert word in (Delivery.ACCEPTED, Delivery.UNKNOWN), said
            elif is_intact:
                assert word is not Delivery.ACCEPTED, f"mail {number} is not there for {address}"
    if is_intact:
        whole = {mail(number) for number in range(mails)}
        for message in (*server.messages("b"), *server.messages("c")):
            assert message.content in whole, "half a mail was stored"


def judge_receipt(receipt: Receipt) -> None:
    """Compare what a receipt says of the mail with what it says of each recipient."""
    assert tuple(entry.address for entry in receipt.recipients) == RECIPIENTS
    words = {entry.delivery for entry in receipt.recipients}
    of_all = (Delivery.UNKNOWN, Delivery.ACCEPTED, Delivery.REFUSED, Delivery.NOT_SENT)
    assert receipt.delivery is next(word for word in of_all if word in words), f"the words do not agree: {receipt}"
    for entry in receipt.recipients:
        is_refused_for_now = entry.delivery is Delivery.REFUSED and str(entry.decisive_reply).startswith("4")
        may_be_tried = entry.delivery is Delivery.NOT_SENT or is_refused_for_now
        assert (entry in receipt.retryable) is may_be_tried, f"it may be tried again, or not: {entry}"
