from base64 import b64decode, b64encode
from typing import Any

import pytest

from mailwire.testing import MECHANISMS, Account, Channel, Envelope, Maildrop, Policy, SMTPServer, TLSState
from tests.testing.dialogue import greeted, play, say

ALICE = Account("alice", "secret", ("alice@example.org",))
BOB = Account("bob", "hidden", ("bob@example.org", '"b ob"@example.org', "bøb@example.org"))
POLICY = Policy(
    hostname="mail.example.org",
    size_limit=1000,
    refused_senders=("spam@example.org",),
    extensions=("PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "STARTTLS", "AUTH"),
)
CHUNKING = Policy(size_limit=1000, extensions=(*POLICY.extensions, "CHUNKING", "BINARYMIME"))

HELLO = b"EHLO client.example.org\r\n"
MAIL = b"MAIL FROM:<alice@example.org>\r\n"
RCPT = b"RCPT TO:<bob@example.org>\r\n"
DATA = b"DATA\r\n"
AUTH = b"AUTH PLAIN " + b64encode(b"\0alice\0secret") + b"\r\n"


def server(maildrop: Maildrop | None = None, *, policy: Policy = POLICY, tls: TLSState = "unavailable") -> SMTPServer:
    return SMTPServer(Maildrop([ALICE, BOB]) if maildrop is None else maildrop, policy=policy, tls=tls)


def last_reply(*commands: bytes, policy: Policy = POLICY, tls: TLSState = "unavailable") -> str:
    """The reply to the last of the commands, which are sent to a new session; the last line of it."""
    session = server(policy=policy, tls=tls)
    say(session, *commands[:-1])
    return say(session, commands[-1]).decode().splitlines()[-1]


def extensions(session: SMTPServer) -> list[str]:
    lines = say(greeted(session), HELLO).decode().splitlines()
    assert all(line.startswith("250-") for line in lines[:-1])
    assert lines[-1].startswith("250 ")
    return [line[4:] for line in lines[1:]]


# A whole session


def test_mail_goes_into_the_maildrop_of_its_recipient() -> None:
    maildrops = []

    def open_session() -> SMTPServer:
        maildrops.append(Maildrop([ALICE, BOB]))
        return server(maildrops[-1])

    session = play(
        open_session,
        """
        S: 220 mail.example.org ESMTP mailwire.testing
        C: EHLO client.example.org
        S: 250-mail.example.org greets client.example.org
        S: 250-PIPELINING
        S: 250-SIZE 1000
        S: 250-8BITMIME
        S: 250-SMTPUTF8
        S: 250-ENHANCEDSTATUSCODES
        S: 250 AUTH PLAIN LOGIN
        C: MAIL FROM:<alice@example.org> BODY=8BITMIME SIZE=100
        S: 250 2.1.0 Sender <alice@example.org> accepted
        C: RCPT TO:<bob@example.org>
        S: 250 2.1.5 Recipient <bob@example.org> accepted
        C: DATA
        S: 354 Send the message, end with a dot on a line by itself
        C: Subject: hello
        C:
        C: ..
        C: world
        C: .
        S: 250 2.0.0 Message accepted as 00000001
        C: QUIT
        S: 221 2.0.0 mail.example.org closes the connection
        """,
    )

    assert session.closing
    envelope = Envelope("alice@example.org", ("bob@example.org",), {"BODY": "8BITMIME", "SIZE": "100"})
    for maildrop in maildrops:
        (message,) = maildrop.messages("bob")
        assert (message.uid, message.content) == ("00000001", b"Subject: hello\r\n\r\n.\r\nworld\r\n")
        assert message.envelope == envelope


def test_two_transactions_in_one_session_are_two_messages() -> None:
    maildrop = Maildrop([ALICE, BOB])
    session = server(maildrop)

    say(session, HELLO, MAIL + RCPT + DATA, b"one\r\n.\r\n" + MAIL + RCPT + DATA, b"two\r\n.\r\n")

    assert [message.content for message in maildrop.messages("bob")] == [b"one\r\n", b"two\r\n"]
    assert session.flights == 4


def test_a_group_of_commands_is_one_flight_with_its_replies_in_one_piece() -> None:
    session = greeted(server())
    session.receive_data(HELLO)
    session.data_to_send()
    session.receive_data(MAIL + RCPT + b"RCPT TO:<nobody@example.org>\r\n" + DATA)

    assert session.data_to_send() == [
        b"250 2.1.0 Sender <alice@example.org> accepted\r\n"
        b"250 2.1.5 Recipient <bob@example.org> accepted\r\n"
        b"550 5.1.1 No such recipient <nobody@example.org>\r\n"
        b"354 Send the message, end with a dot on a line by itself\r\n"
    ]
    assert session.flights == 2


def test_a_message_in_pieces_is_one_flight() -> None:
    session = server()
    say(session, HELLO, MAIL + RCPT + DATA, b"he", b"llo\r\n", b".", b"\r\n")

    assert session.flights == 3


def test_mail_data_are_no_commands() -> None:
    session = server()
    say(session, HELLO + MAIL + RCPT + DATA + b"QUIT\r\n.\r\nNOOP\r\n")

    assert session.commands == [line.rstrip() for line in (HELLO, MAIL, RCPT, DATA, b"NOOP")]


def test_the_null_sender_is_accepted() -> None:
    maildrop = Maildrop([BOB])
    say(server(maildrop), HELLO, b"MAIL FROM:<>\r\n" + RCPT + DATA, b".\r\n")

    (message,) = maildrop.messages("bob")
    assert message.content == b""
    assert message.envelope == Envelope("", ("bob@example.org",))


def test_addresses_may_be_quoted_or_beyond_ascii() -> None:
    maildrop = Maildrop([BOB])
    group = (
        'MAIL FROM:<"a>lice"@example.org> SMTPUTF8\r\n'
        'RCPT TO:<"b ob"@example.org>\r\n'
        "RCPT TO:<bøb@example.org>\r\n"
        "DATA\r\n"
    )
    say(server(maildrop), HELLO, group.encode(), b"hello\r\n.\r\n")

    (message,) = maildrop.messages("bob")
    assert message.envelope == Envelope(
        '"a>lice"@example.org', ('"b ob"@example.org', "bøb@example.org"), {"SMTPUTF8": None}
    )


# What it offers


def test_authentication_is_announced_where_there_are_accounts() -> None:
    assert "AUTH PLAIN LOGIN" in extensions(server())
    assert not [line for line in extensions(server(Maildrop())) if "AUTH" in line]
    assert last_reply(HELLO, AUTH, policy=Policy(mechanisms=())) == "502 5.5.1 Command not available"


def test_starttls_is_announced_until_it_was_used() -> None:
    session = server(tls="available")
    assert "STARTTLS" in extensions(session)

    say(session, b"STARTTLS\r\n")
    session.tls_established()
    session.receive_data(b"NOOP\r\n")

    assert "STARTTLS" not in extensions(session)


def test_helo_has_no_extensions() -> None:
    session = greeted(server())

    assert say(session, b"HELO client.example.org\r\n") == b"250 mail.example.org greets client.example.org\r\n"
    assert say(session, b"MAIL FROM:<alice@example.org> SIZE=1\r\n") == b"555 5.5.4 Parameter SIZE not recognized\r\n"


def test_the_reply_to_help_names_the_commands() -> None:
    assert (
        last_reply(b"HELP\r\n")
        == "214 2.0.0 Commands: EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY EXPN HELP QUIT STARTTLS AUTH"
    )


def test_everything_is_offered_that_can_be_had() -> None:
    policy = Policy(size_limit=1000, recipient_limit=10, message_limit=3, recipient_domain_limit=2)

    assert extensions(server(policy=policy, tls="established")) == [
        "PIPELINING",
        "SIZE 1000",
        "8BITMIME",
        "SMTPUTF8",
        "ENHANCEDSTATUSCODES",
        "CHUNKING",
        "BINARYMIME",
        "DSN",
        "DELIVERBY",
        "FUTURERELEASE 2592000 2100-01-01T00:00:00Z",
        "MT-PRIORITY MIXER",
        "REQUIRETLS",
        "RRVS",
        "LIMITS RCPTMAX=10 MAILMAX=3 RCPTDOMAINMAX=2",
        "AUTH PLAIN LOGIN",
    ]
    in_clear = extensions(server(policy=Policy(), tls="available"))
    assert "STARTTLS" in in_clear
    assert not {"REQUIRETLS", "LIMITS"} & {line.partition(" ")[0] for line in in_clear}
    assert extensions(server(policy=Policy(extensions=["BINARYMIME", "DSN"]))) == ["DSN"]


def test_without_enhanced_codes_the_replies_have_none() -> None:
    assert last_reply(b"NOOP\r\n", policy=Policy(extensions=())) == "250 Still here"


# TLS


def test_the_session_begins_again_under_tls() -> None:
    session = play(
        lambda: greeted(server(tls="available")),
        """
        C: HELO client.example.org
        S: 250 mail.example.org greets client.example.org
        C: STARTTLS
        S: 220 2.0.0 Begin TLS now
        (TLS)
        C: STARTTLS
        S: 503 5.5.1 Bad sequence of commands: TLS is in force already
        C: MAIL FROM:<alice@example.org>
        S: 503 5.5.1 Bad sequence of commands: EHLO comes first
        """,
    )
    assert session.is_encrypted


def test_a_session_that_begins_under_tls_offers_none() -> None:
    session = server(tls="established")

    assert "STARTTLS" not in extensions(session)
    assert say(session, b"STARTTLS\r\n").startswith(b"503 5.5.1 ")


def test_what_came_behind_starttls_is_dropped() -> None:
    session = greeted(server(tls="available"))

    assert say(session, b"STARTTLS\r\n" + HELLO + MAIL) == b"220 2.0.0 Begin TLS now\r\n"
    session.tls_established()
    assert say(session, b"NOOP\r\n") == b"250 2.0.0 Still here\r\n"


# Authentication


def test_a_user_authenticates_once() -> None:
    session = play(
        lambda: greeted(server()),
        """
        C: HELO client.example.org
        S: 250 mail.example.org greets client.example.org
        C: AUTH PLAIN
        S: 503 5.5.1 Bad sequence of commands: EHLO comes first
        C: EHLO client.example.org
        S: 250-mail.example.org greets client.example.org
        S: 250-PIPELINING
        S: 250-SIZE 1000
        S: 250-8BITMIME
        S: 250-SMTPUTF8
        S: 250-ENHANCEDSTATUSCODES
        S: 250 AUTH PLAIN LOGIN
        C: AUTH
        S: 501 5.5.4 Syntax error, expected AUTH, a mechanism and perhaps an initial response
        C: AUTH SCRAM-SHA-256
        S: 504 5.5.4 Unknown mechanism
        C: AUTH PLAIN AGFsaWNlAGhpZGRlbg==
        S: 535 5.7.8 Credentials invalid
        C: AUTH PLAIN %
        S: 501 5.5.2 Cannot decode the response
        C: AUTH PLAIN
        S: 334␠
        C: *
        S: 501 5.7.0 Authentication cancelled
        C: AUTH LOGIN
        S: 334 VXNlcm5hbWU6
        C: YWxpY2U=
        S: 334 UGFzc3dvcmQ6
        C: c2VjcmV0
        S: 235 2.7.0 Authenticated as alice
        C: AUTH PLAIN
        S: 503 5.5.1 Bad sequence of commands: authenticated already
        """,
    )
    assert session.user == "alice"


def test_what_else_is_offered_is_announced() -> None:
    policy = Policy(mechanisms=MECHANISMS)

    def announced(session: SMTPServer) -> str:
        return next(line for line in extensions(session) if line.startswith("AUTH"))

    assert announced(server(policy=policy)) == (
        "AUTH SCRAM-SHA-512 SCRAM-SHA-256 SCRAM-SHA-1 OAUTHBEARER XOAUTH2 PLAIN LOGIN CRAM-MD5 ANONYMOUS"
    )
    session = server(policy=policy, tls="established")
    session.channel = Channel({"tls-unique": b"unique"}, frozenset({"alice"}))
    assert announced(session) == " ".join(["AUTH", *MECHANISMS])


def encoded(message: str) -> str:
    """A message as a line has it; ^A stands for what RFC 7628 writes so."""
    return b64encode(message.replace("^A", "\1").encode()).decode()


def test_scram_is_spoken_as_in_the_example() -> None:
    # RFC 7677 3
    nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    policy = Policy(
        mechanisms=("SCRAM-SHA-256",),
        make_nonce=lambda: "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
        make_salt=lambda: b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="),
    )
    maildrop = Maildrop([Account("user", "pencil")])

    def open_session() -> SMTPServer:
        session = greeted(server(maildrop, policy=policy))
        say(session, HELLO)
        return session

    session = play(
        open_session,
        f"""
        C: AUTH SCRAM-SHA-256 {encoded("n,,n=user,r=rOprNGfwEbeRWgbNEkqO")}
        S: 334 {encoded(f"r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")}
        C: {encoded(f"c=biws,r={nonce},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")}
        S: 334 {encoded("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")}
        C:
        S: 235 2.7.0 Authenticated as user
        """,
    )
    assert session.user == "user"


def test_what_is_wrong_with_an_exchange_has_its_code() -> None:
    # RFC 4954 4 and 6
    policy = Policy(
        mechanisms=("CRAM-MD5", "OAUTHBEARER", "XOAUTH2", "SCRAM-SHA-1"),
        make_nonce=lambda: "nonce",
        make_salt=lambda: b"salt",
        scram_iterations=1,
    )

    def open_session() -> SMTPServer:
        session = greeted(server(policy=policy))
        say(session, HELLO)
        return session

    discovery = "https://localhost/.well-known/openid-configuration"
    session = play(
        open_session,
        f"""
        C: AUTH CRAM-MD5 {encoded("alice")}
        S: 501 5.7.0 The server begins this mechanism
        C: AUTH CRAM-MD5
        S: 334 {encoded("<nonce@localhost>")}
        C: {encoded("alice")}
        S: 501 5.5.2 Cannot decode the response
        C: AUTH CRAM-MD5
        S: 334 {encoded("<nonce@localhost>")}
        C: {encoded("alice " + "0" * 32)}
        S: 535 5.7.8 Credentials invalid
        C: AUTH OAUTHBEARER {encoded("n,,^Aauth=Bearer t^A^A")}
        S: 334 {encoded(f'{{"status":"invalid_token","scope":"mail","openid-configuration":"{discovery}"}}')}
        C: AQ==
        S: 535 5.7.8 Credentials invalid
        C: AUTH XOAUTH2 {encoded("user=alice^Aauth=Bearer t^A^A")}
        S: 334 {encoded('{"status":"401","schemes":"bearer","scope":"mail"}')}
        C:
        S: 535 5.7.8 Credentials invalid
        C: AUTH XOAUTH2 {encoded("user=alice^Aauth=Bearer t^A^A")}
        S: 334 {encoded('{"status":"401","schemes":"bearer","scope":"mail"}')}
        C: *
        S: 501 5.7.0 Authentication cancelled
        C: AUTH SCRAM-SHA-1 =
        S: 501 5.5.2 Cannot decode the response
        C: AUTH SCRAM-SHA-1-PLUS
        S: 504 5.5.4 Unknown mechanism
        C: AUTH SCRAM-SHA-1 {encoded("n,,n=alice,r=0")}
        S: 334 {encoded("r=0nonce,s=c2FsdA==,i=1")}
        C: {encoded("c=biws,r=0,p=AAAA")}
        S: 535 5.7.8 Credentials invalid
        """,
    )
    assert session.user is None
    assert session.denial == "other-nonce"


def test_authentication_waits_for_the_end_of_a_transaction() -> None:
    expected = "503 5.5.1 Bad sequence of commands: a mail transaction is under way"

    assert last_reply(HELLO, MAIL, AUTH) == expected
    assert last_reply(HELLO, MAIL, b"STARTTLS\r\n", tls="available") == expected


def test_authentication_can_be_required() -> None:
    policy = Policy(require_auth=True)

    assert last_reply(HELLO, MAIL, policy=policy) == "530 5.7.0 Authentication required"
    assert last_reply(HELLO, AUTH, MAIL, policy=policy) == "250 2.1.0 Sender <alice@example.org> accepted"


# Replies, one by one


@pytest.mark.parametrize(
    ("commands", "reply"),
    [
        # The session
        ([b"NOOP\r\n"], "250 2.0.0 Still here"),
        ([b"noop whatever\r\n"], "250 2.0.0 Still here"),
        ([b"NOOP\t \r\n"], "250 2.0.0 Still here"),
        ([b"RSET\r\n"], "250 2.0.0 Forgotten"),
        ([b"QUIT \r\n"], "221 2.0.0 mail.example.org closes the connection"),
        ([b"VRFY bob\r\n"], "252 2.0.0 Cannot verify, but will take mail and try"),
        ([b"EXPN list\r\n"], "502 5.5.1 Command not available"),
        ([b"STARTTLS\r\n"], "502 5.5.1 Command not available"),
        ([b"BDAT 1\r\n"], "500 5.5.1 Unknown command"),
        ([b"\r\n"], "500 5.5.1 Unknown command"),
        ([b"\xff\0\r\n"], "500 5.5.1 Unknown command"),
        ([b"A" * 3000 + b"\r\n"], "500 5.5.6 Line too long"),
        ([b"VRFY\r\n"], "501 5.5.4 Syntax error, expected VRFY and a name"),
        ([b"QUIT now\r\n"], "501 5.5.4 Syntax error, expected QUIT alone"),
        ([b"RSET now\r\n"], "501 5.5.4 Syntax error, expected RSET alone"),
        ([b"STARTTLS now\r\n"], "501 5.5.4 Syntax error, expected STARTTLS alone"),
        ([b"EHLO\r\n"], "501 5.5.4 Syntax error, expected EHLO and a domain or an address literal"),
        ([b"HELO a b\r\n"], "501 5.5.4 Syntax error, expected HELO and a domain or an address literal"),
        ([b"EHLO \xff\r\n"], "501 5.5.4 Syntax error, expected EHLO and a domain or an address literal"),
        # MAIL
        ([MAIL], "503 5.5.1 Bad sequence of commands: EHLO comes first"),
        ([HELLO, MAIL, MAIL], "503 5.5.1 Bad sequence of commands: a mail transaction is under way"),
        ([HELLO, MAIL, HELLO, MAIL], "250 2.1.0 Sender <alice@example.org> accepted"),
        ([HELLO, MAIL, b"RSET\r\n", MAIL], "250 2.1.0 Sender <alice@example.org> accepted"),
        ([HELLO, b"MAIL\r\n"], "501 5.5.4 Syntax error, expected MAIL FROM:<path> and parameters, each once"),
        ([HELLO, b"MAIL FROM:<alice>\r\n"], "501 5.1.7 Cannot read the sender's address"),
        ([HELLO, b"MAIL FROM:<spam@EXAMPLE.org>\r\n"], "550 5.7.1 Sender <spam@EXAMPLE.org> refused"),
        ([HELLO, b"MAIL FROM:<\xc3\xa9@example.org>\r\n"], "553 5.6.7 An address beyond ASCII needs SMTPUTF8"),
        ([HELLO, b"MAIL FROM:<> RET=FULL\r\n"], "555 5.5.4 Parameter RET not recognized"),
        ([HELLO, b"MAIL FROM:<> SIZE=1000\r\n"], "250 2.1.0 Sender <> accepted"),
        ([HELLO, b"MAIL FROM:<> SIZE=1001\r\n"], "552 5.3.4 More than 1000 octets"),
        ([HELLO, b"MAIL FROM:<> SIZE=x\r\n"], "501 5.5.4 Syntax error, expected another value of SIZE"),
        ([HELLO, b"MAIL FROM:<> SIZE\r\n"], "501 5.5.4 Syntax error, expected another value of SIZE"),
        ([HELLO, b"MAIL FROM:<> SIZE=\xc2\xb2\r\n"], "501 5.5.4 Syntax error, expected another value of SIZE"),
        ([HELLO, b"MAIL FROM:<> body=7bit\r\n"], "250 2.1.0 Sender <> accepted"),
        ([HELLO, b"MAIL FROM:<> BODY=BINARYMIME\r\n"], "501 5.5.4 Syntax error, expected another value of BODY"),
        ([HELLO, b"MAIL FROM:<> SMTPUTF8=YES\r\n"], "501 5.5.4 Syntax error, expected another value of SMTPUTF8"),
        ([HELLO, b"MAIL FROM:<> AUTH=<>\r\n"], "250 2.1.0 Sender <> accepted"),
        ([HELLO, b"MAIL FROM:<> AUTH\r\n"], "501 5.5.4 Syntax error, expected another value of AUTH"),
        # RCPT
        ([HELLO, RCPT], "503 5.5.1 Bad sequence of commands: MAIL comes first"),
        (
            [HELLO, MAIL, b"RCPT TO:bob\r\n"],
            "501 5.5.4 Syntax error, expected RCPT TO:<path> and parameters, each once",
        ),
        ([HELLO, MAIL, b"RCPT TO:<>\r\n"], "501 5.1.3 Cannot read the recipient's address"),
        ([HELLO, MAIL, b"RCPT TO:<bob>\r\n"], "501 5.1.3 Cannot read the recipient's address"),
        ([HELLO, MAIL, b"RCPT TO:<carol@example.org>\r\n"], "550 5.1.1 No such recipient <carol@example.org>"),
        ([HELLO, MAIL, "RCPT TO:<bøb@example.org>\r\n".encode()], "553 5.6.7 An address beyond ASCII needs SMTPUTF8"),
        ([HELLO, MAIL, b"RCPT TO:<bob@example.org> NOTIFY=NEVER\r\n"], "555 5.5.4 Parameter NOTIFY not recognized"),
        # DATA
        ([HELLO, DATA], "503 5.5.1 Bad sequence of commands: MAIL comes first"),
        ([HELLO, MAIL, DATA], "554 5.5.1 No valid recipients"),
        ([HELLO, MAIL, RCPT, b"DATA now\r\n"], "501 5.5.4 Syntax error, expected DATA alone"),
        ([HELLO, MAIL, RCPT, DATA, b"a" * 999 + b"\r\n.\r\n"], "552 5.3.4 More than 1000 octets"),
        ([HELLO, MAIL, RCPT, DATA, b"a\nb\r\n.\r\n"], "554 5.6.0 The message holds a bare CR, a bare LF or a NUL"),
        ([HELLO, MAIL, RCPT, DATA, b".\r\n", RCPT], "503 5.5.1 Bad sequence of commands: MAIL comes first"),
        ([HELLO, MAIL, RCPT, DATA, b"a\n.\r\n.\r\n", MAIL], "250 2.1.0 Sender <alice@example.org> accepted"),
    ],
)
def test_a_command_is_answered_as_the_standard_wants_it(commands: list[bytes], reply: str) -> None:
    assert last_reply(*commands) == reply


def test_a_refused_message_is_not_delivered() -> None:
    maildrop = Maildrop([ALICE, BOB])
    say(server(maildrop), HELLO, MAIL + RCPT + DATA, b"a\nb\r\n.\r\n", MAIL + RCPT + DATA, b"a" * 2000 + b"\r\n.\r\n")

    assert maildrop.messages("bob") == ()


def test_a_message_that_does_not_end_is_not_delivered() -> None:
    maildrop = Maildrop([ALICE, BOB])
    session = server(maildrop)
    say(session, HELLO, MAIL + RCPT + DATA, b"hello\r\n")

    session.receive_eof()

    assert session.data_to_send() == []
    assert maildrop.messages("bob") == ()


# Parameters


def test_the_parameters_of_each_recipient_are_recorded_with_it() -> None:
    maildrop = Maildrop([ALICE, BOB])
    group = (
        b"MAIL FROM:<> RET=HDRS ENVID=a+2Bb BY=120;R HOLDFOR=60 MT-PRIORITY=-3\r\n"
        b"RCPT TO:<alice@example.org> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a+40b\r\n"
        b"RCPT TO:<nobody@example.org> NOTIFY=NEVER\r\n" + RCPT + DATA
    )
    say(server(maildrop, policy=Policy()), HELLO, group, b"hello\r\n.\r\n")

    (message,) = maildrop.messages("bob")
    assert message.envelope == Envelope(
        "",
        ("alice@example.org", "bob@example.org"),
        {"RET": "HDRS", "ENVID": "a+2Bb", "BY": "120;R", "HOLDFOR": "60", "MT-PRIORITY": "-3"},
        ({"NOTIFY": "SUCCESS,DELAY", "ORCPT": "rfc822;a+40b"}, {}),
    )


def test_requiretls_can_be_had_under_tls() -> None:
    mail = b"MAIL FROM:<> REQUIRETLS\r\n"

    assert last_reply(HELLO, mail, policy=Policy()) == "555 5.5.4 Parameter REQUIRETLS not recognized"
    assert last_reply(HELLO, mail, policy=Policy(), tls="established") == "250 2.1.0 Sender <> accepted"


def test_what_rcpt_is_answered_can_be_told() -> None:
    maildrop = Maildrop([ALICE, BOB])
    policy = Policy(
        extensions=POLICY.extensions,
        recipient_replies={
            "full@example.org": "452 4.2.2 Mailbox full",
            "moved@example.org": "251 Will forward",
            "Bob@example.org": "550 not today",
            "late@example.org": "421 4.3.0 Going down",
        },
    )
    session = play(
        lambda: greeted(server(maildrop, policy=policy)),
        """
        C: HELO client
        S: 250 localhost greets client
        C: MAIL FROM:<>
        S: 250 2.1.0 Sender <> accepted
        C: RCPT TO:<full@example.org>
        S: 452 4.2.2 Mailbox full
        C: RCPT TO:<bob@example.org>
        S: 550 not today
        C: DATA
        S: 554 5.5.1 No valid recipients
        C: RCPT TO:<moved@example.org>
        S: 251 Will forward
        C: RCPT TO:<late@example.org>
        S: 421 4.3.0 Going down
        """,
    )
    assert session.closing


def test_what_mail_is_answered_can_be_told() -> None:
    policy = Policy(
        extensions=POLICY.extensions,
        sender_replies={
            "Alice@example.org": "451 4.7.1 Later",
            "bob@example.org": "250 fine",
            "carol@example.org": "421 4.3.0 Going down",
        },
    )
    session = play(
        lambda: greeted(server(Maildrop([BOB]), policy=policy)),
        """
        C: HELO client
        S: 250 localhost greets client
        C: MAIL FROM:<alice@example.org>
        S: 451 4.7.1 Later
        C: RCPT TO:<bob@example.org>
        S: 503 5.5.1 Bad sequence of commands: MAIL comes first
        C: MAIL FROM:<bob@example.org>
        S: 250 fine
        C: RCPT TO:<bob@example.org>
        S: 250 2.1.5 Recipient <bob@example.org> accepted
        C: RSET
        S: 250 2.0.0 Forgotten
        C: MAIL FROM:<carol@example.org>
        S: 421 4.3.0 Going down
        """,
    )
    assert session.closing


@pytest.mark.parametrize(
    ("replies", "expected", "arrived"),
    [
        ({"alice": "451 4.3.0 Later", "bob": "451 4.3.0 Later"}, b"451 4.3.0 Later\r\n", 0),
        ({"alice": "554 No", "bob": "554 No"}, b"554 No\r\n", 0),
        ({"alice": "250 fine", "bob": "250 fine"}, b"250 fine\r\n", 1),
        ({"alice": "421 Bye", "bob": "421 Bye"}, b"421 Bye\r\n", 0),
        ({"alice": "451 4.3.0 Later"}, b"250 2.0.0 Message accepted as 00000001\r\n", 1),
        ({"alice": "451 4.3.0 Later", "bob": "554 No"}, b"250 2.0.0 Message accepted as 00000001\r\n", 1),
    ],
)
@pytest.mark.parametrize("end", [b"DATA\r\nhello\r\n.\r\n", b"BDAT 7 LAST\r\nhello\r\n"])
def test_what_a_message_is_answered_can_be_told_where_it_is_the_same_for_all(
    replies: dict[str, str], expected: bytes, arrived: int, end: bytes
) -> None:
    maildrop = Maildrop([ALICE, BOB])
    policy = Policy(delivery_replies={f"{name}@example.org": line for name, line in replies.items()})
    session = greeted(server(maildrop, policy=policy))
    say(session, HELLO, MAIL, RCPT, b"RCPT TO:<alice@example.org>\r\n")
    assert say(session, end).endswith(expected)
    assert [len(maildrop.messages(name)) for name in ("alice", "bob")] == [arrived, arrived]
    assert session.closing is expected.startswith(b"421")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"recipient_limit": 1}, b"452 4.5.3 No more than 1 recipients of a message\r\n"),
        ({"recipient_domain_limit": 1}, b"452 4.5.3 No more than 1 domains among the recipients of a session\r\n"),
    ],
)
@pytest.mark.parametrize("line", ["251 Will forward", "550 no"])
def test_a_reply_that_was_told_is_the_only_one_beyond_the_limits_as_well(
    settings: dict[str, Any], expected: bytes, line: str
) -> None:
    policy = Policy(recipient_replies={"moved@example.com": line}, **settings)
    session = greeted(server(Maildrop([BOB]), policy=policy))
    say(session, HELLO, MAIL, RCPT)
    # A refusal does not ask for room.
    assert say(session, b"RCPT TO:<moved@example.com>\r\n") == (expected if line[0] == "2" else b"550 no\r\n")


def test_the_limits_are_kept() -> None:
    policy = Policy(recipient_limit=2, message_limit=2, recipient_domain_limit=2)
    others = Account("carol", "", ("carol@example.net", "carol@example.com"))
    session = greeted(server(Maildrop([ALICE, BOB, others]), policy=policy))
    say(session, HELLO, MAIL, RCPT)

    assert say(session, b"RCPT TO:<alice@EXAMPLE.org>\r\n").startswith(b"250 ")
    assert say(session, RCPT) == b"452 4.5.3 No more than 2 recipients of a message\r\n"
    assert say(session, b"RSET\r\n" + MAIL + RCPT + b"RCPT TO:<carol@example.net>\r\n").count(b"250 ") == 4
    assert say(session, b"RSET\r\n" + MAIL).endswith(b"421 4.7.0 No more than 2 messages in a session\r\n")
    assert session.closing

    session = greeted(server(Maildrop([BOB, others]), policy=Policy(recipient_domain_limit=2)))
    say(session, HELLO, MAIL, RCPT, b"RCPT TO:<carol@example.net>\r\n")
    expected = b"452 4.5.3 No more than 2 domains among the recipients of a session\r\n"
    assert say(session, b"RCPT TO:<carol@example.com>\r\n") == expected
    # RFC 9422 4.3: "within a single session".
    assert say(session, b"RSET\r\n" + MAIL + b"RCPT TO:<carol@example.com>\r\n").endswith(expected)
    assert say(session, b"RCPT TO:<carol@example.NET>\r\n").startswith(b"250 ")


# Chunks


def test_a_message_comes_in_chunks() -> None:
    maildrops = []

    def open_session() -> SMTPServer:
        maildrops.append(Maildrop([ALICE, BOB]))
        session = greeted(server(maildrops[-1], policy=CHUNKING))
        say(session, HELLO)
        return session

    session = play(
        open_session,
        """
        C: MAIL FROM:<alice@example.org>
        S: 250 2.1.0 Sender <alice@example.org> accepted
        C: RCPT TO:<bob@example.org>
        S: 250 2.1.5 Recipient <bob@example.org> accepted
        C: BDAT 10
        C: Subject:
        S: 250 2.0.0 10 octets taken
        C: RCPT TO:<alice@example.org>
        S: 503 5.5.1 Bad sequence of commands: the message has begun with a chunk
        C: DATA
        S: 503 5.5.1 Bad sequence of commands: the message has begun with a chunk
        C: MAIL FROM:<alice@example.org>
        S: 503 5.5.1 Bad sequence of commands: a mail transaction is under way
        C: bdat 0
        S: 250 2.0.0 0 octets taken
        C: BDAT 5 last
        C: .
        C:
        S: 250 2.0.0 Message accepted as 00000001
        C: MAIL FROM:<>
        S: 250 2.1.0 Sender <> accepted
        C: RCPT TO:<bob@example.org>
        S: 250 2.1.5 Recipient <bob@example.org> accepted
        C: BDAT 0 LAST
        S: 250 2.0.0 Message accepted as 00000002
        """,
    )
    assert session.commands[-1] == b"BDAT 0 LAST"
    for maildrop in maildrops:
        first, second = maildrop.messages("bob")
        assert (first.content, second.content) == (b"Subject:\r\n.\r\n\r\n", b"")


def test_a_chunk_that_is_refused_is_read_and_those_behind_it_are_refused_too() -> None:
    maildrop = Maildrop([ALICE, BOB])
    chunk, rest = b"BDAT 600\r\n" + b"QUIT\r\n" * 100, b"BDAT 6 LAST\r\nQUIT\r\n"
    session = server(maildrop, policy=CHUNKING)
    say(session, HELLO, MAIL + RCPT)

    replies = say(session, chunk + chunk + rest + b"RSET\r\n" + MAIL + RCPT + rest).decode().splitlines()

    assert replies[:4] == [
        "250 2.0.0 600 octets taken",
        "552 5.3.4 More than 1000 octets",
        "503 5.5.1 Bad sequence of commands: a chunk was refused, RSET comes first",
        "250 2.0.0 Forgotten",
    ]
    assert replies[-1] == "250 2.0.0 Message accepted as 00000001"
    assert not session.closing


@pytest.mark.parametrize(
    ("commands", "reply"),
    [
        ([b"BDAT 6\r\nQUIT\r\n"], "503 5.5.1 Bad sequence of commands: MAIL comes first"),
        ([MAIL, b"BDAT 6\r\nQUIT\r\n"], "554 5.5.1 No valid recipients"),
        ([MAIL, b"BDAT 6 LAST\r\nQUIT\r\n"], "554 5.5.1 No valid recipients"),
        ([MAIL, RCPT, b"BDAT 1 LAST\r\n\n"], "554 5.6.0 The message holds a bare CR, a bare LF or a NUL"),
        ([MAIL, RCPT, b"BDAT 1 LAST\r\n\r"], "554 5.6.0 The message holds a bare CR, a bare LF or a NUL"),
        ([MAIL, RCPT, b"BDAT 1 LAST\r\na"], "250 2.0.0 Message accepted as 00000001"),
        (
            [b"MAIL FROM:<> BODY=BINARYMIME\r\n", RCPT, b"BDAT 3 LAST\r\n\r\0\n"],
            "250 2.0.0 Message accepted as 00000001",
        ),
        (
            [b"MAIL FROM:<> BODY=BINARYMIME\r\n", RCPT, DATA],
            "503 5.5.1 Bad sequence of commands: BINARYMIME comes by BDAT",
        ),
        ([MAIL, RCPT, b"BDAT 1001 LAST\r\n" + b"a" * 1001], "552 5.3.4 More than 1000 octets"),
        ([MAIL, RCPT, b"BDAT 1001 LAST\r\n" + b"a" * 1001, MAIL], "250 2.1.0 Sender <alice@example.org> accepted"),
    ],
)
def test_a_chunk_is_answered_as_the_standard_wants_it(commands: list[bytes], reply: str) -> None:
    assert last_reply(HELLO, *commands, policy=CHUNKING) == reply


@pytest.mark.parametrize("argument", [b"", b"x", b"-1", b"1 FIRST", b"1  LAST", b"1" * 21, "\u0661".encode()])
def test_a_chunk_of_which_the_size_is_not_known_ends_the_session(argument: bytes) -> None:
    session = server(policy=CHUNKING)
    say(session, HELLO)

    assert say(session, b"BDAT " + argument + b"\r\nQUIT\r\n") == (
        b"501 5.5.4 Syntax error, expected BDAT, a size and perhaps LAST\r\n"
    )
    assert session.closing


def test_behind_a_chunk_without_recipients_nobody_gets_the_rest() -> None:
    maildrop = Maildrop([BOB])
    session = server(maildrop, policy=CHUNKING)
    say(session, HELLO, MAIL)

    replies = say(session, b"BDAT 4\r\na: \n", RCPT, b"BDAT 4 LAST\r\nb\r\n\n").decode().splitlines()
    assert [reply[:3] for reply in replies] == ["554", "503", "554"]
    assert maildrop.messages("bob") == ()
    replies = say(session, b"RSET\r\n" + MAIL + RCPT + b"BDAT 3 LAST\r\na\r\n").decode().splitlines()
    assert replies[-1] == "250 2.0.0 Message accepted as 00000001"


def test_a_chunk_in_pieces_is_one_flight() -> None:
    session = server(policy=CHUNKING)
    say(session, HELLO, MAIL + RCPT, b"BDAT 4\r\n", b"a", b"bc\r", b"BDAT", b" 0 LAST\r\n")

    assert session.flights == 4
