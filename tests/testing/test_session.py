from base64 import b64encode

import pytest

from mailwire.errors import LocalProtocolError
from mailwire.testing import MECHANISMS, Account, Channel, Maildrop, Policy, Session, TLSState
from mailwire.testing.phrases import Phrase, Phrasebook
from mailwire.testing.refusal import Refusal
from mailwire.testing.session import COMMAND_LIMIT, RESPONSE_LIMIT
from tests.testing.dialogue import play, say

PHRASES = {
    "echo": Phrase("OK", "", "{text} from {peer} at {hostname}"),
    "tls": Phrase("OK", "", "tls from {peer} at {hostname}"),
    "challenge": Phrase("+", "", "{challenge}"),
    "welcome": Phrase("OK", "", "welcome {user}"),
    "too long": Phrase("ERR", "", "too long"),
    "refused": Phrase("ERR", "", "refused {what}"),
    "syntax": Phrase("ERR", "", "expected {expected}"),
    "mechanism": Phrase("ERR", "", "mechanism"),
    "cancelled": Phrase("ERR", "", "cancelled"),
    "initial response": Phrase("ERR", "", "the server begins"),
    "malformed": Phrase("ERR", "", "malformed"),
    "credentials": Phrase("ERR", "", "credentials"),
    "locked": Phrase("ERR", "", "locked"),
}

ALICE, BOB = Account("alice", "secret"), Account("bob", "hidden")
LOCKED = Account("locked", "secret")


class Echo(Session):
    """The smallest protocol: says back what it hears."""

    def __init__(self, *, tls: TLSState = "available", policy: Policy = Policy(), accounts: int = 3) -> None:  # noqa: B008
        maildrop = Maildrop([ALICE, BOB, LOCKED][:accounts])
        super().__init__(maildrop, policy, Phrasebook(PHRASES, {}, shows_codes=True), tls, "192.0.2.1")

    @property
    def offers_authentication(self) -> bool:
        return self._offers_authentication

    @property
    def mechanisms(self) -> tuple[str, ...]:
        return self._mechanisms

    def _receive_command(self, verb: str, argument: bytes) -> None:
        match verb:
            case "TLS":
                self._agree_to_tls("tls")
            case "AUTH":
                self._authenticate(argument)
            case "PACKETS":
                self._write(b"one")
                self._end_packet()
                self._write(b"two")
                self._end_packet()
            case "BIG":
                self._write(b"small")
                self._write(b"b" * 70_000)
            case "NO":
                raise Refusal("refused", what=argument.decode())
            case "END":
                self.closing = True
            case _:
                self._say("echo", text=verb)

    def _log_in(self, user: str) -> None:
        if user == "locked":
            raise Refusal("locked")
        self.user = user
        self._say("welcome", user=user)


def line(text: str) -> bytes:
    return f"OK {text} from 192.0.2.1 at localhost\r\n".encode()


# Lines


def test_lines_are_answered_in_order_however_they_are_cut() -> None:
    session = play(
        Echo,
        """
        C: one and an argument
        C: NO thing
        C: two
        S: OK ONE from 192.0.2.1 at localhost
        S: ERR refused thing
        S: OK TWO from 192.0.2.1 at localhost
        """,
    )
    assert session.commands == [b"one and an argument", b"NO thing", b"two"]


def test_a_line_may_end_in_lf_alone() -> None:
    assert say(Echo(), b"one\ntwo\r\n") == line("ONE") + line("TWO")


def test_the_answers_to_one_piece_leave_in_one_piece() -> None:
    session = Echo()
    session.receive_data(b"one\r\ntwo\r\nthree\r\n")

    assert session.data_to_send() == [line("ONE") + line("TWO") + line("THREE")]
    assert session.data_to_send() == []


def test_a_packet_of_its_own_is_a_piece_of_its_own() -> None:
    session = Echo()
    session.receive_data(b"one\r\npackets\r\ntwo\r\n")

    assert session.data_to_send() == [line("ONE") + b"one", b"two", line("TWO")]


def test_what_is_big_is_not_joined() -> None:
    session = Echo()
    session.receive_data(b"big\r\n")

    assert session.data_to_send() == [b"small", b"b" * 70_000]


def test_the_longest_line_is_answered() -> None:
    longest = b"A" * COMMAND_LIMIT

    assert say(Echo(), longest + b"\r\n") == line(longest.decode())


@pytest.mark.parametrize("size", [COMMAND_LIMIT + 2, 5 * COMMAND_LIMIT])
def test_a_line_too_long_is_refused_at_its_end_and_forgotten(size: int) -> None:
    data = b"one\r\n" + b"A" * size + b"\r\ntwo\r\n"
    expected = line("ONE") + b"ERR too long\r\n" + line("TWO")
    for step in (1, 7, COMMAND_LIMIT, len(data)):
        session = Echo()
        pieces = [data[place : place + step] for place in range(0, len(data), step)]

        assert say(session, *pieces) == expected
        assert session.commands == [b"one", b"two"]
        assert session.flights <= 3


def test_octets_of_any_kind_are_no_error() -> None:
    session = Echo()

    answers = say(session, bytes(range(256)) + b"\r\n", b"\r\n", b"\xff\xfe\n")

    assert answers.count(b"\r\n") == 4


# Flights


def test_what_comes_before_the_answer_left_is_the_same_flight() -> None:
    session = Echo()
    session.receive_data(b"one\r\n")
    session.receive_data(b"two\r\n")
    session.data_to_send()

    assert session.flights == 1


def test_what_comes_when_all_is_answered_is_a_new_flight() -> None:
    session = Echo()
    say(session, b"one\r\ntwo\r\n", b"three\r\n")

    assert session.flights == 2


def test_the_rest_of_a_line_is_the_same_flight() -> None:
    session = Echo()
    say(session, b"on", b"e", b"\r\nt", b"wo\r\n")

    assert session.flights == 1


def test_the_rest_of_a_line_that_is_too_long_is_the_same_flight() -> None:
    session = Echo()
    say(session, b"A" * 3000, b"A" * 3000, b"\r\n")

    assert session.flights == 1


def test_nothing_and_the_end_are_no_flight() -> None:
    session = Echo()
    session.receive_data(b"")
    session.receive_eof()

    assert session.flights == 0


# The end


def test_nothing_is_heard_behind_the_end() -> None:
    session = Echo()

    assert say(session, b"one\r\nend\r\ntwo\r\n", b"three\r\n") == line("ONE")
    assert session.closing
    assert session.flights == 1


def test_the_end_of_input_ends_the_session_and_leaves_the_answers() -> None:
    session = Echo()
    session.receive_data(b"one\r\ntw")
    session.receive_eof()

    assert session.closing
    assert session.data_to_send() == [line("ONE")]


# TLS


def test_tls_is_wanted_when_the_agreement_has_left() -> None:
    session = Echo()
    session.receive_data(b"tls\r\n")

    facts = [(session.wants_tls, session.is_encrypted)]
    assert session.data_to_send() == [line("tls")]
    facts.append((session.wants_tls, session.is_encrypted))
    session.tls_established()
    facts.append((session.wants_tls, session.is_encrypted))

    assert facts == [(False, False), (True, False), (False, True)]


def test_what_came_behind_the_wish_for_tls_is_dropped() -> None:
    session = Echo()

    assert say(session, b"tls\r\nONE\r\nTW", b"O\r\n") == line("tls")
    session.tls_established()
    assert say(session, b"three\r\n") == line("THREE")
    assert session.commands == [b"tls", b"three"]
    assert session.flights == 2


def test_tls_cannot_begin_before_it_was_agreed() -> None:
    session = Echo()
    with pytest.raises(LocalProtocolError):
        session.tls_established()
    session.receive_data(b"tls\r\n")
    with pytest.raises(LocalProtocolError):
        session.tls_established()


def test_who_one_was_in_the_clear_is_forgotten() -> None:
    session = Echo()
    say(session, b"auth plain " + b64encode(b"\0alice\0secret") + b"\r\n")
    assert session.user == "alice"

    say(session, b"tls\r\n")
    session.tls_established()

    assert session.user is None


def test_a_session_can_be_encrypted_from_the_beginning() -> None:
    assert Echo(tls="established").is_encrypted


# AUTH


def test_authentication_is_offered_where_there_is_who_can_have_it_and_how() -> None:
    assert Echo().offers_authentication
    assert not Echo(accounts=0).offers_authentication
    assert not Echo(policy=Policy(mechanisms=())).offers_authentication


def test_a_user_can_authenticate_in_every_form() -> None:
    session = play(
        Echo,
        """
        C: AUTH PLAIN AGFsaWNlAHNlY3JldA==
        C: auth plain
        C: AGFsaWNlAHNlY3JldA==
        C: AUTH LOGIN
        C: YWxpY2U=
        C: c2VjcmV0
        C: AUTH LOGIN Ym9i
        C: aGlkZGVu
        S: OK welcome alice
        S: +␠
        S: OK welcome alice
        S: + VXNlcm5hbWU6
        S: + UGFzc3dvcmQ6
        S: OK welcome alice
        S: + UGFzc3dvcmQ6
        S: OK welcome bob
        """,
    )
    assert session.user == "bob"
    assert session.commands[1:3] == [b"auth plain", b"AGFsaWNlAHNlY3JldA=="]


def test_a_failed_authentication_ends_the_exchange() -> None:
    session = play(
        lambda: Echo(policy=Policy(mechanisms=("PLAIN", "LOGIN", "CRAM-MD5"))),
        """
        C: AUTH PLAIN AGFsaWNlAGhpZGRlbg==
        C: AUTH PLAIN Ym9iAGFsaWNlAHNlY3JldA==
        C: AUTH CRAM-MD5 =
        C: AUTH PLAIN YWxpY2U
        C: AUTH LOGIN
        C: *
        C: AUTH LOGIN
        C: %
        C: AUTH SCRAM-SHA-1
        C: AUTH
        C: AUTH PLAIN = =
        C: AUTH PLAIN AGxvY2tlZABzZWNyZXQ=
        C: ONE
        S: ERR credentials
        S: ERR credentials
        S: ERR the server begins
        S: ERR malformed
        S: + VXNlcm5hbWU6
        S: ERR cancelled
        S: + VXNlcm5hbWU6
        S: ERR malformed
        S: ERR mechanism
        S: ERR expected AUTH, a mechanism and perhaps an initial response
        S: ERR expected AUTH, a mechanism and perhaps an initial response
        S: ERR locked
        S: OK ONE from 192.0.2.1 at localhost
        """,
    )
    assert session.user is None


def test_a_user_can_act_as_oneself() -> None:
    message = b64encode(b"alice\0alice\0secret")

    assert say(Echo(), b"AUTH PLAIN " + message + b"\r\n") == b"OK welcome alice\r\n"


def test_only_the_mechanisms_of_the_policy_are_there() -> None:
    session = Echo(policy=Policy(mechanisms=("LOGIN",)))

    assert say(session, b"AUTH PLAIN\r\n", b"AUTH X-NONE\r\n") == b"ERR mechanism\r\n" * 2


def test_why_somebody_was_denied_is_known_to_the_server() -> None:
    session = Echo()
    assert session.denial is None

    for user, password, reason in (("alice", "hidden", "invalid-proof"), ("carol", "hidden", "unknown-user")):
        message = b64encode(f"\0{user}\0{password}".encode())
        assert say(session, b"AUTH PLAIN " + message + b"\r\n") == b"ERR credentials\r\n"
        assert session.denial == reason
    assert say(session, b"AUTH PLAIN YQ==\r\n") == b"ERR malformed\r\n"
    assert session.denial == "unknown-user"


PLUS = {name for name in MECHANISMS if name.endswith("-PLUS")}


@pytest.mark.parametrize(
    ("channel", "missing"),
    [
        (Channel(), {*PLUS, "EXTERNAL"}),
        (Channel({"tls-unique": b"unique"}), {"EXTERNAL"}),
        (Channel(client_names=frozenset({"alice"})), PLUS),
        (Channel({"tls-unique": b"unique"}, frozenset({"alice"})), set()),
    ],
)
def test_what_needs_something_of_tls_is_there_where_tls_gives_it(channel: Channel, missing: set[str]) -> None:
    session = Echo(policy=Policy(mechanisms=MECHANISMS))
    session.channel = channel
    in_the_clear = session.mechanisms
    say(session, b"TLS\r\n")
    session.tls_established()

    assert in_the_clear == tuple(name for name in MECHANISMS if name not in {*PLUS, "EXTERNAL"})
    assert session.mechanisms == tuple(name for name in MECHANISMS if name not in missing)
    for name in missing:
        assert say(session, f"AUTH {name}\r\n".encode()) == b"ERR mechanism\r\n"


def test_authentication_is_not_offered_where_every_mechanism_needs_tls() -> None:
    session = Echo(policy=Policy(mechanisms=("SCRAM-SHA-256-PLUS", "EXTERNAL")))

    assert not session.offers_authentication
    say(session, b"TLS\r\n")
    session.tls_established()
    session.channel = Channel({"tls-unique": b"unique"})
    assert session.offers_authentication


def test_a_mechanism_knows_what_is_offered_beside_it() -> None:
    session = Echo(tls="established", policy=Policy(mechanisms=("SCRAM-SHA-1-PLUS", "SCRAM-SHA-1")))
    session.channel = Channel({"tls-unique": b"unique"})

    assert say(session, b"AUTH SCRAM-SHA-1 " + b64encode(b"y,,n=alice,r=0") + b"\r\n") == b"ERR credentials\r\n"
    assert session.denial == "server-does-support-channel-binding"


def test_a_response_may_be_longer_than_a_command() -> None:
    longest = b"A" * RESPONSE_LIMIT

    answers = say(Echo(), b"AUTH LOGIN\r\n", longest + b"\r\n", b"c2VjcmV0\r\n", longest[: COMMAND_LIMIT + 2] + b"\r\n")

    assert answers == b"+ VXNlcm5hbWU6\r\n+ UGFzc3dvcmQ6\r\nERR credentials\r\nERR too long\r\n"


def test_a_response_too_long_ends_the_exchange() -> None:
    data = b"AUTH LOGIN\r\n" + b"A" * (RESPONSE_LIMIT + 2) + b"\r\none\r\n"

    for step in (1000, len(data)):
        pieces = [data[place : place + step] for place in range(0, len(data), step)]
        assert say(Echo(), *pieces) == b"+ VXNlcm5hbWU6\r\nERR too long\r\n" + line("ONE")
