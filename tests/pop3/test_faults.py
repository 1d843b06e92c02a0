"""What is said where an answer is due and is none, or where nothing is due; and where an answer stands still."""

import pytest

from mailwire.errors import ConnectionLost, Desynchronised, MessageTruncated, RemoteProtocolError
from mailwire.pop3 import Capa, Command, Connection, Dele, List, Noop, Quit, Retr, Stat, Top, Uidl, User
from mailwire.pop3.states import CLOSED
from tests.pop3.sessions import CANARY, ask, greeted, logged_in, octets, tell


def fault(connection: Connection, *commands: Command[object], said: bytes) -> RemoteProtocolError:
    ask(connection, *commands)
    with pytest.raises(RemoteProtocolError) as caught:
        tell(connection, said)
    return caught.value


@pytest.mark.parametrize(
    ("commands", "said", "cause", "suspect"),
    [
        (
            # A server that does not double dots, and a message with a dot on a line of its own.
            [Retr(1), Dele(1)],
            b"+OK\r\nSubject: x\r\n.\r\nthe rest\r\n.\r\n+OK\r\n",
            "got b'the rest' (in answer to DELE 1): the answer to RETR 1 may have held a line with nothing but a dot",
            "RETR 1",
        ),
        (
            [Top(7, 3)],
            b"+OK\r\nSubject: x\r\n.\r\nthe rest\r\n.\r\n",
            "got b'the rest' (though nothing was asked): the answer to TOP 7 3 may have held",
            "TOP 7 3",
        ),
        (
            [Retr(1)],
            b"+OK\r\n.\r\n+OK forged\r\n",
            "expected nothing from the server, got '+OK forged': the answer to RETR 1 may have held",
            "RETR 1",
        ),
        ([Dele(1), Dele(2)], b"+OK\r\n\r\n", "got b'' (in answer to DELE 2): a stray empty line", None),
        (
            [Dele(1)],
            b"+OK\r\n+OK\r\n",
            "expected nothing from the server, got '+OK': DELE 1 may have been answered twice",
            None,
        ),
        ([Dele(1)], b".\r\n", "got b'.' (in answer to DELE 1): an answer of many lines", None),
        (
            [Noop(), Stat()],
            b"+OK\r\n+ERR\r\n",
            "got b'+ERR' (in answer to STAT): a server that says +ERR",
            None,
        ),
        (
            [Retr(1)],
            b"+OK\r\n+OK 5 octets\r\n",
            "expected RETR 1 to be answered by a message, got a second answer, b'+OK 5 octets': an answer too many has "
            "come, or a server that answers twice (Quirks.second_status)",
            None,
        ),
        ([List()], b".\r\n", "got b'.' (in answer to LIST)", None),
        ([Uidl()], b"1 uid\r\n", "got b'1 uid' (in answer to UIDL)", None),
        ([Stat()], b"+OK 0 0\r\nnoise\r\n", "got b'noise' (though nothing was asked)", None),
    ],
)
def test_what_is_no_answer_names_what_is_likely_to_be_behind_it(
    commands: list[Command[object]], said: bytes, cause: str, suspect: str | None
) -> None:
    error = fault(logged_in(), *commands, said=said)
    assert type(error) is Desynchronised
    assert cause in str(error)
    assert error.suspect == suspect
    assert str(error).isprintable()


def test_only_the_message_that_was_answered_last_is_suspect() -> None:
    error = fault(logged_in(), Retr(1), Dele(1), Noop(), said=b"+OK\r\n.\r\n+OK\r\nnoise\r\n")
    assert isinstance(error, Desynchronised)
    assert (error.suspect, "RETR" in str(error)) == (None, False)


def test_before_the_maildrop_is_open_nothing_can_be_out_of_step() -> None:
    for connection, command in ((Connection(), Capa()), (greeted(), User("tim"))):
        error = fault(connection, command, said=b"220 ready\r\n")
        assert type(error) is RemoteProtocolError


def test_what_lies_unread_is_out_of_step_too() -> None:
    connection = logged_in()
    ask(connection, Retr(1))
    tell(connection, b"+OK\r\nx\r\n.\r\n")
    connection.receive_data(b"more of it")
    connection.send(Dele(1))
    with pytest.raises(Desynchronised, match=r"expected nothing from the server, got .*the answer to RETR 1") as caught:
        connection.data_to_send()
    assert caught.value.suspect == "RETR 1"


# How far an answer came


def progress(connection: Connection, *pieces: bytes) -> str:
    tell(connection, *pieces)
    return connection.progress


def test_a_machine_tells_how_far_an_answer_came() -> None:
    connection = logged_in()
    assert connection.progress == "no answer is awaited"
    connection.send(Retr(1))
    assert connection.progress == "RETR 1 has not left yet"
    connection.data_to_send()
    assert connection.progress == "of the answer to RETR 1 came nothing"
    assert progress(connection, b"+O") == "of the answer to RETR 1 came (2 octets)"
    assert progress(connection, b"K\r\n") == "of the answer to RETR 1 came 0 octets"
    assert progress(connection, b"Subject: secret.\r\n") == (
        "of the answer to RETR 1 came 18 octets, the last of them like b'xxxxx.\\r\\n': "
        "the dot may be the end, sent without the line end before it"
    )
    assert (
        progress(connection, b"a.b\r\n")
        == "of the answer to RETR 1 came 23 octets, the last of them like b'.\\r\\nx.x\\r\\n'"
    )
    assert progress(connection, b".\r") == (
        "of the answer to RETR 1 came 23 octets, the last of them like b'\\nx.x\\r\\n.\\r': "
        "the end may lack its last octet (Quirks.cut_terminator)"
    )
    assert progress(connection, b"\n") == "no answer is awaited"


def test_how_far_a_listing_came_is_told_too() -> None:
    connection = logged_in()
    ask(connection, List())
    assert progress(connection, b"+OK\r\n1 5\r\n") == (
        "of the answer to LIST came 5 octets, the last of them like b'x x\\r\\n'"
    ).replace("x x", "xxx")


def test_a_message_cut_off_shows_how_it_looked_and_nothing_of_it() -> None:
    for pieces in ([b"+OK\r\nmy secret is " + CANARY.encode()], octets(b"+OK\r\nmy secret is " + CANARY.encode())):
        connection = logged_in()
        ask(connection, Retr(1), Retr(2))
        tell(connection, *pieces)
        connection.receive_eof()
        with pytest.raises(MessageTruncated) as caught:
            connection.next_event()
        assert str(caught.value) == (
            "the server closed the connection in the middle of its answer to RETR 1 and 1 more, "
            "after 29 octets, the last of them like b'xxxxxxxx'"
        )
        assert (caught.value.octets, caught.value.in_flight) == (29, ("RETR 1", "RETR 2"))


def test_a_connection_lost_before_an_answer_says_what_came_of_it() -> None:
    connection = greeted()
    ask(connection, Quit())
    tell(connection, b"+O")
    connection.receive_eof()
    with pytest.raises(ConnectionLost, match=r"instead of answering QUIT, in the middle of a line: b'\+O'"):
        connection.next_event()


def test_a_connection_that_was_cut_on_this_side_has_not_been_left_by_the_server() -> None:
    idle, asked, given = logged_in(), logged_in(), logged_in()
    ask(asked, List())
    ask(given, Retr(1))
    tell(given, b"+OK\r\n")
    errors = []
    for connection in (idle, asked, given):
        connection.receive_eof(is_ours=True)
        with pytest.raises(ConnectionLost) as caught:
            connection.next_event()
        errors.append(caught.value)
        assert connection.state is CLOSED
    assert isinstance(errors[-1], MessageTruncated)
    assert [str(error) for error in errors] == [
        "the connection was cut on this side",
        "the connection was cut on this side before the answer to LIST",
        "the connection was cut on this side in the middle of the answer to RETR 1, after 0 octets",
    ]
