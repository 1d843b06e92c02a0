"""A plain mail that is sent alone: whatever the server says, it comes to the same as a mail that is not plain."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any, Final

import pytest

from mailwire import (
    ConnectionLost,
    DeadlineExceeded,
    Delivery,
    Endpoint,
    InvalidMessage,
    LocalProtocolError,
    Mailing,
    MailOptions,
    MailwireError,
    MessagePolicy,
    NotSupported,
    Receipt,
    RecipientOptions,
    RecipientsRefused,
    SMTPClient,
    SMTPPool,
    Timeouts,
    Transcript,
)
from mailwire.aio import plain_sending
from mailwire.aio.plain_mail import PlainMail
from mailwire.aio.plain_sending import PlainSending, sending_of
from mailwire.message.policy import DEFAULT_POLICY
from mailwire.smtp import Ehlo, Mail, Rset
from mailwire.testing import STALL, WAIT, MailServer, ScriptedPeer, Step
from mailwire.testing.turns import drain_events
from tests.aio.dialogues import MESSAGE, SMTP_ANSWERS, extensions
from tests.aio.memory import fail_once
from tests.aio.pools import ACCOUNTS, endpoint_of
from tests.clock import StandingClock

WAYS = pytest.mark.parametrize("use_chunking", [False, True, "eager"])
PIECES = pytest.mark.parametrize("piece", [0, 1, 7])

ENVELOPE: Final[dict[str, Any]] = {"sender": "a@example.org", "recipients": ["b@example.org", "c@example.org"]}

# What is said to a command, each in the place of what is to be expected; what ends in a FIN is followed by one.
FIN: Final = b"FIN"
WORDS: Final[Mapping[str, bytes]] = {
    "two lines": b"250-a\r\n250 b\r\n",
    "no text": b"250\r\n",
    "a long text": b"250 %b\r\n" % (b"x" * 600),
    "a bare line feed": b"250 a\n",
    "not now": b"451 4.3.0 later\r\n",
    "no": b"550 5.1.1 no\r\n",
    "unknown": b"500 what\r\n",
    "its leave": b"421 bye\r\n" + FIN,
    "its leave behind": b"250 a\r\n421 bye\r\n" + FIN,
    "go on": b"354 go\r\n",
    "another greeting": b"220 mx\r\n",
    "no reply": b"hello\r\n",
    "a reply too many": b"250 a\r\n250 b\r\n",
    "half a reply": b"250 a" + FIN,
    "nothing": FIN,
}


class Server:
    """Answers each command with what `said` has for the number of the command and its name, or else as usual; in pieces
    of so many octets, 0: all at once."""

    def __init__(self, said: Mapping[tuple[str, int], bytes], keywords: Sequence[bytes], piece: int) -> None:
        self.heard = b""
        self._said = said
        self.keywords = keywords
        self._piece = piece
        self._counts: dict[str, int] = {}

    @asynccontextmanager
    async def listening(self, **settings: Any) -> AsyncIterator[Endpoint]:
        """Where it is to be found, while it listens; `settings` are those of the endpoint."""
        async with await asyncio.start_server(self.serve, "127.0.0.1", 0) as server:
            yield Endpoint("127.0.0.1", server.sockets[0].getsockname()[1], tls="none", **settings)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(b"220 mx\r\n")
            while line := await reader.readline():
                self.heard += line
                verb = line.split()[0].decode().upper() if line.split() else ""
                if verb == "BDAT":
                    self.heard += await reader.readexactly(int(line.split()[1]))
                answer = self._answer(verb, SMTP_ANSWERS.get(verb, "250 ok"))
                if verb == "EHLO":
                    answer = b"250-mx\r\n%b250 HELP\r\n" % b"".join(b"250-%b\r\n" % word for word in self.keywords)
                if not await self._say(writer, answer):
                    return
                if verb == "DATA" and answer.startswith(b"354"):
                    data = await reader.readuntil(b"\r\n.\r\n")
                    self.heard += data
                    if not await self._say(writer, self._answer(".", SMTP_ANSWERS["."])):
                        return
                if verb == "QUIT":
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _answer(self, verb: str, usual: str) -> bytes:
        count = self._counts[verb] = self._counts.get(verb, 0) + 1
        return self._said.get((verb, count), usual.encode() + b"\r\n")

    async def _say(self, writer: asyncio.StreamWriter, answer: bytes) -> bool:
        # Return whether the session goes on.
        said = answer.removesuffix(FIN)
        step = self._piece or len(said) or 1
        for start in range(0, len(said), step):
            writer.write(said[start : start + step])
            if self._piece:
                await writer.drain()
                await asyncio.sleep(0)
        return answer == said


@dataclass
class Outcome:
    """What became of two mails, sent one by one."""

    heard: bytes
    known: list[object]
    told: list[str]
    is_connected: bool
    plain: int  # mails that went as plain ones


def facts(receipt: Receipt | None) -> object:
    """All that a receipt says but how long it took."""
    return None if receipt is None else (replace(receipt, timings={}), sorted(receipt.timings))


async def outcome(
    said: Mapping[tuple[str, int], bytes],
    keywords: Sequence[bytes],
    use_chunking: Any,
    piece: int,
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_plain: bool,
) -> Outcome:
    peer = Server(said, keywords, piece)
    known: list[object] = []
    transcript, gone = Transcript(limit=None), 0
    real, real_shortcut = PlainMail.begin, PlainMail.take_shortcut

    def counted(mail: PlainMail, *how: bool) -> None:
        nonlocal gone
        gone += 1
        real(mail, *how)

    def counted_shortcut(mail: PlainMail, *how: bool) -> list[bytes] | None:
        nonlocal gone
        beginning = real_shortcut(mail, *how)
        gone += beginning is not None
        return beginning

    with monkeypatch.context() as patch:
        patch.setattr(PlainMail, "begin", counted)
        patch.setattr(PlainMail, "take_shortcut", counted_shortcut)
        if not is_plain:
            patch.setattr(plain_sending, "form_of", lambda *_: None)
        async with peer.listening(use_chunking=use_chunking) as endpoint:
            client = SMTPClient(endpoint, transcript=transcript)
            await client.connect()
            for _ in range(2):
                try:
                    known.append(facts(await client.send(MESSAGE, **ENVELOPE)))
                except MailwireError as error:
                    known.append((type(error), str(error), error.delivery, facts(error.receipt), error.transcript))
                known.append(facts(client.last_receipt))
            was_connected = client.is_connected
            try:
                known.append(await client.execute(Rset()))
                await client.quit()
            except MailwireError as error:
                known.append((type(error), str(error)))
    told = [line for entry in transcript for line in entry.lines()]
    return Outcome(peer.heard, known, told, was_connected, gone)


async def check_alike(
    said: Mapping[tuple[str, int], bytes],
    keywords: Sequence[bytes],
    use_chunking: Any,
    piece: int,
    monkeypatch: pytest.MonkeyPatch,
) -> Outcome:
    """Check that both come to the same; return what the plain ones came to."""
    plain = await outcome(said, keywords, use_chunking, piece, monkeypatch, is_plain=True)
    other = await outcome(said, keywords, use_chunking, piece, monkeypatch, is_plain=False)
    assert (plain.plain > 0, other.plain) == (True, 0)
    assert plain.heard == other.heard
    assert plain.known == other.known
    assert plain.told == other.told
    assert plain.is_connected is other.is_connected
    return plain


OFFERED: Final = (b"PIPELINING", b"CHUNKING", b"SIZE 1000")
SERVERS = pytest.mark.parametrize("keywords", [OFFERED, OFFERED[1:]], ids=["pipelining", "step by step"])


@WAYS
@PIECES
@SERVERS
async def test_what_is_taken(
    keywords: Sequence[bytes], use_chunking: Any, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = await check_alike({}, keywords, use_chunking, piece, monkeypatch)
    assert taken.plain == 2
    assert taken.is_connected


PLACES: Final[list[Any]] = [
    pytest.param(chunking, place, id=f"{place[0]}-{place[1]}-{chunking}")
    for chunking in (False, True, "eager")
    for place in (("MAIL", 1), ("RCPT", 1), ("RCPT", 2), ("DATA", 1), (".", 1), ("BDAT", 1), ("MAIL", 2))
    if place[0] not in (("BDAT",) if chunking is False else ("DATA", "."))
]


@pytest.mark.parametrize(("use_chunking", "place"), PLACES)
@PIECES
@SERVERS
@pytest.mark.parametrize("name", WORDS)
async def test_what_is_said_in_the_place_of_what_is_to_be_expected(
    name: str,
    keywords: Sequence[bytes],
    place: tuple[str, int],
    use_chunking: Any,
    piece: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await check_alike({place: WORDS[name]}, keywords, use_chunking, piece, monkeypatch)


@SERVERS
async def test_a_verdict_that_comes_with_the_word_to_go_on(
    keywords: Sequence[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    early = await check_alike({("DATA", 1): b"354 go\r\n250 taken\r\n"}, keywords, False, 0, monkeypatch)
    assert not early.is_connected


@WAYS
@SERVERS
@pytest.mark.parametrize("turns", range(12))
async def test_a_mail_that_is_cancelled(
    turns: int, keywords: Sequence[bytes], use_chunking: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    words: list[object] = []
    for is_plain in (True, False):
        peer = Server({}, keywords, 1)
        with monkeypatch.context() as patch:
            if not is_plain:
                patch.setattr(plain_sending, "form_of", lambda *_: None)
            async with peer.listening(use_chunking=use_chunking) as endpoint:
                client = SMTPClient(endpoint)
                await client.connect()
                sending = asyncio.ensure_future(client.send(MESSAGE, **ENVELOPE))
                for _ in range(turns):
                    await asyncio.sleep(0)
                sending.cancel()
                await asyncio.wait([sending])
                receipt = client.last_receipt
                client.abort()
        if receipt is None:
            words.append(None)
            continue
        # Where the turns differ, more or less was heard by then: what is said of it is never more than that.
        assert receipt.delivery in (Delivery.NOT_SENT, Delivery.UNKNOWN, Delivery.ACCEPTED)
        if receipt.delivery is Delivery.NOT_SENT:
            assert MESSAGE not in peer.heard or use_chunking == "eager"
        words.append(len(receipt.recipients))
    assert words[0] == words[1]


@pytest.mark.parametrize("name", ["aio.passage.Passage.set_back", "smtp.parcel.Parcel.as_transaction"])
async def test_where_memory_runs_out_in_its_middle_it_is_known_what_has_left(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = Server({("BDAT", 1): b"250-a\r\n250 b\r\n"}, OFFERED, 0)
    async with peer.listening(use_chunking="eager") as endpoint:
        client = SMTPClient(endpoint)
        await client.connect()
        fail_once(monkeypatch, name, 1)
        with pytest.raises(MemoryError):
            await client.send(MESSAGE, **ENVELOPE)
        assert not client.is_connected
    assert client.last_receipt is not None
    assert (client.last_receipt.delivery, client.last_receipt.octets) == (Delivery.UNKNOWN, len(MESSAGE))


# Which mails are plain


async def heard_of(*mails: Mapping[str, Any], keywords: Sequence[bytes] = OFFERED, **settings: Any) -> bytes:
    """What a server hears that offers `keywords`, where these mails are sent over one connection."""
    peer = Server({}, keywords, 0)
    async with peer.listening(**settings) as endpoint, SMTPClient(endpoint) as client:
        for mail in mails:
            await client.send(**{"message": MESSAGE, **ENVELOPE, **mail})
    return peer.heard


async def test_each_mail_goes_in_chunks_or_not_as_is_wished_for_it() -> None:
    heard = await heard_of({"use_chunking": False}, {}, {"use_chunking": False}, {"use_chunking": True})
    assert [word for word in heard.split() if word in (b"DATA", b"BDAT")] == [b"DATA", b"BDAT", b"DATA", b"BDAT"]


async def test_how_they_go_is_found_out_once() -> None:
    async with Server({}, OFFERED, 0).listening() as endpoint, SMTPClient(endpoint) as client:
        forms = []
        for use_chunking in (None, None, False, False, None):
            await client.send(MESSAGE, **ENVELOPE, use_chunking=use_chunking)
            forms.append(client._talk.form)
    assert [form is before for before, form in pairwise(forms)] == [True, False, True, False]


async def test_each_mail_goes_under_its_own_policy() -> None:
    heard = await heard_of({}, {"policy": MessagePolicy(smtputf8=True)}, {}, keywords=(*OFFERED, b"SMTPUTF8"))
    assert [b"SMTPUTF8" in line for line in heard.split(b"\r\n") if line.startswith(b"MAIL")] == [False, True, False]


async def test_an_address_beyond_ascii_is_announced() -> None:
    heard = await heard_of({}, {"recipients": "d\u00f6rte@example.org"}, keywords=(*OFFERED, b"SMTPUTF8", b"8BITMIME"))
    assert [b"SMTPUTF8" in line for line in heard.split(b"\r\n") if line.startswith(b"MAIL")] == [False, True]


@pytest.mark.parametrize("text", [b"", "d\u00f6rte\r\n".encode(), b"x\r\n" * 100_000], ids=["plain", "8bit", "large"])
async def test_recipients_that_can_be_read_once_are_read_once(text: bytes) -> None:
    message = MESSAGE + text
    recipients = (f"{name}@example.org" for name in "bcd")
    heard = await heard_of({"message": message, "recipients": recipients}, keywords=(b"8BITMIME", b"CHUNKING"))
    assert [line[8:-1] for line in heard.split(b"\r\n") if line.startswith(b"RCPT")] == [
        b"<b@example.org",
        b"<c@example.org",
        b"<d@example.org",
    ]
    assert heard.endswith(message + b"QUIT\r\n")


async def test_what_a_server_offers_anew_counts_from_then_on() -> None:
    peer = Server({}, OFFERED, 0)
    async with peer.listening() as endpoint, SMTPClient(endpoint) as client:
        await client.send(MESSAGE, **ENVELOPE)
        peer.keywords = (b"SIZE 10",)
        await client.execute(Ehlo("c"))
        with pytest.raises(NotSupported, match="takes 10"):
            await client.send(MESSAGE, **ENVELOPE)
        peer.keywords = ()
        await client.execute(Ehlo("c"))
        await client.send(MESSAGE, **ENVELOPE)
    assert [word for word in peer.heard.split() if word in (b"DATA", b"BDAT")] == [b"BDAT", b"DATA"]


async def test_where_a_mail_was_begun_by_hand_none_begins() -> None:
    peer = Server({}, OFFERED, 0)
    async with peer.listening() as endpoint, SMTPClient(endpoint) as client:
        await client.execute(Mail(None))
        with pytest.raises(
            LocalProtocolError, match=r"^no mail transaction can begin now: the connection is in state TRANSACTION"
        ):
            await client.send(MESSAGE, **ENVELOPE)
        await client.execute(Rset())
        assert (await client.send(MESSAGE, **ENVELOPE)).delivery is Delivery.ACCEPTED


@pytest.mark.parametrize("said", [b"250 taken\r\n", b"550 no\r\n"])
async def test_a_plain_mail_is_one_part_whatever_becomes_of_it(said: bytes) -> None:
    peer = Server({("BDAT", 1): said}, OFFERED, 0)
    async with peer.listening() as endpoint, SMTPClient(endpoint) as client:
        sending = sending_of(Mailing(MESSAGE, **ENVELOPE), None, None, DEFAULT_POLICY, None, None, "send", None, None)
        assert isinstance(sending, PlainSending)
        assert not sending.has_begun
        assert await sending.go(client._talk)
        assert sending.has_begun
        if said != b"250 taken\r\n":
            assert sending.as_sending().parts == 1
            assert sending.as_sending().take_over(sending).places == (0, 1)
            assert sending.as_sending().next_batch(client._talk) is None


async def test_octets_of_which_more_is_wished_get_that() -> None:
    peer = Server({("RCPT", 2): b"550 no\r\n"}, (*OFFERED, b"DSN"), 0)
    told: list[tuple[int, int | None]] = []
    async with peer.listening() as endpoint, SMTPClient(endpoint) as client:
        with pytest.raises(RecipientsRefused):
            await client.send(MESSAGE, **ENVELOPE, on_refused="abort")
        await client.send(MESSAGE, **ENVELOPE, progress=lambda written, octets: told.append((written, octets)))
        await client.send(MESSAGE, **ENVELOPE, options=MailOptions(ret="HDRS"))
        await client.send(MESSAGE, **ENVELOPE, recipient_options=RecipientOptions(notify=("success",)))
        policy = MessagePolicy(encode_domain=lambda domain: domain.encode("idna").decode())
        await client.send(MESSAGE, sender="a@example.org", recipients="b@b\u00fccher.example", policy=policy)
    assert told == [(len(MESSAGE), len(MESSAGE))]
    mails = [line for line in peer.heard.split(b"\r\n") if line.startswith(b"MAIL")]
    assert [b"RET=HDRS" in line for line in mails] == [False, False, True, False, False]
    assert peer.heard.count(b"NOTIFY=SUCCESS") == 2
    assert peer.heard.count(b"RCPT TO:<b@xn--bcher-kva.example>") == 1


async def test_nothing_is_made_of_octets_that_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("it is of no use")

    for name in ("maker_of", "Sending"):
        monkeypatch.setattr(f"mailwire.aio.plain_sending.{name}", fail)
    assert b"BDAT" in await heard_of({}, {"use_chunking": True}, {"use_chunking": "eager"})


async def test_what_is_wrong_is_said_of_octets_as_of_any_message() -> None:
    async with Server({}, OFFERED, 0).listening() as endpoint, SMTPClient(endpoint) as client:
        for use_chunking in ("never", 1):
            with pytest.raises(ValueError, match=r"^expected use_chunking to be True, False, "):
                await client.send(MESSAGE, **ENVELOPE, use_chunking=use_chunking)  # type: ignore[arg-type]
        for envelope, words in (
            ({"recipients": "b@example.org"}, "a message given as octets needs a sender and recipients: "),
            ({"sender": "a@example.org"}, "a message given as octets needs a sender and recipients: "),
            ({**ENVELOPE, "recipients": ()}, "the message has no recipient"),
            ({**ENVELOPE, "recipients": ["b@"] * 2000}, "expected an address "),
        ):
            with pytest.raises(InvalidMessage, match=f"^{words}") as caught:
                await client.send(MESSAGE, **envelope)
            assert (caught.value.delivery, caught.value.receipt) == (Delivery.NOT_SENT, None)
            assert client.last_receipt is None
        assert client.is_connected


LONG: Final = b"x" * 2000 + b"\r\n"


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        (b"", "the message is empty: "),
        (b"a\0\r\n", "the message holds a NUL at octet 1, "),
        (LONG, "the message has a line of more than 998 octets, "),
        (b"a\r\n" + b"\xe4" * 2000, "the message has a line of more than 998 octets, "),
        (LONG * 200, "the message has a line of more than 998 octets, "),
    ],
    ids=["empty", "NUL", "long line", "8bit", "large"],
)
@pytest.mark.parametrize(
    "made", [bytes, bytearray, partial(Mailing, **ENVELOPE)], ids=["bytes", "bytearray", "Mailing"]
)
async def test_of_octets_that_no_server_may_be_given_it_is_known_who_does_not_have_them(
    octets: bytes, made: Callable[[bytes], Any], words: str
) -> None:
    message = made(octets)
    envelope: dict[str, Any] = {} if isinstance(message, Mailing) else ENVELOPE
    async with (
        Server({}, OFFERED, 0).listening() as endpoint,
        SMTPClient(endpoint) as client,
        SMTPPool(endpoint) as pool,
    ):
        for sender in (client, pool):
            with pytest.raises(InvalidMessage, match=f"^{words}") as caught:
                await sender.send(message, **envelope)
            assert caught.value.delivery is Delivery.NOT_SENT
            assert [entry.address for entry in caught.value.recipients] == ENVELOPE["recipients"]
        assert client.last_receipt is None
        assert client.is_connected


async def test_an_error_of_another_mail_says_of_this_one_that_it_was_not_sent() -> None:
    lost = ConnectionLost("the other one")
    lost.delivery = Delivery.UNKNOWN

    def recipients() -> Iterator[str]:
        yield "b@example.org"
        raise lost

    async with Server({}, OFFERED, 0).listening() as endpoint, SMTPClient(endpoint) as client:
        with pytest.raises(ConnectionLost) as caught:
            await client.send(MESSAGE, sender="a@example.org", recipients=recipients())
    assert (caught.value.delivery, caught.value.receipt) == (Delivery.NOT_SENT, None)


# Its deadlines


@pytest.mark.parametrize("keywords", [("PIPELINING",), ()], ids=["pipelining", "step by step"])
async def test_a_part_of_a_reply_puts_nothing_off(keywords: Sequence[str]) -> None:
    clock = StandingClock()
    begun: tuple[Step, ...] = ("C: MAIL FROM:<a@example.org>",)
    if keywords:
        begun = (*begun, "C: RCPT TO:<b@example.org>", "C: RCPT TO:<c@example.org>", "C: DATA")
    script: tuple[Step, ...] = (*extensions("HELP", *keywords), *begun, WAIT, b"25", WAIT, b"0", STALL)
    async with ScriptedPeer(*script, lenient=True, guard=None) as peer:
        client = SMTPClient(peer.endpoint(timeouts=Timeouts(command=10)))
        await client.connect()
        sending = asyncio.ensure_future(client.send(MESSAGE, **ENVELOPE))
        for _ in range(2):
            await drain_events()
            clock.jump(6)
            peer.go_on()
        with pytest.raises(DeadlineExceeded) as caught:
            await sending
    assert caught.value.delivery is Delivery.NOT_SENT


@SERVERS
@pytest.mark.parametrize("number", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "name",
    [
        *("aio.plain_mail.PlainMail.end", "aio.plain_mail.PlainMail.write", "aio.stream.Stream.take"),
        *("smtp.parcel.Parcel._go_behind", "smtp.parcel.Parcel.receipt", "smtp.answers.Answers._follow_group"),
    ],
)
async def test_where_memory_runs_out_a_mail_of_which_the_end_has_left_is_never_one_that_was_not_sent(
    name: str, number: int, keywords: Sequence[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = Server({}, keywords, 0)
    async with peer.listening(use_chunking=False) as endpoint:
        client = SMTPClient(endpoint)
        await client.connect()
        calls = fail_once(monkeypatch, name, number)
        try:
            await client.send(MESSAGE, **ENVELOPE)
        except MemoryError:
            assert not client.is_connected
        receipt = client.last_receipt
        client.abort()
    assert receipt is not None
    has_left = MESSAGE + b".\r\n" in peer.heard
    assert (receipt.delivery is Delivery.NOT_SENT) is not has_left
    if len(calls) < number:
        assert receipt.delivery is Delivery.ACCEPTED


@pytest.mark.parametrize("many", [False, True], ids=["alone", "in a run"])
async def test_a_plain_mail_may_take_any_time(many: bool) -> None:
    timeouts = Timeouts(command=None, data=None, verdict=None)
    to: dict[str, Any] = {"sender": "a@example.org", "recipients": "b@example.org"}
    async with MailServer(ACCOUNTS) as server, SMTPClient(endpoint_of(server, timeouts=timeouts)) as client:
        if many:
            results = [result.delivery async for result in client.send_all([MESSAGE] * 3, **to)]
            assert results == [Delivery.ACCEPTED] * 3
        else:
            assert (await client.send(MESSAGE, **to)).delivery is Delivery.ACCEPTED
