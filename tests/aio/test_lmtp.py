"""Delivery by LMTP: each recipient has a reply of its own."""

import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import mailwire
from mailwire import (
    AuthenticationFailed,
    ConnectionLost,
    DataRefused,
    Delivery,
    Endpoint,
    LMTPClient,
    MailwireError,
    Password,
    Receipt,
    RecipientsRefused,
    ReplyError,
    SMTPClient,
)
from mailwire.smtp import Reply
from mailwire.testing import (
    FIN,
    MAIL_DATA,
    STALL,
    Account,
    MailServer,
    Policy,
    ScriptedPeer,
    Step,
    client_context,
    server_context,
)
from tests.aio.dialogues import MESSAGE, QUIT

ACCOUNTS = [Account(name, "secret", (f"{name}@example.org",)) for name in "bcd"]
BOTH: dict[str, Any] = {"sender": "a@example.org", "recipients": ["b@example.org", "c@example.org"]}

READY: tuple[Step, ...] = ("S: 220 mx", "C: LHLO [127.0.0.1]", "S: 250-mx", "S: 250 PIPELINING")
GROUP: tuple[Step, ...] = (
    *("C: MAIL FROM:<a@example.org>", "C: RCPT TO:<b@example.org>", "C: RCPT TO:<c@example.org>", "C: DATA"),
    *("S: 250 ok", "S: 250 ok", "S: 250 ok", "S: 354 go", MAIL_DATA),
)


def words(receipt: Receipt | None) -> list[Delivery]:
    assert receipt is not None
    return [entry.delivery for entry in receipt.recipients]


def finals(receipt: Receipt | None) -> list[Reply | None]:
    assert receipt is not None
    return [entry.final_reply for entry in receipt.recipients]


def lmtp(peer: ScriptedPeer, **settings: Any) -> Endpoint:
    return peer.endpoint(protocol="lmtp", **settings)


@pytest.mark.parametrize("way", ["tcp", "unix"])
@pytest.mark.parametrize("extensions", [("CHUNKING", "PIPELINING"), ("PIPELINING",), ()])
async def test_a_mail_is_delivered_to_those_who_can_have_it(
    way: str, extensions: tuple[str, ...], tmp_path: Path
) -> None:
    policy = Policy(extensions=extensions, delivery_replies={"c@example.org": "552 5.2.2 Over quota"})
    path = str(tmp_path / "lmtp")
    async with MailServer(ACCOUNTS, policy=policy, lmtp_path=path) as server:
        endpoint = f"lmtp+unix://{path}" if way == "unix" else f"lmtp://{server.host}:{server.lmtp_port}"
        async with LMTPClient(endpoint) as client:
            receipt = await client.send(
                MESSAGE,
                sender="a@example.org",
                recipients=["b@example.org", "nobody@example.org", "c@example.org", "d@example.org"],
            )
    assert words(receipt) == [Delivery.ACCEPTED, Delivery.REFUSED, Delivery.REFUSED, Delivery.ACCEPTED]
    assert receipt.delivery is Delivery.ACCEPTED
    assert receipt.accepted == ("b@example.org", "d@example.org")
    assert [entry.address for entry in receipt.refused] == ["nobody@example.org", "c@example.org"]
    final = receipt.recipients[2].final_reply
    assert final is not None
    assert final.code == 552
    assert server.messages("b")[0].content == server.messages("d")[0].content == MESSAGE
    assert server.messages("c") == ()


async def test_send_delivers_where_the_endpoint_says_lmtp() -> None:
    async with MailServer(ACCOUNTS) as server:
        receipt = await mailwire.send(MESSAGE, f"lmtp://{server.host}:{server.lmtp_port}", **BOTH)
    assert receipt.accepted == ("b@example.org", "c@example.org")
    assert server.lmtp_sessions[0].commands[-1] == b"QUIT"


async def test_where_nobody_can_have_it_that_is_an_error_and_the_session_goes_on() -> None:
    refusals = {"b@example.org": "450 4.2.1 later", "c@example.org": "552 5.2.2 Over quota"}
    async with (
        MailServer(ACCOUNTS, policy=Policy(delivery_replies=refusals)) as server,
        LMTPClient(f"lmtp://{server.host}:{server.lmtp_port}") as client,
    ):
        with pytest.raises(DataRefused, match="552") as caught:
            await client.send(MESSAGE, **BOTH)
        assert caught.value.delivery is Delivery.REFUSED
        assert [reply and reply.code for reply in finals(caught.value.receipt)] == [450, 552]
        with pytest.raises(RecipientsRefused):
            await client.send(MESSAGE, sender="", recipients="nobody@example.org")
        assert (await client.send(MESSAGE, sender="", recipients="d@example.org")).accepted == ("d@example.org",)


@pytest.mark.parametrize(
    ("replies", "error", "expected"),
    [
        (("S: 250 taken", FIN), ConnectionLost, [Delivery.ACCEPTED, Delivery.UNKNOWN]),
        (("S: 452 full", FIN), ConnectionLost, [Delivery.REFUSED, Delivery.UNKNOWN]),
        ((FIN,), ConnectionLost, [Delivery.UNKNOWN, Delivery.UNKNOWN]),
        (("S: 250 taken", "S: 421 closing", FIN), ReplyError, [Delivery.ACCEPTED, Delivery.UNKNOWN]),
        (("S: 421 closing", FIN), ReplyError, [Delivery.UNKNOWN, Delivery.UNKNOWN]),
    ],
)
async def test_a_server_that_goes_leaves_those_in_doubt_for_whom_it_has_not_answered(
    replies: tuple[Step, ...], error: type[Exception], expected: list[Delivery]
) -> None:
    async with ScriptedPeer(*READY, *GROUP, *replies) as peer:
        with pytest.raises(error) as caught:
            await mailwire.send(MESSAGE, lmtp(peer), **BOTH)
    assert isinstance(caught.value, mailwire.MailwireError)
    assert caught.value.delivery is Delivery.UNKNOWN
    assert words(caught.value.receipt) == expected


@pytest.mark.parametrize(
    ("replies", "code"),
    [
        (("S: 250 taken", "S: 452 full"), 250),
        (("S: 452 full", "S: 250 taken"), 250),
        (("S: 452 full", "S: 552 full"), 552),
        (("S: 250 taken", FIN), None),
        (("S: 250 taken", "S: 421 closing", FIN), 421),
    ],
)
async def test_the_reply_of_a_receipt_means_its_word(replies: tuple[Step, ...], code: int | None) -> None:
    async with ScriptedPeer(*READY, *GROUP, *replies, lenient=True) as peer:
        client = LMTPClient(lmtp(peer))
        await client.connect()
        with suppress(MailwireError):
            await client.send(MESSAGE, **BOTH)
        receipt = client.last_receipt
        client.abort()
    assert receipt is not None
    assert (None if receipt.reply is None else receipt.reply.code) == code


@pytest.mark.parametrize("before", [(), ("S: 250 taken",), ("S: 452 full",)])
async def test_421_among_the_replies_to_the_message_is_no_refusal(before: tuple[Step, ...]) -> None:
    async with ScriptedPeer(*READY, *GROUP, *before, "S: 421 bye", FIN) as peer:
        with pytest.raises(ReplyError) as caught:
            await mailwire.send(MESSAGE, lmtp(peer), **BOTH)
    assert str(caught.value) == "the server may or may not have the message, to which it has said 421 bye"
    assert caught.value.delivery is Delivery.UNKNOWN


async def test_a_recipient_given_twice_has_two_replies() -> None:
    script = (*READY, *GROUP[:2], "C: RCPT TO:<b@example.org>", *GROUP[3:], "S: 250 once", "S: 550 twice", *QUIT)
    async with ScriptedPeer(*script) as peer:
        receipt = await mailwire.send(MESSAGE, lmtp(peer), sender="a@example.org", recipients=["b@example.org"] * 2)
    assert words(receipt) == [Delivery.ACCEPTED, Delivery.REFUSED]
    assert finals(receipt) == [Reply(250, (b"once",)), Reply(550, (b"twice",))]


async def test_there_is_no_other_hello() -> None:
    async with ScriptedPeer("S: 220 mx", "C: LHLO [127.0.0.1]", "S: 500 what", STALL) as peer:
        with pytest.raises(ReplyError, match="LHLO"):
            await LMTPClient(lmtp(peer)).connect()
    async with ScriptedPeer("S: 220 mx", "C: LHLO [127.0.0.1]", FIN) as peer:
        with pytest.raises(ConnectionLost):
            await LMTPClient(lmtp(peer)).connect()


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_lmtp_can_be_had_under_tls_and_with_a_login(tls: Any) -> None:
    async with MailServer(ACCOUNTS, tls_context=server_context(), implicit_tls=tls == "implicit") as server:
        endpoint = Endpoint(
            "localhost",
            server.lmtp_port,
            protocol="lmtp",
            tls=tls,
            tls_context=client_context(),
            auth=Password("b", "secret"),
        )
        await mailwire.send(MESSAGE, endpoint, **BOTH)
        with pytest.raises(AuthenticationFailed):
            await LMTPClient(endpoint.replace(auth=Password("b", "wrong"))).connect()
    assert server.lmtp_sessions[0].user == "b"
    assert len(server.messages("c")) == 1


def test_a_client_is_for_its_own_protocol() -> None:
    with pytest.raises(ValueError, match="expected an endpoint for lmtp, got smtps://localhost:465"):
        LMTPClient("smtps://localhost")
    with pytest.raises(ValueError, match="expected an endpoint for smtp, got lmtp://localhost:24"):
        SMTPClient("lmtp://localhost")


async def test_a_path_where_nobody_listens_is_told(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))
        with pytest.raises(mailwire.ConnectionFailed, match="Connection refused"):
            await LMTPClient(f"lmtp+unix://{path}").connect()


def eager(*recipients: str) -> mailwire.Mailing:
    """A mail in eager chunks to these users of example.org."""
    named = [f"{recipient}@example.org" for recipient in recipients]
    return mailwire.Mailing(MESSAGE, sender="a@example.org", recipients=named, use_chunking="eager")


@pytest.mark.parametrize("kind", ["client", "pool"])
async def test_eager_mails_behind_one_for_nobody_have_their_own_words(kind: str) -> None:
    full = Policy(delivery_replies={"b@example.org": "452 4.2.2 full"})
    mails = [eager("nobody"), eager("b", "c"), eager("nobody", "c", "b"), eager("nobody"), eager("b")]
    async with MailServer(ACCOUNTS, policy=full) as server:
        endpoint = Endpoint(server.host, server.lmtp_port, tls="none", protocol="lmtp")
        async with (
            LMTPClient(endpoint) if kind == "client" else mailwire.SMTPPool(endpoint, max_connections=1) as sender,
            sender.send_all(mails, order="input") as results,
        ):
            told = [words(result.receipt) async for result in results]
    assert told == [
        [Delivery.REFUSED],
        [Delivery.REFUSED, Delivery.ACCEPTED],
        [Delivery.REFUSED, Delivery.ACCEPTED, Delivery.REFUSED],
        [Delivery.REFUSED],
        [Delivery.REFUSED],
    ]
    assert server.messages("b") == ()
    assert len(server.messages("c")) == 2
    (session,) = server.lmtp_sessions
    assert sum(command.startswith(b"BDAT") for command in session.commands) == 3


async def test_an_eager_mail_for_nobody_is_refused_at_once_and_never_sent() -> None:
    async with (
        ScriptedPeer(
            *(*READY[:-1], "S: 250-PIPELINING", "S: 250 CHUNKING"),
            *("C: MAIL FROM:<a@example.org>", "C: RCPT TO:<b@example.org>"),
            *("S: 250 ok", "S: 550 no", "C: RSET", "S: 250 ok", *QUIT),
        ) as peer,
        LMTPClient(lmtp(peer, use_chunking="eager")) as client,
    ):
        with pytest.raises(RecipientsRefused) as caught:
            await client.send(MESSAGE, sender="a@example.org", recipients="b@example.org")
        assert caught.value.delivery is Delivery.REFUSED
