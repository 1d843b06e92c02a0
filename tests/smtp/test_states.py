from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest

from mailwire.errors import LocalProtocolError, MailwireError, RemoteProtocolError, TLSFailed
from mailwire.smtp import (
    TRANSITIONS,
    Auth,
    Bdat,
    BdatLast,
    Command,
    Connection,
    Data,
    Ehlo,
    EndOfData,
    Event,
    Expn,
    Greeting,
    Helo,
    Help,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Reply,
    ReplyReceived,
    Rset,
    StartTls,
    State,
    Transition,
    Vrfy,
)
from mailwire.smtp.states import overtaken, transition
from tests.smtp.sessions import A, B, Talkative, at, events_of, hear, told


@dataclass(frozen=True, slots=True)
class XClient(Command[Reply]):
    """A command of the caller's own."""

    def encode(self) -> bytes:
        return b"XCLIENT\r\n"

    def parse(self, reply: Reply) -> Reply:
        return reply


Kind = type[Command[object]]

MAKE: Mapping[Kind, Callable[[], Command[object]]] = {
    Greeting: Greeting,
    Ehlo: lambda: Ehlo("c"),
    Helo: lambda: Helo("c"),
    StartTls: StartTls,
    Auth: lambda: Auth(Talkative()),
    Mail: lambda: Mail(A),
    Rcpt: lambda: Rcpt(B),
    Data: Data,
    EndOfData: EndOfData,
    Bdat: lambda: Bdat(4),
    BdatLast: lambda: BdatLast(4),
    Rset: Rset,
    Noop: Noop,
    Quit: Quit,
    Vrfy: lambda: Vrfy("b"),
    Expn: lambda: Expn("staff"),
    Help: Help,
    Command: XClient,
}

# What RFC 5321 4.1.4 (and 3207 4, 4954 4) lets a client say, by state: written from the standard, not from the table.
ANY_TIME: set[Kind] = {Noop, Vrfy, Expn, Help, Quit, Rset, Ehlo, Helo}
LEGAL: Mapping[State, set[Kind]] = {
    State.GREETING: {Quit},
    State.INITIATION: ANY_TIME,
    State.READY: ANY_TIME | {StartTls, Auth, Mail, Command},
    State.TRANSACTION: ANY_TIME | {Rcpt, Data, Command},
    State.MAIL_DATA: set(),
    State.CHUNKS: ANY_TIME,
    State.SPOILED: ANY_TIME,
    State.TLS: set(),
    State.CLOSED: set(),
}
# Where a command leads if all goes well.
AHEAD: Mapping[Kind, Callable[[State], State]] = {
    **dict.fromkeys(MAKE, lambda state: state),
    Ehlo: lambda _: State.READY,
    Helo: lambda _: State.READY,
    Quit: lambda _: State.CLOSED,
    StartTls: lambda _: State.TLS,
    Mail: lambda _: State.TRANSACTION,
    Data: lambda _: State.MAIL_DATA,
    Rset: lambda state: State.INITIATION if state is State.INITIATION else State.READY,
}

states = pytest.mark.parametrize("state", LEGAL, ids=lambda state: state.name)
kinds = pytest.mark.parametrize("kind", MAKE, ids=lambda kind: kind.__name__)


def snapshot(connection: Connection) -> tuple[object, ...]:
    """All that can be seen of it, with what it would write and what becomes of the next thing that it hears."""
    seen = (
        connection.state,
        [str(command) for command in connection.in_flight],
        [str(command) for command in connection.queued],
        connection.extensions,
        connection.greeting,
        connection.is_authenticated,
        connection.accepts_data,
        connection.data_octets,
    )
    wire = connection.data_to_send()
    connection.receive_data(b"250 ok\r\n")
    try:
        heard: object = told(events_of(connection))
    except MailwireError as error:
        heard = repr(error)
    return *seen, wire, heard, connection.state, connection.data_to_send()


@states
@kinds
def test_a_command_is_legal_where_the_standard_says_so(state: State, kind: Kind) -> None:
    connection = at(state)
    if kind in LEGAL[state]:
        command = MAKE[kind]()
        connection.send(command)
        assert connection.queued == (command,)
        assert connection.data_to_send() == [command.encode()]
        assert connection.in_flight == (command,)
    else:
        with pytest.raises(LocalProtocolError, match=f"cannot be sent now: the connection is in state {state.name} "):
            connection.send(MAKE[kind]())


@states
@kinds
def test_an_illegal_command_changes_nothing(state: State, kind: Kind) -> None:
    if kind in LEGAL[state]:
        return
    connection = at(state)
    with pytest.raises(LocalProtocolError):
        connection.send(MAKE[kind]())
    assert snapshot(connection) == snapshot(at(state))


@states
def test_what_may_follow_a_command_is_decided_where_it_leads(state: State) -> None:
    for first in LEGAL[state]:
        ahead = AHEAD[first](state)
        for second in MAKE:
            connection, twin = at(state), at(state)
            connection.send(MAKE[first]())
            twin.send(MAKE[first]())
            if second in LEGAL[ahead]:
                connection.send(MAKE[second]())
                assert len(connection.queued) == 2
            else:
                with pytest.raises(LocalProtocolError, match="not answered yet"):
                    connection.send(MAKE[second]())
                assert snapshot(connection) == snapshot(twin)


def test_a_message_can_be_written_in_no_other_state_than_mail_data() -> None:
    for state in LEGAL:
        for write in (lambda connection: connection.send_data(b"text"), lambda connection: connection.end_data()):
            connection = at(state)
            if state is State.MAIL_DATA:
                write(connection)
                continue
            with pytest.raises(LocalProtocolError, match=f"no message can be written now: .* in state {state.name} "):
                write(connection)
            assert snapshot(connection) == snapshot(at(state))


# RFC 3030 2: behind MAIL, or behind a chunk that was accepted. `send` takes none: the octets go with it.
CHUNKS_ARE_LEGAL = {State.TRANSACTION, State.CHUNKS}


@pytest.mark.parametrize("last", [False, True])
def test_a_chunk_can_be_sent_in_no_other_state_than_behind_mail_or_a_chunk(last: bool) -> None:
    for state in LEGAL:
        connection = at(state)
        if state in CHUNKS_ARE_LEGAL:
            command = connection.send_chunk(b"text", last=last)
            assert connection.queued == (command,)
            continue
        with pytest.raises(LocalProtocolError, match=f"no chunk can be sent now: .* in state {state.name} "):
            connection.send_chunk(b"text", last=last)
        assert snapshot(connection) == snapshot(at(state))


def test_what_may_follow_a_chunk_is_decided_where_it_leads() -> None:
    for state in CHUNKS_ARE_LEGAL:
        for last, ahead in ((False, State.CHUNKS), (True, State.READY)):
            for second in MAKE:
                connection = at(state)
                connection.send_chunk(b"text", last=last)
                if second in LEGAL[ahead]:
                    connection.send(MAKE[second]())
                    assert len(connection.queued) == 2
                else:
                    with pytest.raises(LocalProtocolError, match="not answered yet"):
                        connection.send(MAKE[second]())
            for further in (False, True):
                connection = at(state)
                connection.send_chunk(b"text", last=last)
                if ahead is State.CHUNKS:
                    assert connection.send_chunk(b"more", last=further) is not None
                else:
                    with pytest.raises(LocalProtocolError, match="no chunk can be sent now"):
                        connection.send_chunk(b"more", last=further)


def test_tls_can_begin_in_no_other_state_than_tls_or_before_the_greeting() -> None:
    for state in LEGAL:
        connection = at(state)
        if state is State.TLS:
            connection.tls_established()
            assert connection.state is State.INITIATION
            continue
        with pytest.raises(LocalProtocolError, match=f"no TLS session can begin now: .* in state {state.name} "):
            connection.tls_established()
        assert snapshot(connection) == snapshot(at(state))


def begin(state: State, kind: Kind) -> Connection:
    """A connection on which a command of this kind, in this state, is to be answered next."""
    if kind is Greeting:
        return Connection()
    connection = at(state)
    if kind is EndOfData:
        connection.end_data()
    elif kind in (Bdat, BdatLast):
        connection.send_chunk(b"text", last=kind is BdatLast)
    elif state is not State.AUTHENTICATION:
        connection.send(MAKE[kind]())
    connection.data_to_send()
    return connection


CODES = {
    Greeting: (220, 354, 554),
    Quit: (221, 354, 500),
    StartTls: (220, 354, 454),
    Auth: (235, 334, 535),
    Data: (250, 354, 554),
}


@pytest.mark.parametrize(
    ("row", "leads"),
    TRANSITIONS.items(),
    ids=lambda row: f"{row[0].name}-{row[1].__name__}" if isinstance(row, tuple) else "",
)
def test_every_reply_moves_the_state_as_the_table_says(row: tuple[State, Kind], leads: Transition) -> None:
    state, kind = row
    done, more, refused = CODES.get(kind, (250, 354, 550))
    for code, following in ((done, leads.done), (more, leads.more), (refused, leads.refused)):
        connection = begin(state, kind)
        assert connection.state is state
        connection.receive_data(b"%d \r\n" % code)
        assert connection.state is state, "the state moved before the event was handed out"
        if following is None:
            with pytest.raises(TLSFailed if kind is StartTls else RemoteProtocolError, match=r"^expected "):
                connection.next_event()
            assert connection.state is State.CLOSED
            continue
        event = connection.next_event()
        assert connection.state is following
        if following is not State.AUTHENTICATION:
            assert isinstance(event, ReplyReceived)
            assert isinstance(event.command, kind)
            assert event.reply.code == code
            assert connection.in_flight == ()


@pytest.mark.parametrize("code", [421, 450, 499, 500, 550, 599])
def test_any_refusal_leads_where_the_table_says_and_421_to_the_end(code: int) -> None:
    for (state, kind), leads in TRANSITIONS.items():
        connection = begin(state, kind)
        assert len(hear(connection, f"{code} no")) == 1
        assert connection.state is (State.CLOSED if code == 421 else leads.refused)


def test_of_all_codes_every_one_is_an_event_or_a_documented_error() -> None:
    # Those that mean something are tried in every row, the others in every fifth.
    for number, ((state, kind), leads) in enumerate(TRANSITIONS.items()):
        for code in sorted({*range(number % 5, 1000, 5), 199, 200, 220, 221, 299, 300, 334, 354, 399, 421, 599, 600}):
            connection = begin(state, kind)
            connection.receive_data(b"%03d \r\n" % code)
            try:
                event: Event | None = connection.next_event()
            except (RemoteProtocolError, TLSFailed):
                event = None
                assert connection.state is State.CLOSED
            is_refusal = 400 <= code <= 599
            if not 200 <= code <= 599:
                assert connection.state is State.CLOSED
            elif is_refusal:
                assert isinstance(event, ReplyReceived)
            elif kind is StartTls:
                assert (connection.state is State.TLS) == (code == 220)
            elif kind not in (Greeting, Quit, Command) and code in (220, 221):
                assert connection.state is State.CLOSED
            else:
                following = leads.done if code < 300 else leads.more
                assert connection.state is (following or State.CLOSED)
                assert event is not None or following in (None, State.AUTHENTICATION)


def test_transitions_are_looked_up_by_the_kind_of_command() -> None:
    for (state, kind), leads in TRANSITIONS.items():
        assert transition(state, kind) == leads

    class LoudNoop(Noop):
        pass

    assert transition(State.READY, LoudNoop) == transition(State.READY, Noop)
    assert transition(State.INITIATION, LoudNoop) == transition(State.INITIATION, Noop)
    assert transition(State.READY, XClient) == transition(State.READY, Command)
    assert transition(State.INITIATION, XClient) is None
    assert transition(State.CLOSED, Noop) is None


def test_the_way_ahead_is_success_and_where_there_is_none_yet_more() -> None:
    assert Transition(done=State.READY, refused=State.INITIATION, more=State.TLS).ahead is State.READY
    assert Transition(done=None, refused=State.TRANSACTION, more=State.MAIL_DATA).ahead is State.MAIL_DATA
    with pytest.raises(AssertionError):
        assert Transition(done=None, refused=State.READY).ahead


def test_a_command_that_was_overtaken_moves_nothing_but_the_reading_of_mail_data() -> None:
    for state in LEGAL:
        for kind in MAKE:
            leads = overtaken(state, kind)
            assert leads.refused is state
            assert (leads.done, leads.more) == ((None, State.MAIL_DATA) if kind is Data else (state, None))


def test_every_state_can_be_reached_and_left_but_for_the_last() -> None:
    reached, left = set(), set()
    for (state, _), leads in TRANSITIONS.items():
        left.add(state)
        reached |= {leads.done, leads.refused, leads.more} - {None}
    assert reached == set(State)
    # TLS is left by `tls_established`.
    assert left == set(State) - {State.CLOSED, State.TLS}


def test_a_state_shows_its_name_and_tells_what_it_means() -> None:
    assert repr(State.READY) == "State.READY"
    assert len({state.value for state in State}) == len(State) == 10
    assert all(isinstance(state.value, str) for state in State)
