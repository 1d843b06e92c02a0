import hashlib
from typing import Any

import pytest

from mailwire.testing import (
    ARGOSOFT,
    MECHANISMS,
    Account,
    Channel,
    Maildrop,
    Policy,
    POP3Quirk,
    POP3Server,
    Quirk,
    TLSState,
)
from tests.testing.dialogue import greeted, play, say

ALICE, BOB = Account("alice", "se cret"), Account("bob", "hidden")
POLICY = Policy(hostname="mail.example.org")

# RFC 1939 7
MROSE = Account("mrose", "tanstaaf")
APOP_POLICY = Policy(hostname="dbc.mtview.ca.us", apop=True, make_nonce=lambda: "1896.697170952")

FIRST = b"Subject: one\r\n\r\n.\r\n..two\r\nthree\r\n"
SECOND = b"\r\nno header\r\n\r\n"
THIRD = b"only: a header\r\n"

LOGIN = b"USER alice\r\nPASS se cret\r\n"


def full_maildrop() -> Maildrop:
    maildrop = Maildrop([ALICE, BOB])
    for uid, content in (("uid-1", FIRST), ("uid-2", SECOND), ("uid-3", THIRD)):
        maildrop.put("alice", content, uid=uid)
    return maildrop


def server(maildrop: Maildrop | None = None, *, policy: Policy = POLICY, tls: TLSState = "unavailable") -> POP3Server:
    return POP3Server(full_maildrop() if maildrop is None else maildrop, policy=policy, tls=tls)


def responses(*commands: bytes, policy: Policy = POLICY) -> bytes:
    """The responses to the last of the commands, behind a login and the others."""
    session = server(policy=policy)
    say(session, LOGIN, *commands[:-1])
    return say(session, commands[-1])


# A whole session


def test_mail_is_listed_retrieved_and_deleted() -> None:
    maildrops = []

    def open_session() -> POP3Server:
        maildrops.append(full_maildrop())
        return server(maildrops[-1])

    session = play(
        open_session,
        """
        S: +OK mail.example.org POP3 mailwire.testing
        C: USER alice
        S: +OK Password, please
        C: PASS se cret
        S: +OK Maildrop locked, 3 messages (64 octets)
        C: STAT
        S: +OK 3 64
        C: LIST
        S: +OK 3 messages (64 octets)
        S: 1 33
        S: 2 15
        S: 3 16
        S: .
        C: UIDL
        S: +OK Unique ids follow
        S: 1 uid-1
        S: 2 uid-2
        S: 3 uid-3
        S: .
        C: LIST 2
        S: +OK 2 15
        C: UIDL 2
        S: +OK 2 uid-2
        C: RETR 1
        S: +OK 33 octets
        S: Subject: one
        S:
        S: ..
        S: ...two
        S: three
        S: .
        C: TOP 1 1
        S: +OK Top of message follows
        S: Subject: one
        S:
        S: ..
        S: .
        C: DELE 1
        S: +OK Message 1 marked as deleted
        C: LIST
        S: +OK 2 messages (31 octets)
        S: 2 15
        S: 3 16
        S: .
        C: RSET
        S: +OK Maildrop has 3 messages (64 octets)
        C: DELE 3
        S: +OK Message 3 marked as deleted
        C: NOOP
        S: +OK Still here
        C: QUIT
        S: +OK mail.example.org closes the connection
        """,
    )

    assert session.closing
    for maildrop in maildrops:
        assert [message.uid for message in maildrop.messages("alice")] == ["uid-1", "uid-2"]
        assert maildrop.open("alice") is not None


def test_many_commands_are_one_flight_with_their_responses_in_one_piece() -> None:
    session = greeted(server())
    session.receive_data(LOGIN + b"STAT\r\nRETR 3\r\nDELE 9\r\n")

    assert session.data_to_send() == [
        b"+OK Password, please\r\n"
        b"+OK Maildrop locked, 3 messages (64 octets)\r\n"
        b"+OK 3 64\r\n"
        b"+OK 16 octets\r\nonly: a header\r\n.\r\n"
        b"-ERR No such message\r\n"
    ]
    assert session.flights == 1


def test_a_message_comes_out_as_it_is_stored() -> None:
    maildrop = Maildrop([ALICE])
    content = b"Subject: \xe9\r\n\r\n.\r\n" + b"x" * 100_000 + b"\r\n..\r\n"
    maildrop.put("alice", content)

    answer = say(server(maildrop), LOGIN, b"RETR 1\r\n").split(b" octets\r\n")[-1]

    assert answer == content.replace(b"\r\n.", b"\r\n..") + b".\r\n"


def test_a_message_of_no_octets_is_a_dot() -> None:
    maildrop = Maildrop([ALICE])
    maildrop.put("alice", b"")

    assert say(server(maildrop), LOGIN, b"RETR 1\r\n").endswith(b"+OK 0 octets\r\n.\r\n")


def test_an_empty_maildrop_lists_nothing() -> None:
    session = server(Maildrop([ALICE]))
    say(session, LOGIN)

    assert say(session, b"LIST\r\nUIDL\r\n") == b"+OK 0 messages (0 octets)\r\n.\r\n+OK Unique ids follow\r\n.\r\n"


@pytest.mark.parametrize(
    ("command", "top"),
    [
        (b"TOP 1 0", b"Subject: one\r\n\r\n"),
        (b"TOP 1 2", b"Subject: one\r\n\r\n..\r\n...two\r\n"),
        (b"TOP 1 3", b"Subject: one\r\n\r\n..\r\n...two\r\nthree\r\n"),
        (b"TOP 1 999999999", b"Subject: one\r\n\r\n..\r\n...two\r\nthree\r\n"),
        (b"TOP 2 0", b"\r\n"),
        (b"TOP 2 1", b"\r\nno header\r\n"),
        (b"TOP 3 0", THIRD),
    ],
)
def test_top_is_the_header_and_so_many_lines(command: bytes, top: bytes) -> None:
    assert responses(command + b"\r\n") == b"+OK Top of message follows\r\n" + top + b".\r\n"


# The lock


@pytest.mark.parametrize("lines", [b"2147483647", b"9" * 30, b"0" * 1000 + b"9" * 1000])
def test_all_lines_may_be_asked_for_by_any_large_number(lines: bytes) -> None:
    whole = responses(b"TOP 1 999\r\n")
    assert whole.startswith(b"+OK")
    assert responses(b"TOP 1 " + lines + b"\r\n") == whole


def test_one_session_at_a_time_has_the_maildrop() -> None:
    maildrop = full_maildrop()
    first, second = server(maildrop), server(maildrop)
    say(first, LOGIN)

    assert say(second, LOGIN).endswith(b"\r\n-ERR [IN-USE] Another session has the maildrop\r\n")
    assert second.user is None
    say(first, b"QUIT\r\n")
    assert say(second, LOGIN).endswith(b"+OK Maildrop locked, 3 messages (64 octets)\r\n")


def test_a_client_that_is_gone_deletes_nothing_and_leaves_the_maildrop() -> None:
    maildrop = full_maildrop()
    session = server(maildrop)
    say(session, LOGIN, b"DELE 1\r\n")

    session.receive_eof()

    assert session.closing
    assert len(maildrop.messages("alice")) == 3
    assert maildrop.open("alice") is not None


def test_a_client_that_is_gone_before_the_login_leaves_nothing() -> None:
    session = server()
    say(session, b"USER alice\r\n")

    session.receive_eof()

    assert session.closing


def test_quit_before_the_login_deletes_nothing() -> None:
    maildrop = full_maildrop()

    assert say(greeted(server(maildrop)), b"QUIT\r\n") == b"+OK mail.example.org closes the connection\r\n"
    assert len(maildrop.messages("alice")) == 3


# Capabilities


def test_capabilities_are_those_of_the_state() -> None:
    play(
        lambda: greeted(server(tls="available")),
        """
        C: CAPA
        S: +OK Capabilities follow
        S: TOP
        S: UIDL
        S: RESP-CODES
        S: AUTH-RESP-CODE
        S: PIPELINING
        S: USER
        S: SASL PLAIN LOGIN
        S: STLS
        S: UTF8 USER
        S: LANG
        S: IMPLEMENTATION mailwire.testing
        S: .
        C: STLS
        S: +OK Begin TLS now
        (TLS)
        C: CAPA
        S: +OK Capabilities follow
        S: TOP
        S: UIDL
        S: RESP-CODES
        S: AUTH-RESP-CODE
        S: PIPELINING
        S: USER
        S: SASL PLAIN LOGIN
        S: UTF8 USER
        S: LANG
        S: IMPLEMENTATION mailwire.testing
        S: .
        """,
    )


def test_stls_is_not_for_those_who_are_logged_in() -> None:
    session = server(tls="available")
    say(session, LOGIN)

    assert b"STLS" not in say(session, b"CAPA\r\n")
    assert say(session, b"STLS\r\n") == b"-ERR Not now: logged in already\r\n"


def test_the_user_is_forgotten_under_tls() -> None:
    play(
        lambda: greeted(server(tls="available")),
        """
        C: USER alice
        S: +OK Password, please
        C: STLS
        S: +OK Begin TLS now
        (TLS)
        C: PASS se cret
        S: -ERR Not now: USER comes first
        C: STLS
        S: -ERR Command not available
        """,
    )


def test_authentication_is_not_offered_without_mechanisms() -> None:
    session = greeted(server(policy=Policy(mechanisms=())))

    assert b"SASL" not in say(session, b"CAPA\r\n")
    assert say(session, b"AUTH PLAIN\r\n") == b"-ERR Command not available\r\n"


def test_what_else_is_offered_is_announced() -> None:
    session = server(policy=Policy(mechanisms=MECHANISMS), tls="established")

    assert (
        b"SASL SCRAM-SHA-512 SCRAM-SHA-256 SCRAM-SHA-1 OAUTHBEARER XOAUTH2 PLAIN LOGIN CRAM-MD5 ANONYMOUS\r\n"
        in say(session, b"CAPA\r\n")
    )
    session.channel = Channel({"tls-unique": b"unique"}, frozenset({"alice"}))
    assert f"SASL {' '.join(MECHANISMS)}\r\n".encode() in say(session, b"CAPA\r\n")


# UTF-8 and languages


def test_a_message_in_utf8_is_for_those_who_ask_for_utf8() -> None:
    maildrop = Maildrop([ALICE])
    maildrop.put("alice", "Subject: caf\u00e9\r\n\r\nx\r\n".encode())
    maildrop.put("alice", "Subject: coffee\r\n\r\ncaf\u00e9\r\n".encode())
    plain = POP3Server(maildrop)
    say(plain, LOGIN)
    refusal = b"-ERR [UTF8] The message has a header in UTF-8\r\n"
    assert say(plain, b"RETR 1\r\n") == say(plain, b"TOP 1 0\r\n") == refusal
    assert say(plain, b"RETR 2\r\n").startswith(b"+OK")
    plain.receive_eof()
    session = POP3Server(maildrop)
    assert say(session, b"UTF8\r\n").endswith(b"+OK UTF8 enabled\r\n")
    say(session, LOGIN)
    assert "caf\u00e9".encode() in say(session, b"RETR 1\r\n")
    assert "caf\u00e9".encode() in say(session, b"TOP 1 0\r\n")


@pytest.mark.parametrize("field", ["withheld_capabilities", "unknown_commands"])
def test_a_server_without_rfc_6856_gives_messages_as_they_are(field: str) -> None:
    settings: dict[str, Any] = {field: frozenset({"UTF8", "LANG"})}
    quirk = Quirk("older", pop3=POP3Quirk(**settings))
    maildrop = Maildrop([ALICE])
    maildrop.put("alice", "Subject: caf\u00e9\r\n\r\nx\r\n".encode())
    session = greeted(POP3Server(maildrop, quirk=quirk))
    assert not {b"UTF8 USER", b"LANG"} & set(say(session, b"CAPA\r\n").split(b"\r\n"))
    assert say(session, b"UTF8\r\nLANG\r\n") == b"-ERR Unknown command\r\n" * 2
    say(session, LOGIN)
    assert "caf\u00e9".encode() in say(session, b"RETR 1\r\n")


def test_utf8_has_its_place() -> None:
    play(
        lambda: greeted(server(tls="available")),
        """
        C: UTF8 USER
        S: -ERR Syntax error, expected UTF8 alone
        C: UTF8
        S: +OK UTF8 enabled
        C: STLS
        S: -ERR Not now: STLS comes before UTF8
        """,
    )
    session = server()
    say(session, LOGIN)
    assert say(session, b"UTF8\r\n") == b"-ERR Not now: logged in already\r\n"


def test_english_is_spoken_in_either_state() -> None:
    dialogue = """
        C: LANG
        S: +OK Languages follow
        S: en English
        S: i-default Default Language
        S: .
        C: LANG EN
        S: +OK en is spoken
        C: LANG *
        S: +OK i-default is spoken
        C: LANG de
        S: -ERR Language not spoken
        """
    play(lambda: greeted(server()), dialogue)

    def logged_in() -> POP3Server:
        session = server()
        say(session, LOGIN)
        return session

    play(logged_in, dialogue)


# Logging in


def test_a_login_can_fail_and_be_tried_again() -> None:
    session = play(
        lambda: greeted(server()),
        """
        C: PASS se cret
        S: -ERR Not now: USER comes first
        C: USER
        S: -ERR Syntax error, expected USER and a name
        C: USER alice
        S: +OK Password, please
        C: PASS
        S: -ERR Syntax error, expected PASS and a password
        C: USER alice
        S: +OK Password, please
        C: PASS hidden
        S: -ERR [AUTH] Credentials invalid
        C: PASS se cret
        S: -ERR Not now: USER comes first
        C: USER nobody
        S: +OK Password, please
        C: CAP
        S: -ERR Unknown command
        C: PASS hidden
        S: -ERR Not now: USER comes first
        C: USER nobody
        S: +OK Password, please
        C: PASS hidden
        S: -ERR [AUTH] Credentials invalid
        C: USER alice
        S: +OK Password, please
        C: QUIT now
        S: -ERR Syntax error, expected QUIT alone
        C: PASS se cret
        S: -ERR Not now: USER comes first
        C: AUTH PLAIN AGFsaWNlAGhpZGRlbg==
        S: -ERR [AUTH] Credentials invalid
        C: AUTH PLAIN
        S: +␠
        C: *
        S: -ERR Authentication cancelled
        C: AUTH PLAIN
        S: +␠
        C: %
        S: -ERR Cannot decode the response
        C: AUTH APOP
        S: -ERR Unknown mechanism
        C: AUTH LOGIN
        S: + VXNlcm5hbWU6
        C: Ym9i
        S: + UGFzc3dvcmQ6
        C: aGlkZGVu
        S: +OK Maildrop locked, 0 messages (0 octets)
        C: AUTH PLAIN
        S: -ERR Not now: logged in already
        C: USER alice
        S: -ERR Not now: logged in already
        C: PASS se cret
        S: -ERR Not now: logged in already
        """,
    )
    assert session.user == "bob"


def test_a_password_behind_a_line_that_was_too_long_is_not_taken() -> None:
    session = greeted(server())
    say(session, b"USER alice\r\n" + b"x" * 3000 + b"\r\n")

    assert say(session, b"PASS se cret\r\n") == b"-ERR Not now: USER comes first\r\n"


@pytest.mark.parametrize("name", [b"\xff", b"al\0ice", b"al\x1bice", "al\u2028ice".encode()])
def test_a_user_name_that_cannot_be_printed_is_refused(name: bytes) -> None:
    answer = say(greeted(server()), b"USER " + name + b"\r\n")

    assert answer == b"-ERR Syntax error, expected USER and a name\r\n"


def test_a_mechanism_that_the_server_begins_takes_no_initial_response() -> None:
    session = greeted(server(policy=Policy(mechanisms=("CRAM-MD5",), make_nonce=lambda: "1")))

    assert say(session, b"AUTH CRAM-MD5 =\r\n") == b"-ERR The server begins this mechanism\r\n"
    assert say(session, b"AUTH CRAM-MD5\r\n") == b"+ PDFAbG9jYWxob3N0Pg==\r\n"


# APOP


def test_apop_is_spoken_as_in_the_example() -> None:
    # RFC 1939 7
    session = play(
        lambda: server(Maildrop([MROSE]), policy=APOP_POLICY),
        """
        S: +OK dbc.mtview.ca.us POP3 mailwire.testing <1896.697170952@dbc.mtview.ca.us>
        C: APOP mrose c4c9334bac560ecc979e58001b3e22fb
        S: +OK Maildrop locked, 0 messages (0 octets)
        C: APOP mrose c4c9334bac560ecc979e58001b3e22fb
        S: -ERR Not now: logged in already
        """,
    )
    assert session.user == "mrose"


def test_apop_can_fail_and_be_tried_again() -> None:
    session = play(
        lambda: greeted(server(Maildrop([MROSE]), policy=APOP_POLICY)),
        """
        C: APOP
        S: -ERR Syntax error, expected APOP, a name and a digest
        C: APOP mrose
        S: -ERR Syntax error, expected APOP, a name and a digest
        C: APOP mrose tanstaaf
        S: -ERR Syntax error, expected APOP, a name and a digest
        C: APOP mrose C4C9334BAC560ECC979E58001B3E22FB
        S: -ERR Syntax error, expected APOP, a name and a digest
        C: APOP c4c9334bac560ecc979e58001b3e22fb
        S: -ERR Syntax error, expected APOP, a name and a digest
        C: APOP nobody c4c9334bac560ecc979e58001b3e22fb
        S: -ERR [AUTH] Credentials invalid
        C: APOP mrose c4c9334bac560ecc979e58001b3e22fc
        S: -ERR [AUTH] Credentials invalid
        C: APOP mrose c4c9334bac560ecc979e58001b3e22fb
        S: +OK Maildrop locked, 0 messages (0 octets)
        """,
    )
    assert session.denial == "invalid-proof"


def test_an_empty_password_is_no_secret_to_share() -> None:
    session = greeted(server(Maildrop([Account("carol", "")]), policy=APOP_POLICY))
    digest = hashlib.md5(b"<1896.697170952@dbc.mtview.ca.us>").hexdigest().encode()

    assert say(session, b"APOP carol " + digest + b"\r\n") == b"-ERR [AUTH] Credentials invalid\r\n"
    assert session.denial == "no-password"


def test_no_timestamp_is_said_twice() -> None:
    maildrop = Maildrop([MROSE])
    greetings = {say(server(maildrop, policy=Policy(apop=True))) for _ in range(10)}

    assert len(greetings) == 10


def test_the_greeting_of_another_server_gets_a_timestamp_too() -> None:
    session = POP3Server(Maildrop([MROSE]), policy=APOP_POLICY, quirk=ARGOSOFT)

    assert say(session).endswith(b"(1.8.8.8) <1896.697170952@dbc.mtview.ca.us>\r\n")


# Refusals


@pytest.mark.parametrize(
    "command", [b"STAT", b"LIST", b"LIST 1", b"UIDL", b"UIDL 1", b"RETR 1", b"TOP 1 0", b"DELE 1", b"RSET", b"NOOP"]
)
def test_mail_waits_for_the_login(command: bytes) -> None:
    assert say(greeted(server()), command + b"\r\n") == b"-ERR Not now: log in first\r\n"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (b"STAT 1", "STAT alone"),
        (b"RSET 1", "RSET alone"),
        (b"NOOP 1", "NOOP alone"),
        (b"CAPA 1", "CAPA alone"),
        (b"QUIT 1", "QUIT alone"),
        (b"STLS 1", "STLS alone"),
        (b"LIST x", "LIST and a number"),
        (b"LIST 1 2", "LIST and a number"),
        (b"UIDL -1", "UIDL and a number"),
        (b"RETR", "RETR and a number"),
        (b"RETR \xc2\xb2", "RETR and a number"),
        (b"DELE 1x", "DELE and a number"),
        (b"TOP 1", "TOP, a number and a number of lines"),
        (b"TOP x 1", "TOP, a number and a number of lines"),
        (b"TOP 1 -1", "TOP, a number and a number of lines"),
        (b"AUTH", "AUTH, a mechanism and perhaps an initial response"),
    ],
)
def test_a_command_of_another_form_is_refused(command: bytes, expected: str) -> None:
    session = server()
    say(session, *([] if command == b"AUTH" else [LOGIN]))

    assert say(session, command + b"\r\n") == f"-ERR Syntax error, expected {expected}\r\n".encode()


@pytest.mark.parametrize("command", [b"LIST", b"UIDL", b"RETR", b"DELE"])
@pytest.mark.parametrize("number", [b"0", b"2", b"4", b"999999999"])
def test_there_is_no_message_of_another_number_nor_a_deleted_one(command: bytes, number: bytes) -> None:
    assert responses(b"DELE 2\r\n", command + b" " + number + b"\r\n") == b"-ERR No such message\r\n"


def test_what_is_no_command_is_refused() -> None:
    answers = say(greeted(server()), b"APOP a b\r\n\r\n\xff\r\n", b"A" * 3000 + b"\r\n")

    assert answers == b"-ERR Unknown command\r\n" * 3 + b"-ERR Line too long\r\n"


def test_commands_may_be_in_lower_case_and_numbers_filled_up() -> None:
    assert responses(b"list 001\r\n") == b"+OK 1 33\r\n"
