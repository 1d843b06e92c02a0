from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import pytest

from mailwire.errors import LocalProtocolError
from mailwire.pop3 import TRANSITIONS, Command, Connection, Greeting, Noop, ResponseReceived, Retr, State, Transition
from mailwire.pop3.states import transition
from tests.pop3.sessions import EVERY_COMMAND, ask, connection_in, greeted, legal, snapshot, state_of, take, tell

# RFC 1939 4 to 6, RFC 2449 5, RFC 2595 4, RFC 5034 4, RFC 6856 2 and 3, written down a second time.
ANYWHERE = {"CAPA", "QUIT", "LANG", "LANG en"}
LEGAL: dict[State, set[str]] = {
    State.GREETING: {"QUIT"},
    State.AUTHORIZATION: {*ANYWHERE, "STLS", "USER", "PASS", "APOP", "AUTH", "UTF8"},
    State.TRANSACTION: {
        *ANYWHERE,
        *("STAT", "LIST", "LIST 1", "UIDL", "UIDL 1", "RETR", "TOP", "DELE", "RSET", "NOOP", "LAST"),
    },
    State.TLS: set(),
    State.CLOSED: set(),
}
LEADS_TO = {
    "STLS": State.TLS,
    **dict.fromkeys(("PASS", "APOP", "AUTH"), State.TRANSACTION),
    "QUIT": State.CLOSED,
}


def legal_behind(name: str, state: State) -> set[str]:
    """What is legal in `state` once the command `name` was said."""
    # RFC 6856 2.1: no STLS behind UTF8.
    return LEGAL[state] - {"STLS"} if name == "UTF8" else LEGAL[state]


PRODUCT = list(product(State, EVERY_COMMAND.items()))
IDS = [f"{state.name}-{name}" for state, (name, _) in PRODUCT]


@pytest.mark.parametrize(("state", "entry"), PRODUCT, ids=IDS)
def test_the_table_says_what_the_standards_say(state: State, entry: tuple[str, Callable[[], Command[object]]]) -> None:
    name, make = entry
    row = transition(state, type(make()))
    if (state, name) == (State.GREETING, "(the connection)"):
        assert row == Transition(done=State.AUTHORIZATION, refused=State.GREETING)
    elif name in LEGAL[state]:
        refused = State.CLOSED if name == "QUIT" else state
        assert row == Transition(done=LEADS_TO.get(name, state), refused=refused)
    else:
        assert row is None


@pytest.mark.parametrize(("state", "entry"), PRODUCT, ids=IDS)
def test_a_legal_command_moves_the_machine_as_the_table_says_and_an_illegal_one_changes_nothing(
    state: State, entry: tuple[str, Callable[[], Command[object]]]
) -> None:
    name, make = entry
    if name not in LEGAL[state]:
        connection, command = connection_in(state), make()
        before = snapshot(connection)
        with pytest.raises(LocalProtocolError, match=f"state {state.name} ") as caught:
            connection.send(command)
        assert str(command) in str(caught.value)
        assert snapshot(connection) == before
        return
    for ok in (True, False):
        connection, command = connection_in(state), make()
        assert ask(connection, command) == command.encode()
        assert (connection.state, connection.in_flight) == (state, (command,))
        body = b".\r\n" if ok and command.multiline else b""
        events = tell(connection, (b"+OK 1 1\r\n" if ok else b"-ERR no\r\n") + body)
        assert isinstance(events[0], ResponseReceived)
        assert (events[0].command, events[0].response.ok) == (command, ok)
        row = TRANSITIONS[state, next(kind for kind in type(command).__mro__ if (state, kind) in TRANSITIONS)]
        assert connection.state is (row.done if ok else row.refused)
        assert (connection.in_flight, connection.queued) == ((), ())
        assert legal(connection) == legal_behind(name, connection.state)


@pytest.mark.parametrize("state", State)
def test_in_every_state_the_machine_takes_what_is_legal_there(state: State) -> None:
    assert legal(connection_in(state)) == LEGAL[state]


@pytest.mark.parametrize("state", State)
def test_only_behind_the_go_ahead_to_stls_tls_can_begin(state: State) -> None:
    connection = connection_in(state)
    if state is State.TLS:
        connection.tls_established()
        assert connection.state is State.AUTHORIZATION
        return
    before = snapshot(connection)
    with pytest.raises(LocalProtocolError, match=f"state {state.name} "):
        connection.tls_established()
    assert snapshot(connection) == before


def test_before_the_greeting_a_command_is_judged_as_if_the_greeting_were_friendly() -> None:
    connection = Connection()
    assert connection.state is State.GREETING
    assert connection.in_flight == (Greeting(),)
    assert legal(connection) == LEGAL[State.AUTHORIZATION]


@pytest.mark.parametrize("first", sorted(LEGAL[State.AUTHORIZATION]))
def test_a_command_is_judged_by_where_those_before_it_lead_if_all_are_accepted(first: str) -> None:
    ahead = LEADS_TO.get(first, State.AUTHORIZATION)
    waiting, written = Connection(), greeted()
    waiting.send(EVERY_COMMAND[first]())
    ask(written, EVERY_COMMAND[first]())
    assert legal(waiting) == legal(written) == legal_behind(first, ahead)
    assert (waiting.state, written.state) == (State.GREETING, State.AUTHORIZATION)
    with pytest.raises(LocalProtocolError, match=f"{EVERY_COMMAND[first]()} not answered yet".replace("*", "\\*")):
        written.send(Greeting())


def test_the_state_moves_when_the_event_is_taken_and_not_before() -> None:
    connection = greeted()
    ask(connection, EVERY_COMMAND["PASS"]())
    connection.receive_data(b"+OK\r\n")
    assert state_of(connection) is State.AUTHORIZATION
    take(connection)
    assert connection.state is State.TRANSACTION


@dataclass(frozen=True, slots=True)
class Probe(Retr):
    """A command of the caller's own that is a kind of RETR."""


def test_a_command_derived_from_another_is_legal_where_that_is() -> None:
    for state in State:
        assert transition(state, Probe) == transition(state, Retr)
    assert transition(State.TRANSACTION, Command) == transition(State.TRANSACTION, Noop)


def test_the_table_leads_from_every_state_but_the_last_and_names_each_pair_once() -> None:
    assert {state for state, _ in TRANSITIONS} == {State.GREETING, State.AUTHORIZATION, State.TRANSACTION}
    reached = {state for row in TRANSITIONS.values() for state in (row.done, row.refused)}
    assert reached == set(State)
    assert all(row.ahead is row.done for row in TRANSITIONS.values())


def test_a_state_is_shown_by_its_name() -> None:
    assert repr(State.TLS) == "State.TLS"
    assert all(state.value for state in State)
