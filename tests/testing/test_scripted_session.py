import asyncio
from typing import Any

import pytest

from mailwire import pop3, smtp
from mailwire.errors import LocalProtocolError
from mailwire.testing import (
    ALERT,
    CLIENT_HELLO,
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
    Beneath,
    Endless,
    Hear,
    ScriptedPeer,
    ScriptedSession,
    Slow,
    Step,
    Tls,
)
from mailwire.testing.turns import drain_events


def test_a_machine_talks_to_a_script_without_any_input_or_output() -> None:
    session = ScriptedSession("S: 220 hi", "C: EHLO c", "S: 250-hi", "S: 250 SIZE", "C: QUIT", "S: 221 bye", CLOSE)
    connection = smtp.Connection()
    codes = []
    commands: list[smtp.Command[object]] = [smtp.Quit(), smtp.Ehlo("c")]
    while session.ending is None:
        for packet in session.data_to_send():
            connection.receive_data(packet)
        event = connection.next_event()
        assert isinstance(event, smtp.ReplyReceived)
        codes.append(event.reply.code)
        connection.send(commands.pop())
        for block in connection.data_to_send():
            session.receive_data(block)
    assert codes == [220, 250]
    assert session.data_to_send() == [b"221 bye\r\n"]
    assert bytes(session.heard) == b"EHLO c\r\nQUIT\r\n"
    session.receive_eof()


def test_what_is_said_in_a_row_is_a_packet_unless_it_is_to_be_several() -> None:
    session = ScriptedSession("S: a", b"b", PACKET, b"c", Beneath(b"d"), b"e", STALL, b"f", WITHHOLD)
    assert session.data_to_send() == [b"a\r\nb", b"c", b"d", b"e", b"f"]
    assert session.data_to_send() == []
    assert session.step is None


def test_nothing_is_said_before_the_client_has_said_what_is_expected() -> None:
    session = ScriptedSession("C: EHLO ...", Hear(3), Hear(b"abc"), MAIL_DATA, "S: ok", "C: x", FIN)
    for octet in b"EHLO me\r\n123abc.\r":
        session.receive_data(bytes([octet]))
        assert session.data_to_send() == []
    assert session.step is MAIL_DATA
    session.receive_data(b"\nx\r\n")
    assert session.data_to_send() == [b"ok\r\n"]
    assert session.ending is FIN


@pytest.mark.parametrize(
    ("script", "said", "message"),
    [
        (("C: QUIT",), b"NOOP\r\n", "expected the client to say 'QUIT', it said 'NOOP'"),
        (("C: QUIT",), b"QUIT\n", "a line that ends in CRLF"),
        ((Hear(b"abc"),), b"abd", "expected the client to say b'abc', it said b'abd'"),
        (("S: bye",), b"x", "beyond the end of the script the client said b'x'"),
        (("C: NOOP", "C: QUIT"), b"NOOP\r\n\nQUIT\r\n", r"the client said b'\\n'$"),
        ((FIN,), b"x", "beyond the end of the script the client said b'x'"),
        ((Answers({"QUIT": "221 bye"}),), b"NOOP\r\n", "the table has no answer to 'NOOP'"),
    ],
)
def test_what_no_step_foresees_is_told(script: tuple[Step, ...], said: bytes, message: str) -> None:
    session = ScriptedSession(*script)
    with pytest.raises(AssertionError, match=message):
        session.receive_data(said)


@pytest.mark.parametrize("script", [("C: QUIT",), (Hear(1),), (MAIL_DATA,), (Tls(),)])
def test_a_client_that_closes_too_early_is_told_of(script: tuple[Step, ...]) -> None:
    with pytest.raises(AssertionError, match="the client closed at step"):
        ScriptedSession(*script).receive_eof()


@pytest.mark.parametrize(
    "script", [(LISTEN,), (WAIT,), (Answers({}),), (Endless(b"x"),), (NO_READING, "C: QUIT"), ("S: bye",)]
)
def test_a_client_may_close_where_nothing_is_wanted_of_it(script: tuple[Step, ...]) -> None:
    session = ScriptedSession(*script)
    session.receive_eof()
    assert session.data_to_send() == [b"bye\r\n"] * (script == ("S: bye",))


CLOSED = "the client closed at step"
TABLE = Answers({"DATA": "354 go", ".": "250 taken", "BDAT": "250 ok", "NOOP": "250 ok"})


@pytest.mark.parametrize(
    ("script", "said", "message"),
    [
        ([TABLE], b"NOOP\r\nDATA\r\nhello\r\n", f"{CLOSED} 1 of 1, Answers"),
        ([TABLE], b"BDAT 3\r\nab", f"{CLOSED} 1 of 1, Answers"),
        ([TABLE], b"NOOP\r\nNOO", "beyond the end of the script the client said b'NOO'"),
        ([TABLE, "C: QUIT"], b"NOOP\r\n", f"{CLOSED} 2 of 2, 'C: QUIT'"),
        ([LISTEN, Hear(1)], b"what", f"{CLOSED} 2 of 2, Hear"),
        ([Endless(b"x"), MAIL_DATA], b"what\r\n", f"{CLOSED} 2 of 2, MAIL_DATA, having said b'what"),
        (["C: QUIT"], b"QU", f"{CLOSED} 1 of 1, 'C: QUIT', having said b'QU'"),
        ([CLIENT_HELLO], b"\x16\x03", f"{CLOSED} 1 of 1, CLIENT_HELLO"),
        ([TABLE, "S: bye"], b"NOOP\r\n", ""),
        ([Slow(Endless(b"x"), 1000), "C: QUIT", "S: bye"], b"QUIT\r\n", ""),
        ([LISTEN, FIN], b"what", ""),
        ([LISTEN, "S: bye"], b"what", ""),
        ([LISTEN, "S: bye", FIN], b"what", ""),
        (["C: NOOP", LISTEN, "C: QUIT"], b"NOOP\r\nQUIT\r\n", f"{CLOSED} 3 of 3, 'C: QUIT'"),
    ],
)
async def test_where_the_client_closes_the_next_steps_are_taken_as_by_a_peer(
    script: list[Step], said: bytes, message: str
) -> None:
    async def play() -> None:
        async with ScriptedPeer(*script) as peer:
            reader, writer = await asyncio.open_connection(sock=await peer.connect())
            writer.write(said)
            await drain_events()
            writer.write_eof()
            heard.append(await reader.read())
            writer.close()

    heard: list[bytes] = []
    session = ScriptedSession(*script)
    session.receive_data(said)
    session.data_to_send()
    if message:
        with pytest.raises(AssertionError, match=message):
            session.receive_eof()
        with pytest.raises(AssertionError):
            await play()
    else:
        session.receive_eof()
        await play()
        assert heard[0].endswith(b"".join(session.data_to_send()))
        assert session.step is None


def test_of_what_comes_at_once_no_more_octets_are_taken_than_a_step_wants() -> None:
    session = ScriptedSession(Hear(3), "C: QUIT", "S: bye")
    session.receive_data(b"abcQUIT\r\n")
    assert session.data_to_send() == [b"bye\r\n"]


def test_what_is_said_behind_a_reset_is_lost() -> None:
    session = ScriptedSession("S: x", RST)
    session.receive_data(b"what")
    assert session.ending is RST


@pytest.mark.parametrize("step", [LISTEN, NO_READING])
def test_listening_and_not_reading_swallow_everything(step: Step) -> None:
    session = ScriptedSession(step, "S: x")
    session.receive_data(b"what")
    session.receive_data(b"ever")
    assert session.heard == b"whatever"
    assert session.data_to_send() == [b"x\r\n"] * (step is NO_READING)


@pytest.mark.parametrize("size", [1, 3, 6])
@pytest.mark.parametrize("steps", [(), (Hear(1),), ("C: T",)])
def test_nothing_is_heard_where_it_does_not_read_however_it_comes(steps: tuple[Step, ...], size: int) -> None:
    session = ScriptedSession(Hear(3), NO_READING, *steps)
    for start in range(0, 6, size):
        session.receive_data(b"QUIT\r\n"[start : start + size])
    assert session.step == (steps[0] if steps else None)
    session.receive_eof()
    assert session.heard == b"QUIT\r\n"


def test_nothing_is_wanted_where_it_does_not_read_and_the_client_was_gone_before() -> None:
    session = ScriptedSession(LISTEN, NO_READING, "C: QUIT")
    session.receive_data(b"what")
    session.receive_eof()
    assert session.step == "C: QUIT"


def test_it_waits_until_it_is_told_to_go_on() -> None:
    session = ScriptedSession(WAIT, "S: x", "C: y", "S: z")
    assert session.data_to_send() == []
    session.go_on()
    session.go_on()
    assert session.data_to_send() == [b"x\r\n"]


def test_tls_is_made_by_the_caller() -> None:
    session = ScriptedSession("C: STARTTLS", "S: 220 go", Tls("expired"), "S: hi")
    with pytest.raises(LocalProtocolError, match=r"^no step of the script wants a handshake now$"):
        session.tls_established()
    session.receive_data(b"STARTTLS\r\n")
    assert (session.data_to_send(), session.wants_tls) == ([b"220 go\r\n"], "expired")
    session.tls_established()
    assert (session.data_to_send(), session.wants_tls) == ([b"hi\r\n"], None)


@pytest.mark.parametrize("said", [[b"STARTTLS\r\nEHLO x\r\n"], [b"STARTTLS\r\n", b"EHLO x\r\n"]])
def test_who_goes_on_in_the_clear_makes_no_handshake(said: list[bytes]) -> None:
    session = ScriptedSession("C: STARTTLS", "S: 220 go", Tls(), "C: EHLO x")
    *before, last = said
    for data in before:
        session.receive_data(data)
    with pytest.raises(AssertionError) as caught:
        session.receive_data(last)
    assert str(caught.value) == r"expected a handshake, the client said b'EHLO x\r\n'"


def test_tls_is_broken_by_the_caller_and_what_is_said_then_is_lost() -> None:
    session = ScriptedSession(Tls(), "C: QUIT", ALERT)
    session.tls_established()
    session.receive_data(b"QUIT\r\n")
    assert session.ending is ALERT
    session.receive_data(b"NOOP\r\n")
    session.receive_eof()


def test_the_first_record_of_a_handshake_is_heard() -> None:
    session = ScriptedSession(CLIENT_HELLO, "S: what")
    session.receive_data(b"\x16\x03\x01\x00\x02a")
    assert session.data_to_send() == []
    session.receive_data(b"b")
    assert session.data_to_send() == [b"what\r\n"]
    session = ScriptedSession(CLIENT_HELLO, "S: what")
    session.receive_data(b"\x16\x03\x01\x01\x02" + b"a" * 257)
    assert session.data_to_send() == []
    session.receive_data(b"b")
    assert session.data_to_send() == [b"what\r\n"]
    session = ScriptedSession(CLIENT_HELLO, "C: QUIT", "S: bye")
    session.receive_data(b"\x16\x03\x01\x00\x01aQUIT\r\n")
    assert session.data_to_send() == [b"bye\r\n"]
    with pytest.raises(AssertionError, match="expected a handshake, the client said b'E'"):
        ScriptedSession(CLIENT_HELLO).receive_data(b"E")


def test_what_comes_at_once_is_taken_line_by_line() -> None:
    session = ScriptedSession("C: MAIL", "S: 1", "C: DATA", MAIL_DATA, "S: 2", Answers({"NOOP": "3", "QUIT": "4"}))
    session.receive_data(b"MAIL\r\nDATA\r\n\r\n.\r\nNOOP\r\nNOOP\r\nQUIT\r\n")
    assert session.data_to_send() == [b"1\r\n", b"2\r\n", b"3\r\n", b"3\r\n", b"4\r\n"]


class Counted(bytearray):
    """Octets that count those in which something was looked for."""

    looked_at = 0

    def find(self, sought: Any, start: int = 0) -> int:  # type: ignore[override]
        Counted.looked_at += len(self) - start
        return super().find(sought, start)


@pytest.mark.parametrize("step", ["C: a...", MAIL_DATA])
def test_what_grows_is_not_searched_from_its_beginning(step: Step) -> None:
    session = ScriptedSession(step, "S: ok", LISTEN)
    session._unread = Counted()
    Counted.looked_at = 0
    for _ in range(100):
        session.receive_data(b"a" * 100)
    session.receive_data(b"\r\n.\r\n")
    assert session.data_to_send() == [b"ok\r\n"]
    assert 10_000 <= Counted.looked_at < 12_000


def test_what_is_said_slowly_comes_in_octets_and_what_has_no_end_comes_piece_by_piece() -> None:
    session = ScriptedSession(Slow("S: a", 1), b"b", Slow(Endless(b"xy"), 1))
    assert session.data_to_send() == [b"a", b"\r", b"\n", b"b", b"x"]
    assert session.data_to_send() == [b"y"]
    session.receive_data(b"enough")
    assert session.data_to_send() == [b"x"]
    with pytest.raises(AssertionError, match="beyond the end of the script the client said b'enough'"):
        session.receive_eof()
    assert session.data_to_send() == []
    assert ScriptedSession(Endless(b"xy")).data_to_send() == [b"xy"]


def test_a_table_answers_whatever_comes() -> None:
    table = {"DATA": "354 go", ".": "250 taken", "MAIL FROM:<>": "550-no\n550 never", "MAIL": "250 ok", "BDAT": "250 c"}
    session = ScriptedSession(Answers({**table, "QUIT": "221 bye"}))
    said = b"mail FROM:<a>\r\nMAIL FROM:<>\r\nDATA\r\nhello\r\n.\r\nBDAT 2\r\nxyBDAT 1 LAST\r\nzQUIT\r\n"
    for octet in said:
        session.receive_data(bytes([octet]))
    assert session.data_to_send() == [
        *(b"250 ok\r\n", b"550-no\r\n550 never\r\n", b"354 go\r\n", b"250 taken\r\n"),
        *(b"250 c\r\n", b"250 taken\r\n", b"221 bye\r\n"),
    ]
    refusing = ScriptedSession(Answers({"DATA": "503 no"}))
    refusing.receive_data(b"DATA\r\n")
    assert refusing.data_to_send() == [b"503 no\r\n"]


def test_a_machine_of_the_other_protocol_does_it_as_well() -> None:
    session = ScriptedSession("S: +OK", "C: QUIT", "S: +OK", FIN)
    connection = pop3.Connection()
    connection.receive_data(b"".join(session.data_to_send()))
    assert connection.next_event() is not None
    connection.send(pop3.Quit())
    session.receive_data(b"".join(connection.data_to_send()))
    connection.receive_data(b"".join(session.data_to_send()))
    assert connection.next_event() is not None


def test_what_is_no_step_is_refused() -> None:
    with pytest.raises(ValueError, match="no step of a script"):
        ScriptedSession("QUIT")
