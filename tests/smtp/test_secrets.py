"""Whatever a server says back of what it was told, no secret shows: not in an event of the exchange, not in an error,
its pickle or its frames, not in the transcript."""

from collections.abc import Callable, Mapping

import pytest

from mailwire._wire.trace import Direction, Traceable
from mailwire.errors import (
    AuthenticationFailed,
    ConnectionLost,
    InjectedData,
    LimitExceeded,
    LocalProtocolError,
    MailwireError,
    RemoteProtocolError,
    TLSFailed,
)
from mailwire.sasl import Mechanism, Password, Plain
from mailwire.smtp import (
    Auth,
    Command,
    Connection,
    Data,
    Event,
    Mail,
    Noop,
    Reply,
    ReplyReceived,
    ServerClosing,
    StartTls,
    State,
)
from mailwire.smtp.reply import LINE_LIMIT, REPLY_LINE_LIMIT
from tests.sasl.secrecy import CANARY, KEEPERS, Keeper, assert_hidden, said_back
from tests.smtp.sessions import A, at, events_of, reply

every_keeper = pytest.mark.parametrize("keeper", KEEPERS.values(), ids=list(KEEPERS))


class Talk:
    """A session in which the server is told a secret, and says `echo` back."""

    def __init__(self, mechanism: Mechanism, *, sends_initial_response: bool = True) -> None:
        self.lines: list[str] = []  # of the transcript
        self.events: list[Event] = []
        self.written: list[bytes] = []
        self.echo = b""
        self.connection = at(State.READY, Connection(trace=self._listen))
        self.command = Auth(mechanism, sends_initial_response)
        self.send(self.command)

    def _listen(self, direction: Direction, what: Traceable) -> None:
        self.lines += [f"{direction}: {line}" for line in what.shown()]

    def send(self, command: Command[object]) -> None:
        self.connection.send(command)
        self.write()

    def write(self) -> None:
        self.written += self.connection.data_to_send()

    def receive(self, data: bytes) -> None:
        """Let the server say `data`, in which @ stands for the echo."""
        self.connection.receive_data(data.replace(b"@", self.echo))
        self.events += events_of(self.connection)
        self.write()

    def hear(self, *lines: bytes) -> None:
        """Let the server say `lines`, one after the other."""
        for line in lines:
            self.receive(line + b"\r\n")

    def refuse(self) -> None:
        """Let the server refuse the credentials, and say nothing wrong."""
        self.hear(b"535 no")
        assert self.connection.state is State.READY


def told(keeper: Keeper, rounds: int) -> Talk:
    """A session in which the server has asked `rounds` times."""
    talk = Talk(keeper.make(), sends_initial_response=keeper.sends_initial_response)
    for challenge in keeper.challenges[:rounds]:
        talk.hear(b"334 " + challenge)
    return talk


def hang_up(talk: Talk) -> None:
    talk.connection.receive_eof()
    events_of(talk.connection)


def answered_with_garbage(talk: Talk) -> None:
    talk.refuse()
    talk.send(Noop())
    talk.hear(b"@")


def answered_out_of_place(talk: Talk) -> None:
    talk.refuse()
    talk.send(Mail(A))
    talk.hear(b"354 @")


def unread(talk: Talk) -> None:
    talk.refuse()
    talk.connection.receive_data(b"250 " + talk.echo + b"\r\n250 " + talk.echo[:-3])
    talk.send(Noop())


def starting_tls(*lines: bytes) -> Callable[[Talk], None]:
    def script(talk: Talk) -> None:
        talk.refuse()
        talk.send(StartTls())
        talk.receive(b"".join(line + b"\r\n" for line in lines))

    return script


# What the server says, and what that ends in; where nothing is said here, the exchange decides.
Script = Callable[[Talk], None]
SCRIPTS: Mapping[str, tuple[Script, type[MailwireError] | None]] = {
    "refusal": (lambda talk: talk.hear(b"535 5.7.8 no such password: @"), None),
    "refusal in lines": (lambda talk: talk.hear(b"535-@ and", b"535-5.7.8 so on @", b"535 @"), None),
    "421": (lambda talk: talk.hear(b"421 @"), None),
    "refused challenge": (lambda talk: talk.hear(b"334 @", b"535 @"), None),
    "challenge in lines": (lambda talk: talk.hear(b"334-@", b"334 @", b"501 @"), None),
    "challenges for ever": (lambda talk: talk.hear(*[b"334 @"] * 20), AuthenticationFailed),
    "garbage": (lambda talk: talk.hear(b"@"), RemoteProtocolError),
    "garbage with a code": (lambda talk: talk.hear(b"535@"), RemoteProtocolError),
    "garbage behind a line": (lambda talk: talk.hear(b"535-@", b"@"), RemoteProtocolError),
    "another code": (lambda talk: talk.hear(b"535-a", b"550 @"), RemoteProtocolError),
    "NUL": (lambda talk: talk.hear(b"535 \0@"), RemoteProtocolError),
    "endless reply": (lambda talk: talk.hear(*[b"535-@"] * (REPLY_LINE_LIMIT + 1)), LimitExceeded),
    "long line": (lambda talk: talk.hear(b"535 @" + b" " * LINE_LIMIT), LimitExceeded),
    "endless line": (lambda talk: talk.receive(b"535 @" + b" @" * LINE_LIMIT), LimitExceeded),
    "cut": (lambda talk: (talk.receive(b"535 @"), hang_up(talk))[1], ConnectionLost),
    "cut behind a line": (lambda talk: (talk.receive(b"535-@\r\n53"), hang_up(talk))[1], ConnectionLost),
    "421 later": (lambda talk: (talk.refuse(), talk.hear(b"421-@", b"421 bye @"))[1], None),
    "reply later": (lambda talk: (talk.refuse(), talk.hear(b"250 @"))[1], RemoteProtocolError),
    "garbage later": (lambda talk: (talk.refuse(), talk.hear(b"@"))[1], RemoteProtocolError),
    "cut later": (lambda talk: (talk.refuse(), talk.receive(b"421 @"), hang_up(talk))[2], ConnectionLost),
    "unread later": (unread, RemoteProtocolError),
    "garbage in reply": (answered_with_garbage, RemoteProtocolError),
    "injected": (starting_tls(b"220 go", b"250 @"), InjectedData),
}


def play(talk: Talk, script: Script) -> MailwireError | None:
    try:
        script(talk)
    except MailwireError as error:
        return error
    return None


def assert_nothing_shows(talk: Talk, error: MailwireError | None) -> None:
    connection, command = talk.connection, talk.command
    assert_hidden(CANARY, *talk.events, *talk.lines, connection, connection.in_flight, connection.queued)
    assert_hidden(CANARY, command, command.exchange, command.exchange.failure, command.exchange.error())
    if error is not None:
        assert_hidden(CANARY, error, vars(error))


@every_keeper
@pytest.mark.parametrize(("script", "ends_in"), SCRIPTS.values(), ids=list(SCRIPTS))
def test_nothing_that_the_server_says_back_is_shown(
    keeper: Keeper, script: Script, ends_in: type[MailwireError] | None
) -> None:
    for rounds in range(len(keeper.challenges) + 1):
        as_sent = told(keeper, rounds).written[-1].split()[-1]
        for echo in (*said_back(CANARY), as_sent):
            talk = told(keeper, rounds)
            talk.echo = echo
            error = play(talk, script)
            assert isinstance(error, ends_in) if ends_in else error is None, error
            assert_nothing_shows(talk, error)
            if rounds == len(keeper.challenges) and echo == as_sent != b"=":
                shown = f"{error} {talk.events} {talk.lines}"
                assert echo.decode() not in shown


@every_keeper
@pytest.mark.parametrize("line", [b"235 welcome, @", b"235-welcome\r\n235 @"])
def test_a_success_does_not_show_it_whether_it_can_be_believed_or_not(keeper: Keeper, line: bytes) -> None:
    for rounds in range(len(keeper.challenges) + 1):
        for echo in said_back(CANARY):
            talk = told(keeper, rounds)
            talk.echo = echo
            error = play(talk, lambda talk: talk.hear(line))
            believed = talk.command.exchange.is_complete
            assert isinstance(error, AuthenticationFailed) is not believed
            assert talk.connection.is_authenticated is believed
            assert_nothing_shows(talk, error)


@pytest.mark.parametrize("echo", list(said_back(CANARY)))
@pytest.mark.parametrize("cut", range(1, 12))
def test_of_a_line_that_is_cut_off_nothing_is_shown(echo: bytes, cut: int) -> None:
    for ends_in in (ConnectionLost, LimitExceeded):
        talk = told(KEEPERS["PLAIN"], 0)
        beginning = echo[:-cut]
        if ends_in is LimitExceeded:
            talk.echo = b"535 " + b" " * (LINE_LIMIT - 3 - len(beginning)) + beginning
        else:
            talk.echo = b"535 " + beginning
        error = play(talk, lambda talk: (talk.receive(b"@"), hang_up(talk))[1])
        assert type(error) is ends_in
        assert str(len(talk.echo)) in str(error)
        assert beginning.decode()[:8] not in f"{error} {talk.lines}"


def test_what_was_told_is_masked_and_the_rest_is_shown() -> None:
    talk = told(KEEPERS["PLAIN"], 0)
    talk.echo = CANARY.encode()
    talk.hear(b"535-5.7.8 @ is wrong,", b"535 5.7.8 tim")
    assert talk.events == [
        ReplyReceived(talk.command, Reply(535, (b"5.7.8 **** is wrong,", b"5.7.8 tim"))),
    ]
    assert talk.lines[-2:] == ["S: 535-5.7.8 **** is wrong,", "S: 535 5.7.8 tim"]
    talk.hear(b"421 @, bye")
    assert talk.events[-1] == ServerClosing(reply(421, b"****, bye"))
    assert talk.lines[-1] == "S: 421 ****, bye"


@pytest.mark.parametrize(
    ("script", "ends_in", "said"),
    [
        (
            answered_out_of_place,
            RemoteProtocolError,
            "expected a final reply to MAIL FROM:<a@example.org>, got '354 ****'",
        ),
        (starting_tls(b"250 @"), TLSFailed, "expected 220 in reply to STARTTLS, got '250 ****'"),
        (answered_with_garbage, RemoteProtocolError, r"got b'****' (in reply to NOOP)"),
        (unread, RemoteProtocolError, r"got b'250 ****\r\n' (26 octets)"),
    ],
)
def test_an_error_says_what_it_can(script: Script, ends_in: type[MailwireError], said: str) -> None:
    talk = told(KEEPERS["PLAIN"], 0)
    talk.echo = CANARY.encode()
    error = play(talk, script)
    assert type(error) is ends_in
    assert str(error).endswith(said)


def test_a_reply_to_a_later_command_is_handed_out_as_it_came() -> None:
    # Else a password that is a word would change what a server says of a mail.
    talk = told(KEEPERS["PLAIN"], 0)
    talk.hear(b"235 ok")
    talk.send(Mail(A))
    talk.hear(b"250 " + CANARY.encode())
    assert talk.events[-1] == ReplyReceived(Mail(A), reply(250, CANARY.encode()))


@every_keeper
@pytest.mark.parametrize("code", [400, 421, 554, 599])
def test_a_refusal_of_a_later_command_does_not_show_it(keeper: Keeper, code: int) -> None:
    # It is a success that is handed out as it came: a refusal ends in errors and logs.
    as_sent = told(keeper, len(keeper.challenges)).written[-1].split()[-1]
    for echo in (*said_back(CANARY), as_sent):
        talk = told(keeper, len(keeper.challenges))
        talk.refuse()
        talk.send(Mail(A))
        talk.echo = echo
        talk.hear(b"%d-no mail" % code, b"%d from @" % code)
        event = talk.events[-1]
        assert isinstance(event, ReplyReceived)
        assert event.reply.code == code
        assert_nothing_shows(talk, None)


def test_what_was_told_first_is_masked_when_something_else_was_told_since() -> None:
    talk = told(KEEPERS["XOAUTH2"], 0)
    talk.refuse()
    talk.command = Auth(Plain(Password("tim", "another")))
    talk.send(talk.command)
    talk.echo = CANARY.encode()
    talk.hear(b"535 neither @ nor another")
    assert str(talk.events[-1]).count("****") == 1 + 1
    talk.hear(b"421 @ another")
    assert talk.events[-1] == ServerClosing(reply(421, b"**** ****"))
    assert_nothing_shows(talk, None)


@every_keeper
def test_a_call_that_is_refused_does_not_show_it(keeper: Keeper) -> None:
    talk = told(keeper, len(keeper.challenges))
    for command, problem in ((talk.command, "was sent already"), (Data(), "not answered yet")):
        with pytest.raises(LocalProtocolError, match=problem) as refusal:
            talk.send(command)
        assert_hidden(CANARY, refusal.value)


def test_the_greeting_of_the_next_connection_is_quoted_without_what_was_told_on_the_one_before() -> None:
    first = Talk(Plain(Password("tim", CANARY)))
    again = Connection()
    again.mask_as(first.connection)
    again.receive_data(f"554 I know {CANARY}\r\n".encode())
    [event] = events_of(again)
    assert isinstance(event, ReplyReceived)
    assert event.reply == reply(554, b"I know ****")
