import asyncio
import base64
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest

import mailwire
from mailwire import (
    AuthenticationFailed,
    ConnectionLost,
    DataRefused,
    DeadlineExceeded,
    Delivery,
    Endpoint,
    InjectedData,
    InvalidMessage,
    LimitExceeded,
    LocalProtocolError,
    Mailing,
    MailOptions,
    MailwireError,
    MessagePolicy,
    NotSupported,
    Password,
    ProtocolError,
    Receipt,
    RecipientOptions,
    RecipientsRefused,
    RemoteProtocolError,
    ReplyError,
    SecurityError,
    SenderRefused,
    ServiceNotAvailable,
    SMTPClient,
    SourceFailed,
    Timeouts,
    TLSFailed,
    Transcript,
)
from mailwire.sasl import Plain
from mailwire.smtp import Auth, Command, Data, Ehlo, Mail, Mailbox, Noop, Quit, Rcpt, Reply, Rset, StartTls, Vrfy
from mailwire.testing import (
    CLOSE,
    FIN,
    LISTEN,
    MAIL_DATA,
    NO_READING,
    PACKET,
    RST,
    STALL,
    WAIT,
    WITHHOLD,
    Answers,
    Hear,
    ScriptedPeer,
    Step,
    Tls,
)
from mailwire.testing.turns import drain_events
from tests.aio.dialogues import CREDENTIALS, GREETED, MAILED, MESSAGE, QUIT, READY, SENT, SMTP_ANSWERS, extensions
from tests.clock import Clock, StandingClock
from tests.loops import skip_unless_asyncio

FROM_A, TO_B = "a@example.org", "b@example.org"

ARGUMENTS: dict[str, Any] = {"sender": FROM_A, "recipients": TO_B}
AUTH: dict[str, Any] = {"auth": CREDENTIALS, "allow_cleartext_auth": True}
STARTTLS: tuple[Step, ...] = (*extensions("STARTTLS"), "C: STARTTLS", "S: 220 go")
PLAIN = "AUTH PLAIN " + base64.b64encode(f"\0{CREDENTIALS.user}\0{CREDENTIALS.password}".encode()).decode()
GROUP: tuple[Step, ...] = ("C: MAIL FROM:<a@example.org>", "C: RCPT TO:<b@example.org>", "C: DATA")


def words(receipt: Receipt) -> list[tuple[str, Delivery]]:
    return [(entry.address, entry.delivery) for entry in receipt.recipients]


async def send(peer: ScriptedPeer, message: bytes = MESSAGE, /, **settings: Any) -> Receipt:
    """Send one mail on a connection of its own."""
    async with SMTPClient(peer.endpoint(**settings)) as client:
        return await client.send(message, **ARGUMENTS)


async def connect(peer: ScriptedPeer, **settings: Any) -> SMTPClient:
    client = SMTPClient(peer.endpoint(**settings))
    await client.connect()
    return client


# Sending


def test_before_the_first_mail_there_is_no_receipt() -> None:
    assert SMTPClient("smtp://localhost").last_receipt is None


async def test_a_mail_is_sent_one_command_at_a_time_without_pipelining() -> None:
    async with ScriptedPeer(*READY, *SENT, *QUIT) as peer:
        receipt = await send(peer)
    assert receipt.delivery is Delivery.ACCEPTED
    assert receipt.accepted == (TO_B,)
    assert receipt.sender == FROM_A
    assert receipt.reply == Reply(250, (b"taken",))
    assert receipt.octets == len(MESSAGE)
    assert peer.heard.endswith(b"DATA\r\n" + MESSAGE + b".\r\nQUIT\r\n")


async def test_a_mail_is_sent_in_one_group_with_pipelining() -> None:
    async with ScriptedPeer(
        *extensions("PIPELINING"), *GROUP, "S: 250 ok", "S: 250 ok", "S: 354 go", MAIL_DATA, "S: 250 taken", *QUIT
    ) as peer:
        receipt = await send(peer)
    assert receipt.delivery is Delivery.ACCEPTED


async def test_pipelining_can_be_switched_off() -> None:
    async with ScriptedPeer(*extensions("PIPELINING"), *SENT, *QUIT) as peer:
        receipt = await send(peer, pipelining=False)
    assert receipt.delivery is Delivery.ACCEPTED


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("keyword", ["PIPELINING", "SIZE"])
async def test_the_packets_in_which_replies_come_do_not_matter(keyword: str, size: int) -> None:
    table = {**SMTP_ANSWERS, "EHLO": f"250-mx\n250 {keyword}"}
    async with ScriptedPeer("S: 220 mx", Answers(table), packet_size=size) as peer:
        receipt = await send(peer)
    assert receipt.delivery is Delivery.ACCEPTED


async def test_a_server_that_ends_its_lines_in_lf_alone_is_understood() -> None:
    async with ScriptedPeer(
        *(b"220 mx\n", "C: EHLO [127.0.0.1]", b"250-mx\n250 SIZE\n", "C: MAIL FROM:<a@example.org> SIZE=21"),
        *(b"250 ok\n", "C: RCPT TO:<b@example.org>", b"250\n", "C: DATA", b"354 go\n", MAIL_DATA),
        *(b"250 taken\n", "C: QUIT", b"221 bye\n"),
    ) as peer:
        receipt = await send(peer)
    assert receipt.delivery is Delivery.ACCEPTED


async def test_several_mails_are_sent_on_one_connection() -> None:
    transcript = Transcript()
    async with (
        ScriptedPeer(*READY, *SENT, *SENT, *QUIT) as peer,
        SMTPClient(peer.endpoint(), transcript=transcript) as client,
    ):
        first = await client.send(MESSAGE, **ARGUMENTS)
        assert client.last_receipt is first
        second = await client.send(MESSAGE, **ARGUMENTS)
        assert client.last_receipt is second
    assert first == second
    assert list(first.timings) == ["connection", "envelope", "message", "verdict"]
    assert list(second.timings) == ["envelope", "message", "verdict"]
    assert [line for line in transcript.tail(100) if line.startswith("C: ")] == [
        "C: EHLO [127.0.0.1]",
        *(["C: MAIL FROM:<a@example.org>", "C: RCPT TO:<b@example.org>", "C: DATA", "C: (21 octets)", "C: ."] * 2),
        "C: QUIT",
    ]


async def test_of_a_mail_that_never_began_no_earlier_receipt_is_told() -> None:
    async with ScriptedPeer(*READY, *SENT, *QUIT) as peer, SMTPClient(peer.endpoint()) as client:
        mailing = Mailing(MESSAGE, **ARGUMENTS)
        receipt = await client.send(mailing)
        assert client.last_receipt is mailing.last_receipt is receipt
        with pytest.raises(InvalidMessage):
            await client.send(b"\0", **ARGUMENTS)
        assert client.last_receipt is None
    with pytest.raises(LocalProtocolError):
        await client.send(mailing)
    assert client.last_receipt is mailing.last_receipt is None


@pytest.mark.parametrize("is_one_call", [False, True])
async def test_a_mailing_knows_what_became_of_it_when_its_task_was_cancelled(is_one_call: bool) -> None:
    async with ScriptedPeer(*READY, *MAILED, STALL) as peer:
        mailing = Mailing(MESSAGE, **ARGUMENTS)

        async def send_it() -> None:
            if is_one_call:
                await mailwire.send(mailing, peer.endpoint())
            else:
                async with SMTPClient(peer.endpoint()) as client:
                    await client.send(mailing)

        sending = asyncio.create_task(send_it())
        await drain_events()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
    assert mailing.last_receipt is not None
    assert mailing.last_receipt.delivery is Delivery.UNKNOWN


async def test_a_clock_that_stands_still_times_every_phase() -> None:
    StandingClock()
    async with ScriptedPeer(*READY, *SENT, *SENT, *QUIT) as peer, SMTPClient(peer.endpoint()) as client:
        first = await client.send(MESSAGE, **ARGUMENTS)
        second = await client.send(MESSAGE, **ARGUMENTS)
    assert first.timings == {"connection": 0.0, "envelope": 0.0, "message": 0.0, "verdict": 0.0}
    assert second.timings == {"envelope": 0.0, "message": 0.0, "verdict": 0.0}


async def test_mails_of_many_tasks_never_mix() -> None:
    table = {**SMTP_ANSWERS, "RCPT TO:<no@example.org>": "550 nobody"}
    async with ScriptedPeer("S: 220 mx", Answers(table)) as peer, SMTPClient(peer.endpoint()) as client:
        outcomes = await asyncio.gather(
            *(
                client.send(b"Subject: %d\r\n\r\nx\r\n" % number, sender=FROM_A, recipients=recipient)
                for number, recipient in enumerate([TO_B, "no@example.org", "c@example.org"] * 3)
            ),
            return_exceptions=True,
        )
    for number, outcome in enumerate(outcomes):
        if number % 3 == 1:
            assert isinstance(outcome, RecipientsRefused)
            assert outcome.receipt is not None
            assert words(outcome.receipt) == [("no@example.org", Delivery.REFUSED)]
        else:
            assert isinstance(outcome, Receipt)
            assert outcome.accepted == ((TO_B, "c@example.org")[number % 3 == 2],)
    subjects = [line for line in peer.commands if line.startswith("Subject")]
    assert subjects == [f"Subject: {number}" for number in range(9) if number % 3 != 1]


async def test_dots_are_stuffed_and_line_ends_mended() -> None:
    async with ScriptedPeer(*READY, *SENT, *QUIT) as peer:
        receipt = await send(peer, b".a\n..\rb\r\n\n.")
    assert peer.heard.endswith(b"DATA\r\n..a\r\n...\r\nb\r\n\r\n..\r\n.\r\nQUIT\r\n")
    assert receipt.octets == len(b"..a\r\n...\r\nb\r\n\r\n..\r\n")


@pytest.mark.parametrize("tls", ["none", "implicit"])
async def test_a_large_mail_is_sent_whole(tls: str) -> None:
    message = b"Subject: x\r\n\r\n" + b"0123456789" * 7 + b"\r\n.\r\n" * 1_000_000
    size = len(message) + 1_000_000 + 3
    opening = (Tls(), *READY) if tls == "implicit" else READY
    async with ScriptedPeer(*opening, *SENT[:-2], Hear(size), "S: 250 taken", *QUIT) as peer:
        receipt = await send(peer, message, tls=tls)
    assert receipt.octets == len(message) + 1_000_000
    assert peer.heard.count(b"\r\n..\r\n") == 1_000_000


async def test_the_null_reverse_path_is_written_as_such() -> None:
    async with (
        ScriptedPeer(*READY, "C: MAIL FROM:<>", "S: 250 ok", *SENT[2:], *QUIT) as peer,
        SMTPClient(peer.endpoint()) as client,
    ):
        receipt = await client.send(MESSAGE, sender="", recipients=[TO_B])
    assert receipt.sender == ""


# Saying hello


async def test_we_say_the_name_that_we_are_given() -> None:
    async with (
        ScriptedPeer("S: 220 mx", "C: EHLO client.example.org", "S: 250 mx", *QUIT) as peer,
        SMTPClient(peer.endpoint(local_hostname="client.example.org")) as client,
    ):
        assert client.extensions == {}


class ElsewhereSocket(socket.socket):
    """A socket that gives itself another address."""

    address: object = None

    def getsockname(self) -> object:
        return self.address


@pytest.mark.parametrize(
    ("address", "literal"),
    [
        (("192.0.2.7", 25), "[192.0.2.7]"),
        (("2001:db8::7", 25, 0, 0), "[IPv6:2001:db8::7]"),
        (("fe80::7%eth0", 25, 0, 2), "[IPv6:fe80::7]"),
        (("here", 25), "[127.0.0.1]"),
        ("/run/mail.sock", "[127.0.0.1]"),
        (None, "[127.0.0.1]"),
    ],
)
async def test_without_a_name_we_say_the_address_of_our_end(address: object, literal: str) -> None:
    skip_unless_asyncio("this loop asks the system for the address, and not the socket")

    async def elsewhere() -> socket.socket:
        end = await peer.connect()
        other = ElsewhereSocket(end.family, end.type, end.proto, fileno=end.detach())
        other.address = address
        return other

    async with (
        ScriptedPeer("S: 220 mx", f"C: EHLO {literal}", "S: 250 mx", *QUIT) as peer,
        SMTPClient(Endpoint("localhost", tls="none", connect=elsewhere)),
    ):
        pass


async def test_what_the_server_announces_can_be_read() -> None:
    async with ScriptedPeer(*extensions("SIZE 1000", "8bitmime", "AUTH PLAIN LOGIN"), *QUIT) as peer:
        client = SMTPClient(peer.endpoint())
        assert client.extensions == {}
        await client.connect()
        assert client.extensions.size == 1000
        assert "8BITMIME" in client.extensions
        assert client.extensions.mechanisms == ("PLAIN", "LOGIN")
        await client.quit()


@pytest.mark.parametrize("refusal", ["500 what", "502 no", "554 no"])
async def test_a_server_that_does_not_know_ehlo_is_asked_with_helo(refusal: str) -> None:
    async with ScriptedPeer(*GREETED, f"S: {refusal}", "C: HELO [127.0.0.1]", "S: 250 mx", *SENT, *QUIT) as peer:
        receipt = await send(peer)
    assert receipt.delivery is Delivery.ACCEPTED


@pytest.mark.parametrize(
    ("wish", "extension"),
    [
        ({"message": "Subject: x\r\n\r\nä\r\n"}, "8BITMIME"),
        ({"recipients": ["ä@example.org"]}, "SMTPUTF8"),
        ({"options": MailOptions(ret="HDRS")}, "DSN"),
        ({"recipient_options": RecipientOptions(notify="NEVER")}, "DSN"),
        ({"policy": MessagePolicy(binary=True)}, "CHUNKING"),
        ({"policy": MessagePolicy(binary=True), "message": message_from_bytes(MESSAGE)}, "CHUNKING"),
    ],
)
@pytest.mark.parametrize("refuses", [True, False])
async def test_what_helo_cannot_give_is_said_to_be_for_want_of_ehlo(
    refuses: bool, wish: dict[str, Any], extension: str
) -> None:
    helo: tuple[Step, ...] = ("C: HELO [127.0.0.1]", "S: 250 mx", *SENT, *QUIT)
    if refuses:
        peers = [ScriptedPeer(*GREETED, "S: 502 what", *helo)]
    else:
        peers = [ScriptedPeer(*GREETED, FIN), ScriptedPeer("S: 220 mx", *helo)]
    async with AsyncExitStack() as stack:
        for peer in peers:
            await stack.enter_async_context(peer)
        async with SMTPClient(connecting_to(*peers)) as client:
            with pytest.raises(
                NotSupported,
                match=r": it does not know EHLO, and behind HELO there are no extensions \(RFC 5321 3\.2\)$",
            ) as caught:
                await client.send(**{"message": MESSAGE, **ARGUMENTS, **wish})
            assert (caught.value.extension, caught.value.delivery) == (extension, Delivery.NOT_SENT)
            await client.send(MESSAGE, **ARGUMENTS)


async def test_a_message_as_it_is_needs_chunks() -> None:
    async with ScriptedPeer(*READY, *QUIT) as peer:
        async with SMTPClient(peer.endpoint()) as client:
            with pytest.raises(NotSupported, match="CHUNKING") as caught:
                await client.send(message_from_bytes(MESSAGE), **ARGUMENTS, policy=MessagePolicy(binary=True))
        assert caught.value.delivery is Delivery.NOT_SENT


async def test_a_server_that_is_busy_is_not_asked_with_helo() -> None:
    async with ScriptedPeer(*GREETED, "S: 451 later", STALL) as peer:
        with pytest.raises(ReplyError, match=r"EHLO \[127\.0\.0\.1\] was refused: 451 later") as caught:
            await connect(peer)
    assert caught.value.is_transient
    assert caught.value.command == "EHLO [127.0.0.1]"


async def test_a_server_that_knows_neither_hello_is_no_server_for_us() -> None:
    async with ScriptedPeer(*GREETED, "S: 502 no", "C: HELO [127.0.0.1]", "S: 504 no", STALL) as peer:
        with pytest.raises(ReplyError, match="HELO"):
            await connect(peer)


def connecting_to(*peers: ScriptedPeer, **settings: Any) -> Endpoint:
    """An endpoint that leads to one peer after the other."""
    ways = iter(peers)

    async def connect() -> socket.socket:
        return await next(ways).connect()

    return peers[0].endpoint(connect=connect, **settings)


@pytest.mark.parametrize("end", [FIN, RST])
@pytest.mark.parametrize("tls", ["none", "implicit"])
async def test_a_server_that_hangs_up_on_ehlo_is_asked_again_with_helo(tls: str, end: Step) -> None:
    opening = (Tls(),) if tls == "implicit" else ()
    async with (
        ScriptedPeer(*opening, *GREETED, end) as first,
        ScriptedPeer(*opening, "S: 220 mx", "C: HELO [127.0.0.1]", "S: 250 mx", *SENT, *QUIT) as second,
        SMTPClient(connecting_to(first, second, tls=tls)) as client,
    ):
        assert client.extensions == {}
        assert (await client.send(MESSAGE, **ARGUMENTS)).delivery is Delivery.ACCEPTED


@pytest.mark.parametrize(
    "end", [("C: HELO [127.0.0.1]", FIN), (FIN, LISTEN), (RST,)], ids=["behind HELO", "FIN", "RST"]
)
@pytest.mark.parametrize("reply", ["500 what?", "502 no", "554 never"])
async def test_a_server_that_refuses_ehlo_and_hangs_up_is_asked_again_with_helo(
    reply: str, end: tuple[Step, ...]
) -> None:
    async with (
        ScriptedPeer(*GREETED, f"S: {reply}", *end) as first,
        ScriptedPeer("S: 220 mx", "C: HELO [127.0.0.1]", "S: 250 mx", *SENT, *QUIT) as second,
        SMTPClient(connecting_to(first, second)) as client,
    ):
        assert client.extensions == {}
        assert (await client.send(MESSAGE, **ARGUMENTS)).delivery is Delivery.ACCEPTED


@pytest.mark.parametrize("end", [b"25", b"421 closing\r\n"])
async def test_a_server_that_answers_helo_and_hangs_up_is_not_asked_again(end: bytes) -> None:
    async with ScriptedPeer(*GREETED, "S: 500 what?", "C: HELO [127.0.0.1]", end, FIN) as peer:
        with pytest.raises(MailwireError):
            await SMTPClient(connecting_to(peer)).connect()


async def test_a_server_that_hangs_up_on_both_hellos_is_told() -> None:
    async with (
        ScriptedPeer(*GREETED, FIN) as first,
        ScriptedPeer("S: 220 mx", "C: HELO [127.0.0.1]", FIN) as second,
    ):
        with pytest.raises(ConnectionLost, match=r"instead of replying to HELO \[127\.0\.0\.1\]"):
            await SMTPClient(connecting_to(first, second)).connect()


async def test_a_client_that_is_connected_again_says_ehlo_again() -> None:
    async with (
        ScriptedPeer(*GREETED, FIN) as first,
        ScriptedPeer("S: 220 mx", "C: HELO [127.0.0.1]", "S: 250 mx", *QUIT) as second,
        ScriptedPeer(*extensions("SIZE"), *QUIT) as third,
    ):
        client = SMTPClient(connecting_to(first, second, third))
        for keywords in ({}, {"SIZE": ()}):
            await client.connect()
            assert client.extensions == keywords
            await client.quit()


@pytest.mark.parametrize(
    ("script", "settings"),
    [
        ((*GREETED, FIN), AUTH),
        ((*GREETED, FIN), {"tls": "starttls"}),
        ((*STARTTLS, Tls(), "C: EHLO [127.0.0.1]", FIN), {"tls": "starttls"}),
        (("S: 220 mx", FIN), AUTH),
        ((FIN,), {}),
        ((b"220 m", FIN), {}),
        ((*GREETED, b"250-mx\r\n25", FIN), {}),
    ],
)
async def test_hanging_up_does_not_talk_us_out_of_anything(script: tuple[Step, ...], settings: dict[str, Any]) -> None:
    async with ScriptedPeer(*script, LISTEN, lenient=True) as peer:
        with pytest.raises(ConnectionLost):
            await connect(peer, **settings)


async def test_helo_does_not_talk_us_out_of_starttls() -> None:
    async with ScriptedPeer(*GREETED, "S: 502 no", STALL) as peer:
        with pytest.raises(SecurityError, match=r"EHLO was refused \(502 no\), and without it there is no STARTTLS"):
            await connect(peer, tls="starttls")


async def test_helo_does_not_talk_us_out_of_auth() -> None:
    async with ScriptedPeer(*GREETED, "S: 502 no", STALL) as peer:
        with pytest.raises(
            NotSupported, match=r"EHLO was refused \(502 no\), and without it there is no AUTH"
        ) as caught:
            await connect(peer, **AUTH)
    assert caught.value.extension == "AUTH"


async def test_under_tls_helo_will_do_for_one_who_stays_anonymous() -> None:
    async with ScriptedPeer(
        *(*STARTTLS, Tls(), "C: EHLO [127.0.0.1]", "S: 502 no", "C: HELO [127.0.0.1]", "S: 250 mx", *SENT, *QUIT)
    ) as peer:
        receipt = await send(peer, tls="starttls")
    assert receipt.delivery is Delivery.ACCEPTED


@pytest.mark.parametrize("greeting", ["554 no", "421 busy"])
async def test_a_greeting_that_refuses_us_is_believed(greeting: str) -> None:
    async with ScriptedPeer(f"S: {greeting}", STALL) as peer:
        with pytest.raises(ReplyError, match=rf"\(the connection\) was refused: {greeting}") as caught:
            await connect(peer)
    assert caught.value.reply.code == int(greeting[:3])
    assert peer.wire == b""


@pytest.mark.parametrize(
    ("script", "command"),
    [
        (("S: 421 busy", FIN), "(the connection)"),
        ((*GREETED, "S: 421 busy", FIN), "EHLO [127.0.0.1]"),
        (
            ("S: 220 mx", "C: EHLO [127.0.0.1]", "S: 502 what", "C: HELO [127.0.0.1]", "S: 421 x", FIN),
            "HELO [127.0.0.1]",
        ),
        (("S: 220 mx", "S: 421 busy", FIN), ""),
    ],
    ids=["greeting", "EHLO", "HELO", "unasked"],
)
async def test_421_while_connecting_is_a_refusal_and_a_loss(script: tuple[Step, ...], command: str) -> None:
    async with ScriptedPeer(*script) as peer:
        with pytest.raises(ServiceNotAvailable) as caught:
            await connect(peer)
    assert isinstance(caught.value, ReplyError)
    assert isinstance(caught.value, ConnectionLost)
    assert (caught.value.command, caught.value.reply.code, caught.value.in_flight) == (command, 421, ())
    assert caught.value.is_transient


@pytest.mark.parametrize("command", [Noop(), Rset(), Vrfy("x"), Mail(Mailbox("a", "example.org"))], ids=str)
async def test_421_to_a_command_is_a_refusal_and_a_loss(command: Command[object]) -> None:
    async with ScriptedPeer(*READY, f"C: {command}", "S: 421 closing", FIN) as peer:
        client = SMTPClient(peer.endpoint())
        await client.connect()
        with pytest.raises(ServiceNotAvailable, match="was refused: 421 closing") as caught:
            await client.execute(command)
        assert not client.is_connected
    assert caught.value.command == str(command)


async def test_a_greeting_that_goes_on_is_a_fault() -> None:
    async with ScriptedPeer("S: 354 go", STALL) as peer:
        with pytest.raises(RemoteProtocolError, match="354 go"):
            await connect(peer)
    assert peer.wire == b""


async def test_a_greeting_of_several_lines_is_one_greeting() -> None:
    async with ScriptedPeer(
        "S: 220-mx", PACKET, "S: 220-", PACKET, "S: 220 ready", "C: EHLO ...", "S: 250 mx", *QUIT
    ) as peer:
        client = await connect(peer)
        await client.quit()


# TLS


async def test_a_mail_is_sent_under_implicit_tls() -> None:
    async with ScriptedPeer(Tls(), *READY, *SENT, *QUIT) as peer:
        receipt = await send(peer, tls="implicit")
    assert receipt.delivery is Delivery.ACCEPTED
    assert b"EHLO" not in peer.wire


async def test_a_mail_is_sent_under_starttls() -> None:
    async with ScriptedPeer(*STARTTLS, Tls(), "C: EHLO [127.0.0.1]", "S: 250 mx", *SENT, *QUIT) as peer:
        receipt = await send(peer, tls="starttls")
    assert receipt.delivery is Delivery.ACCEPTED
    assert b"MAIL" not in peer.wire


async def test_the_password_waits_for_tls() -> None:
    async with ScriptedPeer(
        *extensions("STARTTLS", "AUTH PLAIN"),
        *("C: STARTTLS", "S: 220 go", Tls(), "C: EHLO [127.0.0.1]", "S: 250-mx", "S: 250 AUTH LOGIN PLAIN"),
        *(f"C: {PLAIN}", "S: 235 ok", *QUIT),
    ) as peer:
        client = await connect(peer, tls="starttls", auth=CREDENTIALS)
        await client.quit()
    assert b"AUTH" not in peer.wire


async def test_what_was_announced_in_the_clear_is_forgotten_under_tls() -> None:
    async with (
        ScriptedPeer(
            *extensions("STARTTLS", "AUTH PLAIN", "SIZE 10"),
            *("C: STARTTLS", "S: 220 go", Tls(), "C: EHLO [127.0.0.1]", "S: 250 mx", *SENT, *QUIT),
        ) as peer,
        SMTPClient(peer.endpoint(tls="starttls")) as client,
    ):
        assert client.extensions == {}
        await client.send(MESSAGE, **ARGUMENTS)


async def test_mechanisms_announced_in_the_clear_are_none_under_tls() -> None:
    async with ScriptedPeer(
        *extensions("STARTTLS", "AUTH PLAIN"),
        *("C: STARTTLS", "S: 220 go", Tls(), "C: EHLO [127.0.0.1]", "S: 250 mx", STALL),
    ) as peer:
        with pytest.raises(AuthenticationFailed, match="it has none"):
            await connect(peer, tls="starttls", auth=CREDENTIALS)


async def test_a_server_that_is_known_to_be_bad_at_chunks_gets_none_unless_they_are_asked_for() -> None:
    opening = ("S: 220 mx Microsoft ESMTP MAIL Service ready", "C: EHLO [127.0.0.1]", "S: 250-mx", "S: 250 CHUNKING")
    async with ScriptedPeer(*opening, *SENT, *QUIT) as peer:
        assert (await send(peer)).delivery is Delivery.ACCEPTED
    size = len(MESSAGE)
    chunk = ("C: MAIL FROM:<a@example.org>", "S: 250 ok", "C: RCPT TO:<b@example.org>", "S: 250 ok")
    async with ScriptedPeer(*opening, *chunk, f"C: BDAT {size} LAST", Hear(size), "S: 250 taken", *QUIT) as peer:
        assert (await send(peer, use_chunking=True)).delivery is Delivery.ACCEPTED


async def test_who_does_not_log_in_does_so_by_no_mechanism() -> None:
    async with ScriptedPeer(*READY, *QUIT) as peer, SMTPClient(peer.endpoint()) as client:
        assert client.mechanism is None


async def test_a_server_without_starttls_is_left_in_peace() -> None:
    async with ScriptedPeer(*extensions("AUTH PLAIN"), STALL) as peer:
        with pytest.raises(SecurityError, match="does not offer STARTTLS, and TLS is required"):
            await connect(peer, tls="starttls", auth=CREDENTIALS)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("454 later", TLSFailed),
        ("502 no", TLSFailed),
        ("221 bye", TLSFailed),
        ("250 ok", TLSFailed),
        ("354 do something else", TLSFailed),
        ("421 closing", TLSFailed),
        ("+OK", RemoteProtocolError),
    ],
)
async def test_only_220_opens_the_handshake(answer: str, error: type[MailwireError]) -> None:
    async with ScriptedPeer(*STARTTLS[:-1], f"S: {answer}", STALL) as peer:
        with pytest.raises(error) as caught:
            await connect(peer, tls="starttls")
    assert b"\x16\x03" not in peer.wire
    if answer.startswith(("454", "502")):
        assert str(caught.value).startswith(f"{peer.endpoint(tls='starttls')} offers STARTTLS and refuses it: {answer}")
        assert isinstance(caught.value, TLSFailed)
        assert str(caught.value.answer) == answer
        assert caught.value.is_transient is answer.startswith("454")


@pytest.mark.parametrize("injected", [b"250-x\r\n250 AUTH PLAIN\r\n", b"250 AUTH", b"\n", b"\x16\x03"])
async def test_octets_behind_the_go_ahead_are_an_attack(injected: bytes) -> None:
    async with ScriptedPeer(*STARTTLS, injected, LISTEN) as peer:
        with pytest.raises(InjectedData):
            await connect(peer, tls="starttls")
    assert b"\x16\x03" not in peer.wire
    assert peer.wire.endswith(b"STARTTLS\r\n")


@pytest.mark.parametrize("injected", [b"250-x\r\n250 AUTH PLAIN\r\n", b"250 AUTH"])
async def test_octets_that_come_when_the_handshake_has_begun_are_none_of_the_tls_session_s(injected: bytes) -> None:
    async with ScriptedPeer(*STARTTLS, PACKET, injected, LISTEN) as peer:
        with pytest.raises(TLSFailed):
            await connect(peer, tls="starttls")
    assert b"\x16\x03" in peer.wire
    assert b"EHLO" not in peer.wire[peer.wire.index(b"STARTTLS") :]


@pytest.mark.parametrize("injected", [b"2", b"250 ", b"\n", b"\x16\x03"])
async def test_of_what_might_begin_a_record_the_rest_is_waited_for(injected: bytes) -> None:
    clock = StandingClock()
    async with ScriptedPeer(*STARTTLS, PACKET, injected, LISTEN, guard=None) as peer:
        connecting = asyncio.create_task(connect(peer, tls="starttls"))
        await peer.rest()
        await clock.advance(30)
        with pytest.raises(DeadlineExceeded, match="the TLS handshake"):
            await connecting
    assert b"\x16\x03" in peer.wire
    assert b"EHLO" not in peer.wire[peer.wire.index(b"STARTTLS") :]


@pytest.mark.parametrize("certificate", ["other-host", "expired", "self-signed"])
async def test_nothing_is_said_to_a_server_that_cannot_prove_its_name(certificate: str) -> None:
    async with ScriptedPeer(*STARTTLS, Tls(certificate)) as peer:
        with pytest.raises(TLSFailed, match="was not accepted"):
            await connect(peer, tls="starttls", auth=CREDENTIALS)
    assert peer.heard.endswith(b"STARTTLS\r\n")


async def test_a_server_that_withholds_its_close_notify_is_closed_all_the_same() -> None:
    async with ScriptedPeer(Tls(), *READY, *SENT, *QUIT, WITHHOLD) as peer:
        receipt = await send(peer, tls="implicit", timeouts=Timeouts(close=0.01))
    assert receipt.delivery is Delivery.ACCEPTED


@pytest.mark.parametrize("alert", [(), (b"\x15\x03\x01\x00\x02\x02\x28",)], ids=["silent", "alert"])
async def test_a_server_that_speaks_tls_at_once_is_not_spoken_to_in_the_clear(alert: tuple[Step, ...]) -> None:
    async with ScriptedPeer(*alert, LISTEN) as peer:
        with pytest.raises(
            TLSFailed if alert else DeadlineExceeded, match="a port that expects TLS from the first byte"
        ):
            await connect(peer, timeouts=Timeouts() if alert else Timeouts(greeting=0.05))
    assert peer.wire == b""


# Authenticating


async def test_plain_is_said_in_one_line() -> None:
    async with ScriptedPeer(*extensions("AUTH LOGIN PLAIN"), f"C: {PLAIN}", "S: 235 ok", *SENT, *QUIT) as peer:
        receipt = await send(peer, **AUTH)
    assert receipt.delivery is Delivery.ACCEPTED


async def test_login_is_used_where_there_is_nothing_better() -> None:
    user, password = (base64.b64encode(text.encode()).decode() for text in (CREDENTIALS.user, CREDENTIALS.password))
    async with ScriptedPeer(
        *extensions("AUTH LOGIN"),
        *("C: AUTH LOGIN", "S: 334 VXNlcm5hbWU6", f"C: {user}", "S: 334 UGFzc3dvcmQ6", f"C: {password}", "S: 235 ok"),
        *QUIT,
    ) as peer:
        client = await connect(peer, **AUTH)
        await client.quit()


async def test_a_message_too_long_for_the_command_follows_it() -> None:
    credentials = Password("bob", "x" * 600)
    message = base64.b64encode(b"\0bob\0" + b"x" * 600).decode()
    async with ScriptedPeer(
        *extensions("AUTH PLAIN"), "C: AUTH PLAIN", "S: 334 ", f"C: {message}", "S: 235 ok", *QUIT
    ) as peer:
        client = await connect(peer, auth=credentials, allow_cleartext_auth=True)
        await client.quit()


@pytest.mark.parametrize(
    ("script", "text"),
    [
        ((f"C: {PLAIN}", "S: 535 no"), r"^AUTH PLAIN \*\*\*\*: 535 no$"),
        ((f"C: {PLAIN}", "S: 454 later"), r"^AUTH PLAIN \*\*\*\*: 454 later$"),
        (
            (f"C: {PLAIN}", "S: 334 !!!!", "C: *", "S: 501 cancelled"),
            "expected a challenge in base64, got b'!!!!'; 501",
        ),
        ((f"C: {PLAIN}", "S: 334 bW9yZQ==", "C: *", "S: 501 cancelled"), "expects no challenge behind its one message"),
        ((f"C: {PLAIN}", "S: 334 !!!!", "C: *", "S: 235 ok"), "expected a challenge in base64"),
        ((f"C: {PLAIN}", "S: 334 !!!!", "C: *", "S: 334 more"), "the server goes on after the cancel"),
    ],
    ids=["535", "454", "bad base64", "one too many", "success behind the cancel", "challenge behind the cancel"],
)
async def test_a_login_that_fails_is_told_and_the_connection_cut(script: tuple[Step, ...], text: str) -> None:
    async with ScriptedPeer(*extensions("AUTH PLAIN"), *script, STALL) as peer:
        with pytest.raises(AuthenticationFailed, match=text):
            await connect(peer, **AUTH)


async def test_a_refused_login_has_the_reply() -> None:
    async with ScriptedPeer(*extensions("AUTH PLAIN"), f"C: {PLAIN}", "S: 535 5.7.8 no", STALL) as peer:
        with pytest.raises(AuthenticationFailed) as caught:
            await connect(peer, **AUTH)
    assert isinstance(caught.value.answer, Reply)
    assert str(caught.value.answer.enhanced_code) == "5.7.8"
    assert caught.value.command == "AUTH PLAIN ****"


async def test_a_login_that_succeeds_too_early_is_none() -> None:
    async with ScriptedPeer(*extensions("AUTH LOGIN"), "C: AUTH LOGIN", "S: 235 ok", STALL) as peer:
        with pytest.raises(AuthenticationFailed, match="success before the exchange is complete"):
            await connect(peer, **AUTH)


async def test_a_server_that_asks_for_ever_is_cut_off() -> None:
    async with ScriptedPeer(*extensions("AUTH LOGIN"), "C: AUTH LOGIN", *(["S: 334 "] * 20), LISTEN) as peer:
        with pytest.raises(AuthenticationFailed):
            await connect(peer, **AUTH)


async def test_a_server_with_mechanisms_of_its_own_alone_is_not_tried() -> None:
    async with ScriptedPeer(*extensions("AUTH KERBEROS_V4 X-OWN"), STALL) as peer:
        with pytest.raises(AuthenticationFailed, match="that may be used: it has KERBEROS_V4, X-OWN"):
            await connect(peer, **AUTH)


# Refusals


async def test_the_mail_goes_to_those_recipients_who_are_accepted() -> None:
    async with (
        ScriptedPeer(
            *READY,
            *("C: MAIL FROM:<a@example.org>", "S: 250 ok", "C: RCPT TO:<b@example.org>", "S: 250 ok"),
            *("C: RCPT TO:<c@example.org>", "S: 550 5.1.1 nobody", "C: RCPT TO:<d@example.org>", "S: 452 too many"),
            *("C: DATA", "S: 354 go", MAIL_DATA, "S: 250 taken", *QUIT),
        ) as peer,
        SMTPClient(peer.endpoint()) as client,
    ):
        receipt = await client.send(
            MESSAGE, sender=FROM_A, recipients=(f"{name}@example.org" for name in ("b", "c", "d"))
        )
    assert receipt.delivery is Delivery.ACCEPTED
    assert receipt.accepted == (TO_B,)
    assert [(entry.address, str(entry.reply)) for entry in receipt.refused] == [
        ("c@example.org", "550 5.1.1 nobody"),
        ("d@example.org", "452 too many"),
    ]


NO = ("S: 550 no",)
RSET: tuple[Step, ...] = ("C: RSET", "S: 250 reset")


@pytest.mark.parametrize(
    ("script", "error", "command"),
    [
        (("C: MAIL FROM:<a@example.org>", *NO, *RSET), SenderRefused, "MAIL FROM:<a@example.org>"),
        ((*MAILED[:3], *NO, *RSET), RecipientsRefused, "RCPT"),
        ((*MAILED[:5], *NO, *RSET), DataRefused, "DATA"),
        ((*MAILED, *NO), DataRefused, "DATA"),
    ],
    ids=["MAIL", "RCPT", "DATA", "message"],
)
async def test_what_was_refused_leaves_the_session_clean(
    script: tuple[Step, ...], error: type[ReplyError], command: str
) -> None:
    # The refusal of MAIL needs no RSET, and gets none from some; the peer decides here what it wants to hear.
    if error is SenderRefused:
        script = script[:2]
    async with ScriptedPeer(*READY, *script, *SENT, *QUIT) as peer, SMTPClient(peer.endpoint()) as client:
        with pytest.raises(error, match="550 no") as caught:
            await client.send(MESSAGE, **ARGUMENTS)
        assert caught.value.delivery is Delivery.REFUSED
        assert caught.value.receipt is not None
        assert caught.value.receipt is client.last_receipt
        assert words(caught.value.receipt) == [(TO_B, Delivery.REFUSED)]
        assert caught.value.command == command
        assert not caught.value.is_transient
        receipt = await client.send(MESSAGE, **ARGUMENTS)
    assert receipt.delivery is Delivery.ACCEPTED


@pytest.mark.parametrize(
    ("replies", "behind", "error"),
    [
        (("550 no", "503 no", "503 no"), (), SenderRefused),
        (("250 ok", "550 no", "503 no"), RSET, RecipientsRefused),
        (("250 ok", "550 no", "354 go"), (MAIL_DATA, "S: 554 none"), RecipientsRefused),
        (("250 ok", "250 ok", "451 no"), RSET, DataRefused),
        (("250 ok", "550 no", "354 go"), (MAIL_DATA, "S: 250 a blank mail"), RecipientsRefused),
    ],
    ids=["MAIL", "RCPT", "RCPT and 354", "DATA", "RCPT and 354 and 250"],
)
async def test_pipelining_does_not_change_what_a_refusal_comes_to(
    replies: Sequence[str], behind: tuple[Step, ...], error: type[ReplyError]
) -> None:
    async with (
        ScriptedPeer(
            *extensions("PIPELINING"),
            *GROUP,
            *(f"S: {reply}" for reply in replies),
            *behind,
            "C: NOOP",
            "S: 250 ok",
            *QUIT,
        ) as peer,
        SMTPClient(peer.endpoint()) as client,
    ):
        with pytest.raises(error) as caught:
            await client.send(MESSAGE, **ARGUMENTS)
        assert caught.value.delivery is Delivery.REFUSED
        await client.execute(Noop())
    # A lone dot is all that a server gets which wants a message for nobody.
    assert MESSAGE not in peer.heard


async def test_a_server_that_wants_a_message_behind_a_refused_sender_is_left() -> None:
    # A lone dot would send a blank mail to the recipient that stands accepted.
    async with ScriptedPeer(*extensions("PIPELINING"), *GROUP, "S: 550 no", "S: 250 ok", "S: 354 go", STALL) as peer:
        client = await connect(peer)
        with pytest.raises(SenderRefused) as caught:
            await client.send(MESSAGE, **ARGUMENTS)
        assert caught.value.delivery is Delivery.REFUSED
        assert not client.is_connected


async def test_a_server_that_refuses_rset_is_left() -> None:
    async with ScriptedPeer(*READY, *MAILED[:3], *NO, "C: RSET", "S: 500 what", STALL) as peer:
        client = await connect(peer)
        with pytest.raises(RecipientsRefused):
            await client.send(MESSAGE, **ARGUMENTS)
        assert not client.is_connected


async def test_a_server_that_goes_when_it_has_refused_has_refused() -> None:
    async with ScriptedPeer(*READY, *MAILED[:3], *NO, "C: RSET", FIN) as peer:
        client = await connect(peer)
        with pytest.raises(MailwireError) as caught:
            await client.send(MESSAGE, **ARGUMENTS)
        assert caught.value.delivery is Delivery.REFUSED
        assert caught.value.receipt is not None
        assert list(caught.value.receipt.timings) == ["connection", "envelope"]
        assert not client.is_connected


TWO = ("C: MAIL FROM:<a@example.org>", "C: RCPT TO:<b@example.org>", "C: RCPT TO:<c@example.org>")


@pytest.mark.parametrize("end", [(STALL,), (FIN,)], ids=["stays", "closes"])
@pytest.mark.parametrize(
    "script",
    [
        (*READY, TWO[0], "S: 250 ok", TWO[1], "S: 421 closing"),
        (*READY, TWO[0], "S: 250 ok", TWO[1], "S: 250 ok", TWO[2], "S: 421 closing"),
        (*READY, TWO[0], "S: 250 ok", TWO[1], "S: 550 no", TWO[2], "S: 421 closing"),
        (*extensions("PIPELINING"), *TWO, "C: DATA", "S: 250 ok", "S: 421 closing"),
        (*extensions("PIPELINING"), *TWO, "C: DATA", "S: 250 ok", "S: 250 ok", "S: 421 closing"),
        (*extensions("PIPELINING"), *TWO, "C: DATA", "S: 250 ok", "S: 550 no", "S: 421 closing"),
        (*extensions("PIPELINING"), *TWO, "C: DATA", "S: 421 closing"),
        (*extensions("PIPELINING"), *TWO, "C: DATA", "S: 250 ok", "S: 250 ok", "S: 250 ok", "S: 421 closing"),
    ],
    ids=["first", "second", "both", "piped first", "piped second", "piped both", "piped MAIL", "piped DATA"],
)
async def test_a_mail_in_the_middle_of_which_the_server_takes_its_leave_is_not_sent(
    script: tuple[Step, ...], end: tuple[Step, ...]
) -> None:
    async with ScriptedPeer(*script, *end, guard=5) as peer:
        client = await connect(peer)
        with pytest.raises(MailwireError) as caught:
            await client.send(MESSAGE, sender=FROM_A, recipients=[TO_B, "c@example.org"])
        assert caught.value.delivery in (Delivery.NOT_SENT, Delivery.REFUSED)
        assert caught.value.receipt is not None
        assert Delivery.ACCEPTED not in [word for _, word in words(caught.value.receipt)]
        assert not client.is_connected


CODES = (211, 220, 221, 250, 251, 252, 299, 334, 354, 399, 421, 450, 452, 499, 500, 502, 503, 550, 552, 554, 599)


@pytest.mark.parametrize("keyword", ["PIPELINING", "SIZE"])
@pytest.mark.parametrize("command", ["EHLO", "MAIL", TWO[1], TWO[2], "RCPT", "DATA", ".", "RSET", "QUIT"])
async def test_a_mail_is_sent_only_if_its_message_was_taken(command: str, keyword: str) -> None:
    command = command.removeprefix("C: ")
    for code in CODES:
        table = {**SMTP_ANSWERS, "EHLO": f"250-mx\n250 {keyword}", "HELO": "250 mx", command: f"{code} so it is"}
        recipients = [TO_B, "c@example.org"]
        outcome: Receipt | MailwireError
        async with ScriptedPeer("S: 220 mx", Answers(table), FIN, lenient=True, guard=5) as peer:
            try:
                outcome = await mailwire.send(MESSAGE, peer.endpoint(), sender=FROM_A, recipients=recipients)
            except MailwireError as error:
                outcome = error
        if isinstance(outcome, Receipt):
            assert outcome.delivery is Delivery.ACCEPTED, code
            assert outcome.accepted, code
            assert MESSAGE + b".\r\n" in peer.heard, code
            assert command != "." or 200 <= code < 300, code
        else:
            assert outcome.delivery in (Delivery.NOT_SENT, Delivery.REFUSED, Delivery.UNKNOWN), code
            assert command != "QUIT", code
            assert outcome.delivery is not Delivery.UNKNOWN or command == ".", code


async def test_421_behind_the_message_says_nothing_of_it() -> None:
    async with ScriptedPeer(*READY, *MAILED, "S: 421 closing", CLOSE) as peer:
        client = await connect(peer)
        with pytest.raises(ReplyError, match="421 closing") as caught:
            await client.send(MESSAGE, **ARGUMENTS)
        assert caught.value.delivery is Delivery.UNKNOWN
        assert not client.is_connected


@pytest.mark.parametrize("code", [220, 221])
async def test_a_greeting_or_a_farewell_is_no_verdict_on_a_message(code: int) -> None:
    async with ScriptedPeer(*READY, *MAILED, f"S: {code} bye", STALL) as peer:
        client = await connect(peer)
        with pytest.raises(RemoteProtocolError) as caught:
            await client.send(MESSAGE, **ARGUMENTS)
        assert caught.value.delivery is Delivery.UNKNOWN


async def test_a_parameter_that_is_refused_though_announced_is_a_refusal() -> None:
    message = "Subject: x\r\n\r\nä\r\n".encode()
    async with (
        ScriptedPeer(*extensions("8BITMIME"), "C: MAIL FROM:<a@example.org> BODY=8BITMIME", "S: 555 no", *QUIT) as peer,
        SMTPClient(peer.endpoint()) as client,
    ):
        with pytest.raises(SenderRefused, match="555 no"):
            await client.send(message, **ARGUMENTS)


async def test_a_size_that_is_none_is_no_size() -> None:
    async with ScriptedPeer(
        *extensions("SIZE abc", "SIZE 99999999999999999999999"),
        *("C: MAIL FROM:<a@example.org> SIZE=21", *SENT[1:], *QUIT),
    ) as peer:
        receipt = await send(peer)
    assert receipt.delivery is Delivery.ACCEPTED


# A verdict before the end


@pytest.mark.parametrize("verdict", ["552 too much", "452 no room", "421 closing"])
@pytest.mark.parametrize("end", [(), (FIN,)], ids=["stays", "closes"])
async def test_a_message_refused_before_its_end_is_refused(verdict: str, end: tuple[Step, ...]) -> None:
    message = b"Subject: x\r\n\r\n" + b"0123456789abcde\n" * (2_000_000 if verdict == "552 too much" else 500_000)
    async with ScriptedPeer(*READY, *MAILED[:-1], Hear(65536), f"S: {verdict}", NO_READING, *end) as peer:
        client = await connect(peer)
        with pytest.raises(DataRefused, match=verdict) as caught:
            await client.send(message, **ARGUMENTS)
        assert caught.value.delivery is Delivery.REFUSED
        assert not client.is_connected
    assert len(peer.wire) < 1_000_000


async def test_a_message_accepted_before_its_end_is_a_fault() -> None:
    message = b"Subject: x\r\n\r\n" + b"0123456789abcde\n" * 1_000_000
    async with ScriptedPeer(*READY, *MAILED[:-1], Hear(65536), "S: 250 taken", NO_READING) as peer:
        client = await connect(peer)
        with pytest.raises(RemoteProtocolError, match=r"expected 4yz or 5yz to \., got '250 taken'") as caught:
            await client.send(message, **ARGUMENTS)
        assert caught.value.delivery is Delivery.NOT_SENT


async def test_a_refusal_on_the_heels_of_354_is_heard() -> None:
    async with ScriptedPeer(*READY, *MAILED[:-1], "S: 552 too much", LISTEN) as peer:
        client = await connect(peer)
        with pytest.raises(DataRefused, match="552 too much") as caught:
            await client.send((b"x" * 78 + b"\r\n") * 12_500, **ARGUMENTS)
        assert caught.value.delivery is Delivery.REFUSED
    assert b"\r\n.\r\n" not in peer.wire


@pytest.mark.parametrize("end", [FIN, RST])
async def test_a_server_that_goes_in_the_middle_of_the_message_does_not_have_it(end: Step) -> None:
    message = b"Subject: x\r\n\r\n" + b"0123456789abcde\n" * 1_000_000
    async with ScriptedPeer(*READY, *MAILED[:-1], Hear(65536), end, LISTEN) as peer:
        client = await connect(peer)
        with pytest.raises(ConnectionLost) as caught:
            await client.send(message, **ARGUMENTS)
        assert caught.value.delivery is Delivery.NOT_SENT


async def test_a_server_that_goes_behind_354_leaves_us_to_say_how_far_we_came() -> None:
    async with ScriptedPeer(*READY, *MAILED[:-1], FIN, LISTEN) as peer:
        client = await connect(peer)
        with pytest.raises(ConnectionLost) as caught:
            await client.send(MESSAGE, **ARGUMENTS)
    heard = peer.heard.endswith(b"\r\n.\r\n")
    assert caught.value.delivery is (Delivery.UNKNOWN if heard else Delivery.NOT_SENT)


# Deadlines


@pytest.mark.parametrize(
    ("script", "settings", "seconds", "phase", "awaited", "delivery"),
    [
        ((), {}, 300, "greeting", "the greeting", None),
        ((b"220 m",), {}, 300, "greeting", "the greeting", None),
        (GREETED, {}, 300, "command", "the reply to EHLO [127.0.0.1]", None),
        ((*GREETED, "S: 250-mx"), {}, 300, "command", "the reply to EHLO [127.0.0.1]", None),
        ((*STARTTLS[:-1],), {"tls": "starttls"}, 300, "command", "the reply to STARTTLS", None),
        (
            (*STARTTLS, LISTEN),
            {"tls": "starttls"},
            30,
            "handshake",
            "the TLS handshake with smtp+starttls://localhost:587",
            None,
        ),
        ((*extensions("AUTH PLAIN"), f"C: {PLAIN}"), AUTH, 300, "command", "the reply to AUTH PLAIN ****", None),
        ((*READY, MAILED[0]), {}, 300, "command", "the reply to MAIL FROM:<a@example.org>", Delivery.NOT_SENT),
        ((*READY, *MAILED[:3]), {}, 300, "command", "the reply to RCPT TO:<b@example.org>", Delivery.NOT_SENT),
        ((*READY, *MAILED[:5]), {}, 120, "data", "the reply to DATA", Delivery.NOT_SENT),
        ((*READY, *MAILED[:6], NO_READING), {}, 180, "block", "taking in the message", Delivery.NOT_SENT),
        ((*READY, *MAILED), {}, 600, "verdict", "the reply to .", Delivery.UNKNOWN),
        ((*READY, *MAILED, b"250 tak"), {}, 600, "verdict", "the reply to .", Delivery.UNKNOWN),
        ((*extensions("PIPELINING"), *MAILED[:5]), {}, 120, "data", "the reply to DATA", Delivery.NOT_SENT),
        ((*extensions("PIPELINING"), *MAILED), {}, 600, "verdict", "the reply to .", Delivery.UNKNOWN),
    ],
    ids=[
        *(
            "greeting",
            "half a greeting",
            "EHLO",
            "half of EHLO",
            "STARTTLS",
            "handshake",
            "AUTH",
            "MAIL",
            "RCPT",
            "DATA",
        ),
        *("block", "verdict", "half a verdict", "DATA in a group", "verdict behind a group"),
    ],
)
async def test_a_server_that_does_not_answer_ends_at_the_deadline_of_the_phase(
    script: tuple[Step, ...],
    settings: dict[str, Any],
    seconds: float,
    phase: str,
    awaited: str,
    delivery: Delivery | None,
) -> None:
    # RFC 5321 4.5.3.2, and our own for the handshake.
    message = (b"x" * 78 + b"\r\n") * 50_000 if NO_READING in script else MESSAGE
    clock = Clock()
    async with ScriptedPeer(*script, STALL, guard=None) as peer:
        client = SMTPClient(peer.endpoint(**settings))

        async def connect_and_send() -> None:
            await client.connect()
            await client.send(message, **ARGUMENTS)

        sending = asyncio.create_task(connect_and_send())
        await drain_events()
        await clock.advance(seconds - 1)
        assert not sending.done()
        await clock.advance(1)
        assert sending.done()
        with pytest.raises(DeadlineExceeded) as caught:
            await sending
        assert caught.value.phase == phase
        assert f"within {seconds} s: {awaited}" in str(caught.value)
        assert caught.value.delivery is delivery
        assert not client.is_connected


async def test_a_refusal_is_told_though_rset_is_not_answered() -> None:
    clock = Clock()
    async with ScriptedPeer(*READY, *MAILED[:3], "S: 550 no", "C: RSET", STALL, guard=None) as peer:
        client = await connect(peer)
        sending = asyncio.create_task(client.send(MESSAGE, **ARGUMENTS))
        await drain_events()
        await clock.advance(20)
        with pytest.raises(RecipientsRefused) as caught:
            await sending
        assert caught.value.delivery is Delivery.REFUSED
        assert not client.is_connected


async def test_a_message_may_take_any_time_while_it_makes_progress() -> None:
    pauses: list[Step] = [Hear(1_000_000), WAIT] * 3
    clock = Clock()
    async with (
        ScriptedPeer(*READY, *MAILED[:-1], *pauses, MAIL_DATA, "S: 250 taken", *QUIT, guard=None) as peer,
        SMTPClient(peer.endpoint()) as client,
    ):
        sending = asyncio.create_task(client.send((b"x" * 78 + b"\r\n") * 50_000, **ARGUMENTS))
        for _ in range(3):
            await peer.rest()
            await clock.advance(179)
            peer.go_on()
        assert (await sending).delivery is Delivery.ACCEPTED


@pytest.mark.parametrize("seconds", [10, None])
@pytest.mark.parametrize("use_chunking", [False, True, "eager"])
async def test_each_command_has_its_own_time_where_the_server_does_not_pipeline(
    use_chunking: Any, seconds: float | None
) -> None:
    clock = StandingClock()
    chunk = Hear(f"BDAT {len(MESSAGE)} LAST\r\n".encode() + MESSAGE)
    steps: tuple[Step, ...] = (*MAILED[:4], chunk, "S: 250 taken") if use_chunking else SENT
    said = [step for heard, answer in zip(steps[::2], steps[1::2], strict=True) for step in (heard, WAIT, answer)]
    async with (
        ScriptedPeer(*extensions("CHUNKING"), *said, *QUIT, guard=None) as peer,
        SMTPClient(peer.endpoint(timeouts=Timeouts(command=seconds, data=seconds, verdict=seconds))) as client,
    ):
        sending = asyncio.create_task(client.send(MESSAGE, use_chunking=use_chunking, **ARGUMENTS))
        for _ in range(len(steps) // 2):
            await peer.rest()
            await clock.advance(10_000 if seconds is None else seconds - 1)
            assert not sending.done()
            peer.go_on()
        assert (await sending).delivery is Delivery.ACCEPTED


# Faults


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((b"250-" + b"a" * 100_000,), LimitExceeded),
        ((*([b"250-x\r\n" * 1000] * 20),), LimitExceeded),
        ((*([b"250-" + b"X" * 8000 + b"\r\n"] * 500),), LimitExceeded),
        ((b"250-a\r\n550 b\r\n",), RemoteProtocolError),
        ((b"250 o\0k\r\n",), RemoteProtocolError),
        ((b"\r\n",), RemoteProtocolError),
        ((b"hello\r\n",), RemoteProtocolError),
        ((b"100 go on\r\n",), RemoteProtocolError),
        ((b"600 what\r\n",), RemoteProtocolError),
        ((b"\xd9\xa2\xd9\xa5\xd9\xa0 ok\r\n",), RemoteProtocolError),
        ((b"354 go\r\n",), RemoteProtocolError),
        ((b"+OK\r\n",), RemoteProtocolError),
        ((b"\xff\xfe\x00\x01\r\n",), RemoteProtocolError),
    ],
    ids=[
        "endless line",
        "endless reply",
        "flood",
        "mixed",
        "NUL",
        "empty",
        "text",
        "1yz",
        "6yz",
        "digits",
        "3yz",
        "POP3",
        "noise",
    ],
)
async def test_what_is_no_reply_ends_the_connection(answer: tuple[Step, ...], error: type[MailwireError]) -> None:
    async with ScriptedPeer(*GREETED, NO_READING, *answer) as peer:
        client = SMTPClient(peer.endpoint())
        with pytest.raises(error) as caught:
            await client.connect()
        assert len(str(caught.value)) < 600
        assert str(caught.value).isprintable()
        assert not client.is_connected


async def test_the_server_s_text_is_shown_as_one_printable_line() -> None:
    async with (
        ScriptedPeer(
            *READY, "C: MAIL FROM:<a@example.org>", b"550 \x1b[31m\x07 caf\xe9 \xc2\x85x\xe2\x80\xa8y\r\n", *QUIT
        ) as peer,
        SMTPClient(peer.endpoint()) as client,
    ):
        with pytest.raises(SenderRefused) as caught:
            await client.send(MESSAGE, **ARGUMENTS)
    assert str(caught.value) == r"MAIL was refused: 550 \x1b[31m\x07 caf\xe9 \x85x\u2028y"
    assert caught.value.reply.lines == (b"\x1b[31m\x07 caf\xe9 \xc2\x85x\xe2\x80\xa8y",)


async def test_many_recipients_do_not_make_both_sides_wait_for_each_other() -> None:
    # A server that writes each reply before it reads on, with small buffers and long replies (RFC 2920 3.1).
    table = {**SMTP_ANSWERS, "EHLO": "250-mx\n250 PIPELINING", "RCPT": "250 " + "x" * 400}
    recipients = [f"recipient-{number}@example.org" for number in range(10_000)]
    async with (
        ScriptedPeer("S: 220 mx", Answers(table), buffer_size=4096, guard=300) as peer,
        SMTPClient(peer.endpoint()) as client,
    ):
        receipt = await client.send(MESSAGE, sender=FROM_A, recipients=recipients)
    assert len(receipt.accepted) == 10_000


# Other commands


async def test_a_command_gives_what_its_reply_means() -> None:
    async with (
        ScriptedPeer(*READY, "C: EHLO x.example.org", "S: 250-mx", "S: 250 SIZE 5", *QUIT) as peer,
        SMTPClient(peer.endpoint()) as client,
    ):
        assert (await client.execute(Ehlo("x.example.org"))).size == 5
        assert client.extensions.size == 5


async def test_a_command_that_leaves_the_session_half_done_ends_it() -> None:
    async with ScriptedPeer(
        *READY,
        *("C: MAIL FROM:<a@example.org>", "S: 250 ok", "C: RCPT TO:<b@example.org>", "S: 250 ok"),
        "C: DATA",
        "S: 354 go",
        STALL,
    ) as peer:
        client = await connect(peer)
        await client.execute(Mail(Mailbox.parse(FROM_A)))
        assert client.is_connected
        await client.execute(Rcpt(Mailbox.parse(TO_B)))
        assert (await client.execute(Data())).code == 354
        assert not client.is_connected


async def test_a_command_out_of_place_is_refused_and_changes_nothing() -> None:
    async with ScriptedPeer(*READY, "C: NOOP", "S: 250 ok", *QUIT) as peer, SMTPClient(peer.endpoint()) as client:
        with pytest.raises(LocalProtocolError):
            await client.execute(Data())
        await client.execute(Noop())


async def test_a_mail_in_the_middle_of_another_transaction_is_refused_and_not_sent() -> None:
    async with (
        ScriptedPeer(*READY, "C: MAIL FROM:<a@example.org>", "S: 250 ok", *QUIT) as peer,
        SMTPClient(peer.endpoint()) as client,
    ):
        await client.execute(Mail(Mailbox.parse(FROM_A)))
        with pytest.raises(LocalProtocolError) as caught:
            await client.send(MESSAGE, **ARGUMENTS)
        assert caught.value.delivery is Delivery.NOT_SENT


async def test_quitting_by_a_command_closes_the_client() -> None:
    async with ScriptedPeer(*READY, "C: QUIT", "S: 221 bye") as peer:
        client = await connect(peer)
        await client.execute(Quit())
        assert not client.is_connected
        await client.quit()


# Not sent


async def test_a_mail_on_no_connection_is_not_sent() -> None:
    client = SMTPClient("smtp://example.org")
    with pytest.raises(LocalProtocolError) as caught:
        await client.send(MESSAGE, **ARGUMENTS)
    assert caught.value.delivery is Delivery.NOT_SENT
    assert caught.value.receipt is not None
    assert words(caught.value.receipt) == [(TO_B, Delivery.NOT_SENT)]
    assert client.last_receipt is None


async def test_a_reply_before_the_end_of_the_message_accepts_nothing() -> None:
    # It came unasked: whatever it is for, it is not for the message.
    goes_on = asyncio.Event()

    async def source() -> AsyncIterator[bytes]:
        yield b"Subject: x\r\n\r\n"
        await goes_on.wait()
        yield b"hello\r\n"

    async with ScriptedPeer(*READY, *MAILED[:-1], WAIT, "S: 250 stray", LISTEN) as peer:
        client = SMTPClient(peer.endpoint())
        await client.connect()
        sending = asyncio.create_task(client.send(source(), sender="a@example.org", recipients=["b@example.org"]))
        await drain_events()
        peer.go_on()
        await drain_events()
        goes_on.set()
        with pytest.raises(RemoteProtocolError, match="250 stray"):
            await sending
        assert client.last_receipt is not None
        assert client.last_receipt.delivery is Delivery.NOT_SENT
        assert not client.is_connected


async def test_a_mail_to_a_server_that_has_closed_the_idle_connection_is_not_sent() -> None:
    async with ScriptedPeer(*READY, PACKET, "S: 421 idle", CLOSE) as peer:
        client = await connect(peer)
        await drain_events()
        with pytest.raises(ConnectionLost, match="421 idle") as caught:
            await client.send(MESSAGE, **ARGUMENTS)
    assert caught.value.delivery is Delivery.NOT_SENT
    assert caught.value.receipt is not None
    assert words(caught.value.receipt) == [(TO_B, Delivery.NOT_SENT)]


@pytest.mark.parametrize(
    ("message", "arguments", "error"),
    [
        (b"", ARGUMENTS, InvalidMessage),
        (b"a\0b", ARGUMENTS, InvalidMessage),
        (MESSAGE, {"sender": FROM_A, "recipients": []}, InvalidMessage),
        (MESSAGE, {"sender": FROM_A}, InvalidMessage),
        (MESSAGE, {"sender": "nobody", "recipients": TO_B}, InvalidMessage),
        ("Subject: ä".encode(), ARGUMENTS, NotSupported),
        (MESSAGE, {"sender": FROM_A, "recipients": "ä@example.org"}, NotSupported),
    ],
)
async def test_what_cannot_be_sent_is_refused_before_a_byte_and_the_session_goes_on(
    message: bytes, arguments: dict[str, Any], error: type[MailwireError]
) -> None:
    async with ScriptedPeer(*READY, *SENT, *QUIT) as peer, SMTPClient(peer.endpoint()) as client:
        with pytest.raises(error) as caught:
            await client.send(message, **arguments)
        assert caught.value.delivery is Delivery.NOT_SENT
        await client.send(MESSAGE, **ARGUMENTS)


# Taking leave


@pytest.mark.parametrize(
    "farewell",
    [("S: 221 bye",), ("S: 221 bye", CLOSE), ("S: 500 what",), ("S: 421 bye", CLOSE), (FIN,), (RST,), ("S: what",)],
    ids=["221", "221 and close", "500", "421", "FIN", "RST", "garbage"],
)
async def test_nothing_that_becomes_of_quit_changes_what_was_sent(farewell: tuple[Step, ...]) -> None:
    async with ScriptedPeer(*READY, *SENT, "C: QUIT", *farewell) as peer:
        receipt = await send(peer)
    assert receipt.delivery is Delivery.ACCEPTED


async def test_leaving_takes_a_second_for_quit_and_one_for_the_closing() -> None:
    clock = StandingClock()

    async def leave(client: SMTPClient) -> None:
        async with client:
            await client.send(MESSAGE, **ARGUMENTS)

    async with ScriptedPeer(*READY, *SENT, "C: QUIT", STALL, guard=None) as peer:
        leaving = asyncio.create_task(leave(SMTPClient(peer.endpoint())))
        await clock.advance(0.9)
        assert not leaving.done()
        await clock.advance(0.1)
        await leaving
    opened = (Tls(), *READY, *SENT)
    async with ScriptedPeer(*opened, "C: QUIT", WAIT, "S: 221 bye", WITHHOLD, guard=None) as peer:
        leaving = asyncio.create_task(leave(SMTPClient(peer.endpoint(tls="implicit"))))
        await clock.advance(0.9)
        peer.go_on()
        await clock.advance(0.9)
        assert not leaving.done()
        await clock.advance(0.1)
        await leaving


async def test_a_client_that_is_not_connected_can_take_leave() -> None:
    client = SMTPClient("smtp://example.org")
    await client.quit()
    assert not client.is_connected


async def test_a_quit_that_is_cancelled_cuts_the_connection() -> None:
    async with ScriptedPeer(*READY, "C: QUIT", STALL) as peer:
        client = await connect(peer)
        quitting = asyncio.create_task(client.quit())
        await drain_events()
        quitting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await quitting
        assert not client.is_connected


async def test_a_refused_vrfy_names_the_command() -> None:
    async with (
        ScriptedPeer(*READY, "C: VRFY x", "S: 252 perhaps", "C: VRFY y", "S: 550 no", *QUIT) as peer,
        SMTPClient(peer.endpoint()) as client,
    ):
        assert (await client.execute(Vrfy("x"))).code == 252
        with pytest.raises(ReplyError) as caught:
            await client.execute(Vrfy("y"))
    assert caught.value.command == "VRFY y"
    assert not isinstance(caught.value, ProtocolError)


def test_a_client_that_was_never_connected_has_begun_no_transaction() -> None:
    assert SMTPClient("smtp://localhost").transactions == 0


async def test_tls_is_begun_by_connecting_alone() -> None:
    async with ScriptedPeer(*READY, *QUIT) as peer, SMTPClient(peer.endpoint()) as client:
        with pytest.raises(LocalProtocolError) as caught:
            await client.execute(StartTls())
        assert str(caught.value) == 'TLS is begun by connect(): set tls="starttls" in the endpoint'


def test_a_run_looks_ahead_at_64_messages_if_nothing_else_is_said() -> None:
    taken = iter(range(1000))
    messages = (b"Subject: %d\r\n" % number for number in taken)
    run = SMTPClient("smtp://localhost").send_all(messages, **ARGUMENTS)
    while run._consignment.take() is not None:
        pass
    assert next(taken) == 64


async def test_what_cannot_be_read_says_so_though_the_client_is_not_connected() -> None:
    with pytest.raises(SourceFailed):
        await SMTPClient("smtp://localhost").send(Path("/nowhere/at/all"), **ARGUMENTS)


async def test_a_mail_that_the_server_cannot_be_asked_for_is_not_told_of_by_the_one_before() -> None:
    async with ScriptedPeer(*READY, *SENT, *QUIT) as peer, SMTPClient(peer.endpoint()) as client:
        await client.send(MESSAGE, **ARGUMENTS)
        with pytest.raises(NotSupported) as caught:
            await client.send(MESSAGE, **ARGUMENTS, options=MailOptions(envelope_id="x"))
        assert caught.value.transcript
        assert client.last_receipt is None


async def test_who_wants_no_pipelining_waits_for_each_reply() -> None:
    script = (*extensions("PIPELINING"), SENT[0], WAIT, *SENT[1:], *QUIT)
    async with ScriptedPeer(*script) as peer, SMTPClient(peer.endpoint(pipelining=False)) as client:
        sending = asyncio.ensure_future(client.send(MESSAGE, **ARGUMENTS))
        await drain_events()
        assert peer.heard.endswith(b"MAIL FROM:<a@example.org>\r\n")
        peer.go_on()
        await sending


@pytest.mark.parametrize("is_refused", [False, True])
async def test_a_connection_that_is_lost_behind_a_refused_chunk_has_refused_the_mail(is_refused: bool) -> None:
    block = 384 * 1024
    large = b"Subject: x\r\n\r\n" + b"0123456789abcdef\r\n" * (block // 18) + b"0123456789ab\r\n"
    script: tuple[Step, ...] = (
        *(*extensions("PIPELINING", "CHUNKING"), SENT[0], SENT[2], f"C: BDAT {block}", Hear(block)),
        *(f"C: BDAT {len(large) - block} LAST", Hear(len(large) - block), "S: 250 a", "S: 250 b"),
        *("S: 552 too big" if is_refused else "S: 250 chunk", FIN, LISTEN),
    )
    async with ScriptedPeer(*script) as peer:
        client = SMTPClient(peer.endpoint())
        await client.connect()
        with pytest.raises(DataRefused if is_refused else ConnectionLost) as caught:
            await client.send(large, **ARGUMENTS, use_chunking="eager")
        assert caught.value.delivery is (Delivery.REFUSED if is_refused else Delivery.UNKNOWN)
        client.abort()


async def test_a_command_that_would_expose_a_password_is_named() -> None:
    async with ScriptedPeer(*READY, *QUIT) as peer, SMTPClient(peer.endpoint()) as client:
        command = Auth(Plain(CREDENTIALS))
        with pytest.raises(SecurityError) as caught:
            await client.execute(command)
        assert str(caught.value).startswith(f"{command} would give the credentials away in the clear")
