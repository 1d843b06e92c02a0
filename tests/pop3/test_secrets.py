"""Whatever a server says back of what it was told, no secret shows: not in an event of the login, not in an error, its
pickle or its frames, not in the transcript."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

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
)
from mailwire.pop3 import (
    DEFAULT_LIMITS,
    Apop,
    Auth,
    Command,
    Connection,
    Event,
    Pass,
    RefusalCause,
    Response,
    ResponseReceived,
    ServerClosing,
    Stat,
    State,
    Stls,
    User,
)
from tests.pop3.sessions import TIMESTAMP, Language, greeted, take
from tests.sasl.secrecy import CANARY, KEEPERS, assert_hidden, said_back

Make = Callable[[], Command[object]]


@dataclass(frozen=True)
class Login:
    """A command that tells the canary, and the challenges behind which it has told all that it tells."""

    make: Make
    challenges: tuple[bytes, ...] = ()


def by_mechanism(name: str) -> Login:
    keeper = KEEPERS[name]
    return Login(lambda: Auth(keeper.make(), keeper.sends_initial_response), keeper.challenges)


LOGINS: Mapping[str, Login] = {
    "PASS": Login(lambda: Pass(CANARY)),
    "APOP": Login(lambda: Apop("tim", CANARY, TIMESTAMP)),
    **{name: by_mechanism(name) for name in KEEPERS},
}
every_login = pytest.mark.parametrize("login", LOGINS.values(), ids=list(LOGINS))
every_exchange = pytest.mark.parametrize("login", [LOGINS[name] for name in KEEPERS], ids=list(KEEPERS))


class Talk:
    """A session in which the server is told a secret, and says `echo` back."""

    def __init__(self, command: Command[object]) -> None:
        self.lines: list[str] = []  # of the transcript
        self.events: list[Event] = []
        self.written: list[bytes] = []
        self.echo = b""
        self.connection = greeted(trace=self._listen)
        self.command = command
        self.send(command)

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
        self.events += take(self.connection)
        self.write()

    def hear(self, *lines: bytes) -> None:
        """Let the server say `lines`, one after the other."""
        for line in lines:
            self.receive(line + b"\r\n")

    def refuse(self) -> None:
        """Let the server refuse the credentials, and say nothing wrong."""
        self.hear(b"-ERR no")
        assert self.connection.state is State.AUTHORIZATION


def told(login: Login, rounds: int) -> Talk:
    """A session in which the server has asked `rounds` times."""
    talk = Talk(login.make())
    for challenge in login.challenges[:rounds]:
        talk.hear(b"+ " + challenge)
    return talk


def hang_up(talk: Talk) -> None:
    talk.connection.receive_eof()
    take(talk.connection)


def answered(*lines: bytes) -> Callable[[Talk], None]:
    def script(talk: Talk) -> None:
        talk.refuse()
        talk.send(Language())
        talk.hear(*lines)

    return script


def unread(talk: Talk) -> None:
    talk.refuse()
    talk.connection.receive_data(b"+OK " + talk.echo + b"\r\n+OK " + talk.echo[:-3])
    talk.send(User("tim"))


def injected(talk: Talk) -> None:
    talk.refuse()
    talk.send(Stls())
    talk.receive(b"+OK\r\n+OK @\r\n")


# What the server says, and what that ends in; where nothing is said here, the exchange decides.
Script = Callable[[Talk], None]
SCRIPTS: Mapping[str, tuple[Script, type[MailwireError] | None]] = {
    "refusal": (lambda talk: talk.hear(b"-ERR [AUTH] no such password: @"), None),
    "refusal by the secret alone": (lambda talk: talk.hear(b"-ERR @"), None),
    "garbage": (lambda talk: talk.hear(b"@"), RemoteProtocolError),
    "garbage behind +OK": (lambda talk: talk.hear(b"+OK@"), RemoteProtocolError),
    "garbage behind -ERR": (lambda talk: talk.hear(b"-ERR@"), RemoteProtocolError),
    "no challenge": (lambda talk: talk.hear(b"+@"), RemoteProtocolError),
    "NUL": (lambda talk: talk.hear(b"-ERR \0@"), RemoteProtocolError),
    "long line": (lambda talk: talk.hear(b"-ERR @" + b" " * DEFAULT_LIMITS.line), LimitExceeded),
    "endless line": (lambda talk: talk.receive(b"-ERR @" + b" @" * DEFAULT_LIMITS.line), LimitExceeded),
    "cut": (lambda talk: (talk.receive(b"-ERR @"), hang_up(talk))[1], ConnectionLost),
    "unasked refusal": (lambda talk: (talk.refuse(), talk.hear(b"-ERR idle @"))[1], None),
    "unasked success": (lambda talk: (talk.refuse(), talk.hear(b"+OK @"))[1], RemoteProtocolError),
    "unasked garbage": (lambda talk: (talk.refuse(), talk.hear(b"@"))[1], RemoteProtocolError),
    "cut later": (lambda talk: (talk.refuse(), talk.receive(b"-ERR @"), hang_up(talk))[2], ConnectionLost),
    "unread later": (unread, RemoteProtocolError),
    "garbage in answer": (answered(b"@"), RemoteProtocolError),
    "challenge in answer": (answered(b"+ @"), RemoteProtocolError),
    "injected": (injected, InjectedData),
}
CHALLENGES: Mapping[str, tuple[Script, type[MailwireError] | None]] = {
    "refused challenge": (lambda talk: talk.hear(b"+ @", b"-ERR @"), None),
    "challenges for ever": (lambda talk: talk.hear(*[b"+ @"] * 20), AuthenticationFailed),
    "success behind the cancel": (lambda talk: talk.hear(b"+ !@", b"+OK @"), AuthenticationFailed),
}


def play(talk: Talk, script: Script) -> MailwireError | None:
    try:
        script(talk)
    except MailwireError as error:
        return error
    return None


def assert_nothing_shows(talk: Talk, error: MailwireError | None) -> None:
    connection, command = talk.connection, talk.command
    assert_hidden(CANARY, *talk.events, *talk.lines, connection, connection.in_flight, connection.queued, command)
    if isinstance(command, Auth):
        assert_hidden(CANARY, command.exchange, command.exchange.failure, command.exchange.error())
    if error is not None:
        assert_hidden(CANARY, error, vars(error))


def check(login: Login, script: Script, ends_in: type[MailwireError] | None) -> None:
    for rounds in range(len(login.challenges) + 1):
        as_sent = told(login, rounds).written[-1].split()[-1]
        for echo in (*said_back(CANARY), as_sent):
            talk = told(login, rounds)
            talk.echo = echo
            error = play(talk, script)
            assert isinstance(error, ends_in) if ends_in else error is None, error
            assert_nothing_shows(talk, error)
            if rounds == len(login.challenges) and echo == as_sent:
                assert echo.decode() not in f"{error} {talk.events} {talk.lines}"


@every_login
@pytest.mark.parametrize(("script", "ends_in"), SCRIPTS.values(), ids=list(SCRIPTS))
def test_nothing_that_the_server_says_back_is_shown(
    login: Login, script: Script, ends_in: type[MailwireError] | None
) -> None:
    check(login, script, ends_in)


@every_exchange
@pytest.mark.parametrize(("script", "ends_in"), CHALLENGES.values(), ids=list(CHALLENGES))
def test_nothing_that_the_server_says_back_as_a_challenge_is_shown(
    login: Login, script: Script, ends_in: type[MailwireError] | None
) -> None:
    check(login, script, ends_in)


@every_login
def test_a_success_does_not_show_it_whether_it_can_be_believed_or_not(login: Login) -> None:
    for rounds in range(len(login.challenges) + 1):
        for echo in said_back(CANARY):
            talk = told(login, rounds)
            talk.echo = echo
            error = play(talk, lambda talk: talk.hear(b"+OK welcome, @"))
            believed = not isinstance(talk.command, Auth) or talk.command.exchange.is_complete
            assert isinstance(error, AuthenticationFailed) is not believed
            assert talk.connection.state is (State.TRANSACTION if believed else State.CLOSED)
            assert_nothing_shows(talk, error)


@pytest.mark.parametrize("echo", list(said_back(CANARY)))
@pytest.mark.parametrize("cut", range(1, 12))
def test_of_a_line_that_is_cut_off_nothing_is_shown(echo: bytes, cut: int) -> None:
    for ends_in in (ConnectionLost, LimitExceeded):
        talk = told(LOGINS["PASS"], 0)
        beginning = echo[:-cut]
        if ends_in is LimitExceeded:
            talk.echo = b"-ERR " + b" " * (DEFAULT_LIMITS.line - 4 - len(beginning)) + beginning
        else:
            talk.echo = b"-ERR " + beginning
        error = play(talk, lambda talk: (talk.receive(b"@"), hang_up(talk))[1])
        assert type(error) is ends_in
        assert str(len(talk.echo)) in str(error)
        assert beginning.decode()[:8] not in f"{error} {talk.lines}"


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_listing_without_end_does_not_show_it(size: int) -> None:
    wire = b"+OK\r\n" + CANARY.encode() + b"\r\n" + CANARY.encode() * 10
    talk = told(LOGINS["PASS"], 0)
    talk.hear(b"+OK")
    talk.send(Language())

    def script(talk: Talk) -> None:
        for place in range(0, len(wire), size):
            talk.receive(wire[place : place + size])

    error = play(talk, script)
    assert type(error) is LimitExceeded
    assert CANARY[:8] not in str(error)
    assert str(error).endswith("it begins with b'****\\r\\n' (250 octets)") is (size == 1000)


def test_what_was_told_is_masked_and_the_rest_is_shown() -> None:
    talk = told(LOGINS["PASS"], 0)
    talk.echo = CANARY.encode()
    talk.hear(b"-ERR [AUTH] @ is wrong, tim")
    assert talk.events == [ResponseReceived(Pass(CANARY), Response(False, b"[AUTH] **** is wrong, tim"))]
    assert talk.lines[-1] == "S: -ERR [AUTH] **** is wrong, tim"
    talk.hear(b"-ERR @, bye")
    assert talk.events[-1] == ServerClosing(Response(False, b"****, bye"))
    assert talk.lines[-1] == "S: -ERR ****, bye"


@pytest.mark.parametrize("password", ["+OK fine", "-ERR", "+OK ", "fine"])
def test_a_password_that_looks_like_a_status_does_not_change_the_status(password: str) -> None:
    for line, ok in ((b"+OK fine", True), (b"-ERR fine", False), (b"-ERR", False), (b"+OK", True)):
        talk = Talk(Pass(password))
        talk.hear(line)
        [event] = talk.events
        assert isinstance(event, ResponseReceived)
        assert event.response.ok is ok


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (answered(b"what, @"), "expected +OK or -ERR and a text, got b'what, ****' (in answer to LANG)"),
        (answered(b"+ @"), "expected +OK or -ERR and a text, got b'+ ****' (in answer to LANG)"),
        (unread, r"expected nothing from the server, got b'+OK ****\r\n' (26 octets)"),
        (lambda talk: talk.hear(b"+OK@"), "got b'+OK****' (in answer to PASS ****)"),
    ],
)
def test_an_error_says_what_it_can(script: Script, said: str) -> None:
    talk = told(LOGINS["PASS"], 0)
    talk.echo = CANARY.encode()
    error = play(talk, script)
    assert type(error) is RemoteProtocolError
    assert str(error).endswith(said)


def test_an_answer_to_a_later_command_is_handed_out_as_it_came() -> None:
    # Else a password that is a word would change what a server says of the maildrop.
    talk = told(LOGINS["PASS"], 0)
    talk.hear(b"+OK")
    talk.send(Stat())
    talk.hear(b"+OK 2 320 " + CANARY.encode())
    assert talk.events[-1] == ResponseReceived(Stat(), Response(True, b"2 320 " + CANARY.encode()))


def test_a_refusal_of_a_later_command_does_not_show_it() -> None:
    # It is a success that is handed out as it came: a refusal ends in errors and logs.
    for login in LOGINS.values():
        for echo in said_back(CANARY):
            talk = told(login, len(login.challenges))
            talk.refuse()
            talk.send(Language())
            talk.echo = echo
            talk.hear(b"-ERR [SYS/TEMP] no text for @")
            event = talk.events[-1]
            assert isinstance(event, ResponseReceived)
            assert event.response.cause is RefusalCause.TEMPORARY
            assert_nothing_shows(talk, None)


def test_what_was_told_first_is_masked_when_something_else_was_told_since() -> None:
    talk = told(LOGINS["APOP"], 0)
    digest = talk.written[-1].split()[-1]
    talk.refuse()
    talk.send(Pass("another"))
    talk.echo = CANARY.encode()
    talk.hear(b"-ERR neither " + digest + b" nor another")
    assert talk.events[-1] == ResponseReceived(Pass("another"), Response(False, b"neither **** nor ****"))
    talk.hear(b"-ERR @ another " + digest)
    assert talk.events[-1] == ServerClosing(Response(False, b"**** **** ****"))
    assert_nothing_shows(talk, None)


@every_login
def test_a_call_that_is_refused_does_not_show_it(login: Login) -> None:
    talk = told(login, len(login.challenges))
    with pytest.raises(LocalProtocolError, match="not answered yet") as refusal:
        talk.send(User("tim"))
    assert_hidden(CANARY, refusal.value)
    talk.hear(b"+OK" if not isinstance(talk.command, Auth) else b"-ERR")
    if isinstance(talk.command, Auth):
        with pytest.raises(LocalProtocolError, match="was sent already") as refusal:
            talk.send(talk.command)
        assert_hidden(CANARY, refusal.value)


def test_the_greeting_of_the_next_connection_is_quoted_without_what_was_told_on_the_one_before() -> None:
    first = Talk(Pass(CANARY))
    again = Connection()
    again.mask_as(first.connection)
    again.receive_data(f"-ERR I know {CANARY}\r\n".encode())
    event = again.next_event()
    assert isinstance(event, ResponseReceived)
    assert event.response.line == b"I know ****"
