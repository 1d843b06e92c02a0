from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from mailwire.smtp import (
    Connection,
    Data,
    Delivery,
    Ehlo,
    EndOfData,
    Event,
    Extensions,
    Helo,
    Lhlo,
    Mailbox,
    Quit,
    Rcpt,
    ReplyReceived,
    State,
)
from mailwire.smtp import Mail as MailFrom
from mailwire.transcript import Transcript as Dialogue
from tests.replay import Replay, Transcript, load, parse, replay
from tests.smtp.sessions import Mail, Sender, reply

MESSAGE = Path(__file__).parents[1].joinpath("data", "sylpheed-message.eml").read_bytes()
THEOGUS = Mailbox("theogus", "geii.fr")

CUTS: list[Callable[[Transcript], Sequence[int]]] = [
    lambda _: (),
    lambda text: text.by_line,
    lambda text: text.by_octet,
]
however_it_is_cut = pytest.mark.parametrize("cut", CUTS, ids=["whole", "by-line", "by-octet"])


def sylpheed(connection: Connection, body: Sequence[bytes] = (MESSAGE,)) -> Sender:
    return Sender(connection, [Mail(body, (THEOGUS,), THEOGUS)], name="Z13")


def by_hand(connection: Connection, body: Sequence[bytes] = (b"Hello world\r\nsend with telnet\r\n",)) -> Sender:
    return Sender(connection, [Mail(body, (THEOGUS,), THEOGUS)], hello=Helo, name="DESKTOP-HJE64BM")


def play(name: str, make: Callable[[Connection], Sender], cuts: Sequence[int] = ()) -> tuple[Replay[Event], Sender]:
    sender = make(Connection())
    return replay(load(name), sender.connection, sender, cuts), sender


def test_the_captured_message_is_the_one_that_crossed_the_wire() -> None:
    assert len(MESSAGE) == 392
    assert MESSAGE.count(b"\r\n") == MESSAGE.count(b"\r") == MESSAGE.count(b"\n") == 14


@however_it_is_cut
def test_sylpheeds_mail_is_sent_to_a_server_that_knows_only_helo(cut: Callable[[Transcript], Sequence[int]]) -> None:
    transcript = load("smtp-sylpheed-argosoft")
    outcome, sender = play("smtp-sylpheed-argosoft", sylpheed, cut(transcript))
    assert outcome.error is None
    assert outcome.written == transcript.client
    receipt = sender.receipt
    assert receipt.delivery is Delivery.ACCEPTED
    assert receipt.accepted == ("theogus@geii.fr",)
    assert receipt.octets == 392
    assert receipt.reply == reply(250, b"Message accepted for delivery.")
    assert sender.connection.state is State.CLOSED
    answered = [event for event in outcome.events if isinstance(event, ReplyReceived)]
    assert [event.reply.code for event in answered] == [220, 500, 250, 250, 250, 354, 250, 221]
    assert [str(event.command) for event in answered] == [
        "(the connection)",
        "EHLO Z13",
        "HELO Z13",
        "MAIL FROM:<theogus@geii.fr>",
        "RCPT TO:<theogus@geii.fr>",
        "DATA",
        ".",
        "QUIT",
    ]
    assert sender.connection.extensions == Extensions()


@however_it_is_cut
def test_the_mail_typed_by_hand_is_sent(cut: Callable[[Transcript], Sequence[int]]) -> None:
    transcript = load("smtp-by-hand-argosoft")
    outcome, sender = play("smtp-by-hand-argosoft", by_hand, cut(transcript))
    assert outcome.error is None
    assert outcome.written == transcript.client
    assert sender.receipt.delivery is Delivery.ACCEPTED
    assert sender.receipt.octets == 31
    assert str(sender.receipt.reply).endswith("<7k8px7se1817k2s.300920210637@DESKTOP-HJE64BM>")


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_the_message_may_be_written_in_blocks_of_any_size(size: int) -> None:
    blocks = [MESSAGE[place : place + size] for place in range(0, len(MESSAGE), size)]
    _, sender = play("smtp-sylpheed-argosoft", lambda connection: sylpheed(connection, blocks))
    assert sender.receipt.octets == 392


@pytest.mark.parametrize("end", [b"\n", b"\r"])
def test_other_line_ends_are_mended(end: bytes) -> None:
    _, sender = play(
        "smtp-sylpheed-argosoft", lambda connection: sylpheed(connection, (MESSAGE.replace(b"\r\n", end),))
    )
    assert sender.receipt.delivery is Delivery.ACCEPTED


def test_reversed_line_ends_do_not_reach_the_wire() -> None:
    # What the C program of the captured sessions sent: LF CR.
    sender = by_hand(Connection(), (b"Hello world\n\rsend with telnet\n\r",))
    transcript = parse("""
        S: 220 hi
        C: HELO DESKTOP-HJE64BM
        S: 250 hi
        C: MAIL FROM:<theogus@geii.fr>
        S: 250 ok
        C: RCPT TO:<theogus@geii.fr>
        S: 250 ok
        C: DATA
        S: 354 go
        C: Hello world
        C:
        C: send with telnet
        C:
        C: .
        S: 250 ok
        C: QUIT
        S: 221 bye
    """)
    outcome: Replay[Event] = replay(transcript, sender.connection, sender)
    assert outcome.error is None


def test_the_dialogue_prints_as_it_was_captured() -> None:
    dialogue = Dialogue()
    sender = sylpheed(Connection(trace=dialogue.record))
    outcome: Replay[Event] = replay(load("smtp-sylpheed-argosoft"), sender.connection, sender)
    assert outcome.error is None
    assert dialogue.tail() == (
        "S: 220 ArGoSoft Mail Server Freeware, Version 1.8 (1.8.8.8)",
        "C: EHLO Z13",
        "S: 500 Syntax error, command unrecognized",
        "C: HELO Z13",
        "S: 250 Welcome [192.168.0.33], pleased to meet you",
        "C: MAIL FROM:<theogus@geii.fr>",
        'S: 250 Sender "theogus@geii.fr" OK...',
        "C: RCPT TO:<theogus@geii.fr>",
        'S: 250 Recipient "theogus@geii.fr" OK...',
        "C: DATA",
        'S: 354 Enter mail, end with "." on a line by itself',
        "C: (392 octets)",
        "C: .",
        "S: 250 Message accepted for delivery.",
        "C: QUIT",
        "S: 221 Aba he",
    )


def test_the_first_command_is_a_matter_of_the_client() -> None:
    transcript = parse("S: 220 hi\nC: EHLO [192.0.2.1]\nS: 250 hi\nC: QUIT\nS: 221 bye")
    sender = Sender(Connection(), hello=Ehlo, name="[192.0.2.1]")
    outcome: Replay[Event] = replay(transcript, sender.connection, sender)
    assert outcome.error is None


class ByHand:
    """Two mails by the commands alone: a `Transaction` says no dot to who is accepted behind a refused MAIL."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.messages = 0

    def begin(self) -> None:
        """Nothing is asked for before the greeting."""

    def write(self) -> bool:
        return False

    def take(self, event: Event) -> None:
        connection = self.connection
        if not isinstance(event, ReplyReceived):
            return
        if connection.accepts_data:
            connection.end_data()
            self.messages += 1
        elif event.reply.code == 220:
            connection.send(Lhlo("c"))
        elif isinstance(event.command, (Lhlo, EndOfData)) and not connection.in_flight:
            envelope = MailFrom(THEOGUS), Rcpt(THEOGUS), Rcpt(THEOGUS), Data()
            for command in envelope if self.messages < 2 else (Quit(),):
                connection.send(command)


@however_it_is_cut
def test_in_lmtp_who_is_accepted_behind_a_refused_mail_is_answered_for_alone(
    cut: Callable[[Transcript], Sequence[int]],
) -> None:
    envelope = """
        C: MAIL FROM:<theogus@geii.fr>
        C: RCPT TO:<theogus@geii.fr>
        C: RCPT TO:<theogus@geii.fr>
        C: DATA
    """
    transcript = parse(f"""
        S: 220 hi
        C: LHLO c
        S: 250-hi
        S: 250 PIPELINING
        {envelope}
        S: 250 ok
        S: 250 ok
        S: 250 ok
        S: 354 go
        C: .
        S: 250 ok
        S: 250 ok
        {envelope}
        S: 550 no
        S: 250 ok
        S: 250 ok
        S: 354 go
        C: .
        S: 503 no
        S: 503 no
        C: QUIT
        S: 221 bye
    """)
    connection = Connection(lmtp=True)
    outcome: Replay[Event] = replay(transcript, connection, ByHand(connection), cut(transcript))
    assert outcome.error is None
    assert outcome.written == transcript.client
    assert connection.state is State.CLOSED
