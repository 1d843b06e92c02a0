"""Chunks on a connection, and the session of LMTP (RFC 3030, RFC 2033)."""

from typing import Any

import pytest

from mailwire.errors import ConnectionLost, LocalProtocolError, NotSupported, RemoteProtocolError
from mailwire.smtp import (
    Bdat,
    BdatLast,
    Connection,
    Data,
    Ehlo,
    EndOfData,
    Helo,
    Lhlo,
    Mail,
    Noop,
    Quit,
    Rcpt,
    ReplyReceived,
    Rset,
    State,
    Window,
)
from mailwire.transcript import Transcript
from tests.smtp.sessions import A, B, ask, at, events_of, hear


def flush(connection: Connection) -> bytes:
    return b"".join(connection.data_to_send())


def standing(connection: Connection | None = None, *recipients: str) -> Connection:
    """A connection on which these recipients were accepted."""
    connection = at(State.TRANSACTION, connection)
    for reply in recipients or ("250 ok",):
        ask(connection, Rcpt(B), reply)
    return connection


def test_a_message_goes_in_chunks_of_the_length_they_say() -> None:
    connection = standing()
    first = connection.send_chunk(b"Subject: hello\n\n.\n")
    last = connection.send_chunk(b"end", last=True)
    assert isinstance(first, Bdat)
    assert isinstance(last, BdatLast)
    assert connection.queued_chunks == 2
    assert connection.data_to_send() == [
        b"BDAT 21\r\n",
        b"Subject: hello\r\n\r\n.\r\n",
        b"BDAT 5 LAST\r\n",
        b"end\r\n",
    ]
    assert connection.queued_chunks == 0
    assert connection.in_flight == (first, last)
    assert [event.command for event in hear(connection, "250 21", "250 26") if isinstance(event, ReplyReceived)] == [
        first,
        last,
    ]
    assert connection.state is State.READY


def test_a_chunk_is_not_copied_on_its_way() -> None:
    connection = standing()
    block = b"text\r\n" * 1000
    connection.send_chunk(block, last=True)
    assert connection.data_to_send()[1] is block


def test_a_chunk_that_can_be_changed_is_copied() -> None:
    connection = at(State.READY)
    ask(connection, Mail(A, {"BODY": "BINARYMIME"}), "250 ok")
    ask(connection, Rcpt(B), "250 ok")
    block = bytearray(b"text")
    connection.send_chunk(memoryview(block), last=True)
    block[:] = b"next"
    assert flush(connection) == b"BDAT 4 LAST\r\ntext"


def test_what_is_no_octets_is_no_chunk() -> None:
    connection = standing()
    given: Any = "text"
    with pytest.raises(ValueError, match="expected a block to be bytes, got a value of the type str"):
        connection.send_chunk(given)
    assert (connection.queued_chunks, connection.ahead) == (0, State.TRANSACTION)


def test_a_block_that_only_begins_a_line_end_is_no_chunk_yet() -> None:
    connection = standing()
    assert connection.send_chunk(b"\r") is None
    assert connection.queued_chunks == 0
    assert flush(connection) == b""
    assert connection.ahead is State.TRANSACTION
    connection.send_chunk(b"a", last=True)
    assert flush(connection) == b"BDAT 5 LAST\r\n\r\na\r\n"


def test_the_last_chunk_may_be_of_no_octet() -> None:
    connection = standing()
    connection.send_chunk(b"a\r\n")
    connection.send_chunk(b"", last=True)
    assert connection.data_to_send() == [b"BDAT 3\r\n", b"a\r\n", b"BDAT 0 LAST\r\n"]


def test_each_message_is_mended_from_its_beginning() -> None:
    connection = standing()
    connection.send_chunk(b"a\r")
    flush(connection)
    hear(connection, "250 ok")
    ask(connection, Rset(), "250 ok")
    ask(connection, Mail(A), "250 ok")
    ask(connection, Rcpt(B), "250 ok")
    connection.send_chunk(b"\nb", last=True)
    assert flush(connection) == b"BDAT 5 LAST\r\n\r\nb\r\n"


def test_octets_pass_as_they_are_where_mail_said_that_they_are_binary() -> None:
    connection = at(State.READY)
    ask(connection, Mail(A, {"BODY": "BINARYMIME"}), "250 ok")
    ask(connection, Rcpt(B), "250 ok")
    with pytest.raises(LocalProtocolError, match=r"a binary message goes in chunks \(RFC 3030 3\)"):
        connection.send(Data())
    connection.send_chunk(b"\0\n\r", last=True)
    assert flush(connection) == b"BDAT 3 LAST\r\n\0\n\r"
    hear(connection, "250 ok")
    ask(connection, Mail(A), "250 ok")
    ask(connection, Rcpt(B), "250 ok")
    with pytest.raises(ValueError, match="NUL"):
        connection.send_chunk(b"\0", last=True)
    assert connection.queued == ()
    assert connection.ahead is State.TRANSACTION


def test_no_chunk_goes_to_a_server_that_does_not_take_them() -> None:
    for connection, hello in (
        (Connection(), "250 hello"),
        (Connection(ignored_extensions=["chunking"]), "250 CHUNKING"),
    ):
        at(State.INITIATION, connection)
        ask(connection, Ehlo("c"), "250-hello", hello)
        ask(connection, Mail(A), "250 ok")
        with pytest.raises(NotSupported, match="the server does not offer CHUNKING") as missing:
            connection.send_chunk(b"text")
        assert missing.value.extension == "CHUNKING"
        assert connection.queued == ()


def test_chunks_leave_without_pipelining_one_by_one() -> None:
    connection = standing(Connection(window=Window(commands=1, octets=1)))
    connection.send_chunk(b"a\r\n")
    connection.send_chunk(b"b\r\n", last=True)
    assert flush(connection) == b"BDAT 3\r\na\r\n"
    assert connection.queued_chunks == 1
    hear(connection, "250 ok")
    assert flush(connection) == b"BDAT 3 LAST\r\nb\r\n"


def test_a_mebibyte_of_chunks_is_unanswered_at_most() -> None:
    connection = standing()
    block = b"x" * 65534 + b"\r\n"
    for _ in range(20):
        connection.send_chunk(block)
    flush(connection)
    assert len(connection.in_flight) == 15  # with what their command lines take, 16 would be more
    assert connection.queued_chunks == 5
    huge = standing()
    huge.send_chunk(b"x" * 3_000_000)
    huge.send_chunk(b"y")
    flush(huge)
    assert len(huge.in_flight) == 1  # one may always be


def test_a_refused_chunk_discards_the_chunks_behind_it() -> None:
    connection = standing(Connection(window=Window(commands=2, octets=4096)))
    chunks = [connection.send_chunk(b"text\r\n", last=number == 3) for number in range(4)]
    flush(connection)
    [event] = hear(connection, "552 big")
    assert isinstance(event, ReplyReceived)
    assert event.discarded == tuple(chunks[2:])
    assert connection.state is connection.ahead is State.SPOILED
    assert connection.queued_chunks == 0
    hear(connection, "503 no")
    assert connection.state is State.SPOILED
    assert flush(connection) == b""
    connection.send(Rset())
    connection.send(Mail(A))
    flush(connection)
    hear(connection, "250 ok", "250 ok")
    assert connection.state is State.TRANSACTION


@pytest.mark.parametrize("answer", ["250 ok", "552 no"])
def test_whatever_is_said_of_chunks_behind_a_refused_one_rset_is_due(answer: str) -> None:
    connection = standing()
    connection.send_chunk(b"a")
    connection.send_chunk(b"b")
    connection.send_chunk(b"c", last=True)
    flush(connection)
    hear(connection, "552 no", answer, answer)
    assert connection.state is State.SPOILED
    assert connection.in_flight == ()


def test_what_is_queued_behind_chunks_can_be_discarded_without_them_and_they_without_it() -> None:
    connection = standing()
    chunk = connection.send_chunk(b"a", last=True)
    connection.send(Noop())
    assert connection.discard_queued([Noop()]) == ()  # another one
    assert connection.discard_queued([connection.queued[1]]) == (Noop(),)
    assert connection.discard_queued() == (chunk,)
    assert connection.queued_chunks == 0
    assert connection.ahead is State.TRANSACTION


def test_quit_waits_for_the_verdict_on_the_last_chunk_and_mail_does_not() -> None:
    connection = standing()
    connection.send_chunk(b"a\r\n", last=True)
    connection.send(Mail(A))
    connection.send(Rset())
    connection.send(Quit())
    assert flush(connection) == b"BDAT 3 LAST\r\na\r\nMAIL FROM:<a@example.org>\r\nRSET\r\n"


@pytest.mark.parametrize("code", [220, 221, 354])
def test_what_answers_something_else_is_no_verdict_on_the_last_chunk(code: int) -> None:
    connection = standing()
    last = connection.send_chunk(b"a", last=True)
    flush(connection)
    with pytest.raises(RemoteProtocolError, match=f"expected a final reply to BDAT 3 LAST, got '{code} x'"):
        hear(connection, f"{code} x")
    assert connection.in_flight == (last,)


def test_the_end_between_two_chunks_is_a_lost_connection() -> None:
    connection = at(State.CHUNKS)
    connection.receive_eof()
    with pytest.raises(ConnectionLost, match=r"^the server closed the connection$"):
        connection.next_event()


def test_chunks_are_told_with_their_size_and_not_shown() -> None:
    transcript = Transcript()
    connection = standing(Connection(trace=transcript.record))
    connection.send_chunk(b"secret\r\n", last=True)
    flush(connection)
    assert transcript.tail(2) == ("C: BDAT 8 LAST", "C: (8 octets)")


def test_a_chunk_is_not_sent_as_a_command() -> None:
    connection = standing()
    for command in (Bdat(4), BdatLast(4), EndOfData()):
        with pytest.raises(LocalProtocolError, match="cannot be sent now"):
            connection.send(command)


def test_a_connection_that_was_given_up_sends_and_hears_nothing() -> None:
    connection = standing()
    connection.send_chunk(b"a")
    connection.send(Noop())
    assert [str(command) for command in connection.give_up()] == ["BDAT 1", "NOOP"]
    assert connection.state is State.CLOSED
    assert connection.queued_chunks == 0
    assert flush(connection) == b""
    assert hear(connection, "250 ok") == []


# LMTP


def test_lmtp_begins_with_lhlo_and_smtp_does_not() -> None:
    lmtp, smtp = at(State.INITIATION, Connection(lmtp=True)), at(State.INITIATION)
    for command in (Ehlo("c"), Helo("c")):
        with pytest.raises(LocalProtocolError, match="LMTP begins with LHLO"):
            lmtp.send(command)
    with pytest.raises(LocalProtocolError, match="LMTP begins with LHLO"):
        smtp.send(Lhlo("c"))
    ask(lmtp, Lhlo("[192.0.2.1]"), "250-hello", "250 PIPELINING")
    assert lmtp.extensions is not None
    assert "PIPELINING" in lmtp.extensions
    assert Lhlo("[192.0.2.1]").encode() == b"LHLO [192.0.2.1]\r\n"
    with pytest.raises(ValueError):
        Lhlo("a b")


@pytest.mark.parametrize("chunked", [False, True])
def test_in_lmtp_the_end_is_answered_once_for_each_who_was_accepted(chunked: bool) -> None:
    connection = standing(Connection(lmtp=True), "250 ok", "550 no", "251 ok", "250 ok")
    if chunked:
        end: Bdat | EndOfData | None = connection.send_chunk(b"text", last=True)
    else:
        ask(connection, Data(), "354 go")
        end = connection.end_data()
    connection.send(Mail(A))
    flush(connection)
    for number, answer in enumerate(("250 b", "452 d", "250 e")):
        assert connection.in_flight == (end, Mail(A))
        assert connection.state is (State.TRANSACTION if chunked else State.MAIL_DATA), number
        [event] = hear(connection, answer)
        assert isinstance(event, ReplyReceived)
        assert event.command is end
        assert str(event.reply) == answer
    assert connection.in_flight == (Mail(A),)
    assert connection.state is State.READY
    hear(connection, "250 ok")
    ask(connection, Rcpt(B), "250 ok")
    ask(connection, Data(), "354 go")
    connection.end_data()
    flush(connection)
    hear(connection, "250 ok")
    assert connection.in_flight == ()


def test_in_lmtp_421_is_the_last_verdict() -> None:
    connection = standing(Connection(lmtp=True), "250 ok", "250 ok", "250 ok")
    ask(connection, Data(), "354 go")
    connection.end_data()
    flush(connection)
    assert len(hear(connection, "250 ok", "421 bye", "250 ok")) == 2
    assert connection.state is State.CLOSED
    assert connection.in_flight == ()


def test_in_lmtp_a_verdict_that_belongs_to_something_else_poisons_the_connection() -> None:
    connection = standing(Connection(lmtp=True), "250 ok", "250 ok")
    ask(connection, Data(), "354 go")
    end = connection.end_data()
    flush(connection)
    with pytest.raises(RemoteProtocolError, match="expected a final reply"):
        hear(connection, "250 ok", "221 bye")
    assert connection.in_flight == (end,)


def test_in_lmtp_a_verdict_too_many_poisons_the_connection() -> None:
    connection = standing(Connection(lmtp=True), "250 ok", "550 no")
    ask(connection, Data(), "354 go")
    connection.end_data()
    flush(connection)
    with pytest.raises(RemoteProtocolError, match="expected nothing from the server"):
        hear(connection, "250 ok", "250 ok")


def test_in_lmtp_who_is_accepted_behind_a_refused_mail_is_answered_for_and_nobody_of_the_mail_before() -> None:
    connection = standing(Connection(lmtp=True), "250 ok", "250 ok")
    ask(connection, Data(), "354 go")
    connection.end_data()
    flush(connection)
    hear(connection, "250 b", "250 b")
    for command in (Mail(A), Rcpt(B), Rcpt(B), Data()):
        connection.send(command)
    flush(connection)
    hear(connection, "550 no", "250 ok", "250 ok", "354 go")
    end = connection.end_data()
    flush(connection)
    hear(connection, "503 b")
    assert connection.in_flight == (end,)
    hear(connection, "503 b")
    assert connection.in_flight == ()


@pytest.mark.parametrize(("answer", "standing_still"), [("503 nested", 3), ("250 ok", 1)])
def test_in_lmtp_a_mail_behind_a_refused_rset_begins_anew_if_it_is_accepted(answer: str, standing_still: int) -> None:
    connection = standing(Connection(lmtp=True), "250 ok", "250 ok")
    for command in (Rset(), Mail(A), Rcpt(B)):
        connection.send(command)
    flush(connection)
    hear(connection, "502 no", answer, "250 ok")
    ask(connection, Data(), "354 go")
    end = connection.end_data()
    flush(connection)
    for _ in range(standing_still):
        assert connection.in_flight == (end,)
        hear(connection, "250 ok")
    assert connection.in_flight == ()


# What the server offers


def test_extensions_that_are_ignored_are_taken_for_not_announced() -> None:
    connection = at(State.INITIATION, Connection(ignored_extensions=["pipelining", "SIZE"]))
    ask(connection, Ehlo("c"), "250-hello", "250-PIPELINING", "250-SIZE 5", "250 8BITMIME")
    assert connection.extensions is not None
    assert list(connection.extensions) == ["8BITMIME"]
    connection.send(Mail(A))
    connection.send(Rcpt(B))
    assert flush(connection) == b"MAIL FROM:<a@example.org>\r\n"


def test_tls_from_the_beginning_is_told_before_the_greeting() -> None:
    connection = Connection()
    assert not connection.is_secured
    connection.tls_established(is_verified=True)
    assert connection.is_secured
    assert connection.is_verified
    assert connection.state is State.GREETING
    hear(connection, "220 hello")
    assert connection.greeting is not None
    with pytest.raises(LocalProtocolError, match="no TLS session can begin now"):
        connection.tls_established()


def test_whether_the_server_has_proved_its_name_is_what_the_caller_says() -> None:
    connection = at(State.TLS)
    connection.tls_established()
    assert connection.is_secured
    assert not connection.is_verified
    assert events_of(connection) == []
