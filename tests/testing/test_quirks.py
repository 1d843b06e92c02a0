from typing import Any

import pytest

from mailwire.testing import (
    EXTENSIONS,
    Account,
    Defect,
    Maildrop,
    Policy,
    POP3Quirk,
    POP3Server,
    Quirk,
    SMTPQuirk,
    SMTPServer,
)
from mailwire.testing.pop3_responses import RESPONSES
from mailwire.testing.smtp_replies import REPLIES
from tests.testing.dialogue import greeted, play, say

ACCOUNT = Account("theogus", "theogus", ("theogus@geii.fr",))
SHORT = Policy(extensions=("PIPELINING", "SIZE", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES", "AUTH"))

# All that a situation may name.
KNOWN = {
    **dict.fromkeys(("hostname", "peer", "name", "user", "commands", "challenge"), "x"),
    **dict.fromkeys(("path", "id", "limit", "parameter", "expected", "reason"), "x"),
    **dict.fromkeys(("count", "octets", "number", "uid", "language"), "x"),
}


def test_the_standard_lines_can_be_filled_in() -> None:
    for phrase in (*REPLIES.values(), *RESPONSES.values()):
        assert phrase.text.format(**KNOWN).isprintable()


def test_a_line_for_a_situation_that_is_none_is_an_error() -> None:
    with pytest.raises(ValueError, match="got 'hello'"):
        SMTPQuirk(replies={"hello": "250 hello"})
    with pytest.raises(ValueError, match="got 'helo'"):
        POP3Quirk(responses={"helo": "+OK hello"})


# What a profile can change


def test_an_extension_that_is_withheld_is_not_honoured() -> None:
    quirk = Quirk("small", SMTPQuirk(withheld_extensions=frozenset({"SIZE", "ENHANCEDSTATUSCODES", "AUTH"})))

    play(
        lambda: greeted(SMTPServer(Maildrop([ACCOUNT]), quirk=quirk, policy=SHORT)),
        """
        C: EHLO client
        S: 250-localhost greets client
        S: 250-PIPELINING
        S: 250-8BITMIME
        S: 250 SMTPUTF8
        C: MAIL FROM:<> SIZE=1
        S: 555 Parameter SIZE not recognized
        C: AUTH PLAIN
        S: 502 Command not available
        """,
    )


def test_without_any_extension_the_reply_to_ehlo_is_one_line() -> None:
    quirk = Quirk("none", SMTPQuirk(withheld_extensions=frozenset(EXTENSIONS)))
    session = greeted(SMTPServer(Maildrop([ACCOUNT]), quirk=quirk))

    assert say(session, b"EHLO client\r\n") == b"250 localhost greets client\r\n"


def test_starttls_can_be_withheld() -> None:
    smtp = Quirk("none", SMTPQuirk(withheld_extensions=frozenset({"STARTTLS"})))
    pop3 = Quirk("none", pop3=POP3Quirk(withheld_capabilities=frozenset({"STLS"})))

    answer = say(greeted(SMTPServer(Maildrop(), quirk=smtp, tls="available")), b"STARTTLS\r\n")
    assert answer == b"502 5.5.1 Command not available\r\n"
    answer = say(greeted(POP3Server(Maildrop(), quirk=pop3, tls="available")), b"STLS\r\n")
    assert answer == b"-ERR Command not available\r\n"


def test_without_response_codes_there_are_none() -> None:
    quirk = Quirk("none", pop3=POP3Quirk(withheld_capabilities=frozenset({"RESP-CODES"})))
    session = greeted(POP3Server(Maildrop([ACCOUNT]), quirk=quirk))

    assert say(session, b"AUTH PLAIN AGEAYg==\r\n") == b"-ERR Credentials invalid\r\n"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SMTPQuirk(replies={"quit": "221 {path}"}), "expected 'quit' to name what it knows"),
        (lambda: SMTPQuirk(unknown_commands=frozenset({"ehlo"})), "to be verbs in capitals, got 'ehlo'"),
        (lambda: SMTPQuirk(unknown_commands="EHLO"), "one alone is"),  # type: ignore[arg-type]
        (lambda: SMTPQuirk(withheld_extensions=frozenset({"TLS"})), "got 'TLS'"),
        (lambda: SMTPQuirk(takes_bare_hello=1), "True or False, got 1"),  # type: ignore[arg-type]
        (lambda: SMTPQuirk(takes_bare_paths=None), "True or False, got None"),  # type: ignore[arg-type]
        (lambda: POP3Quirk(encoding="klingon"), "expected the name of an encoding, got 'klingon'"),
        (lambda: POP3Quirk(encoding="base64"), "expected the name of an encoding, got 'base64'"),
        (lambda: POP3Quirk(responses={"noop": "+OK \u7528"}, encoding="ascii"), "'noop' in ascii"),
        (lambda: POP3Quirk(withheld_capabilities=frozenset({"EXPIRE"})), "got 'EXPIRE'"),
        (lambda: POP3Quirk(late_capabilities=frozenset({"EXPIRE"})), "got 'EXPIRE'"),
        (lambda: POP3Quirk(further_capabilities="EXPIRE 0"), "got 'EXPIRE 0'"),  # type: ignore[arg-type]
        (lambda: POP3Quirk(line_end="\n"), "line_end to be bytes"),  # type: ignore[arg-type]
        (lambda: POP3Quirk(line_end=b""), "must not be empty"),
        (lambda: POP3Quirk(uid_separator=b" "), "uid_separator to be text"),  # type: ignore[arg-type]
        (lambda: POP3Quirk(top_limit=-1), "expected top_limit to be a whole number, 0 at least, got -1"),
        (lambda: POP3Quirk(list_surplus=0.5), "got 0.5"),  # type: ignore[arg-type]
        (lambda: POP3Quirk(dot_apart="no"), "expected dot_apart to be True or False"),  # type: ignore[arg-type]
        (lambda: POP3Quirk(defects=[Defect.EMPTY]), "a mapping of messages' numbers"),  # type: ignore[arg-type]
        (lambda: POP3Quirk(defects={0: Defect.EMPTY}), "each number of defects"),
        (lambda: POP3Quirk(defects={1: "EMPTY"}), "expected a defect, such as"),  # type: ignore[dict-item]
        (lambda: Quirk(1), "expected name to be text, got 1"),  # type: ignore[arg-type]
        (lambda: Quirk("x", POP3Quirk()), "expected an SMTPQuirk, got POP3Quirk"),  # type: ignore[arg-type]
        (lambda: Quirk("x", pop3=SMTPQuirk()), "expected a POP3Quirk, got SMTPQuirk"),  # type: ignore[arg-type]
    ],
)
def test_a_quirk_that_can_be_none_is_an_error(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_doubling_a_situation_that_is_none_is_an_error() -> None:
    with pytest.raises(ValueError, match="got 'helo'"):
        POP3Quirk(doubled_responses=frozenset({"helo"}))


# What a profile can change of POP3


def opened(quirk: POP3Quirk, *contents: bytes) -> POP3Server:
    """A session that has logged in to a maildrop with such messages, their unique ids u1, u2 and so on."""
    return reopened(maildrop_with(*contents), quirk)


def maildrop_with(*contents: bytes) -> Maildrop:
    maildrop = Maildrop([ACCOUNT])
    for number, content in enumerate(contents, 1):
        maildrop.put("theogus", content, uid=f"u{number}")
    return maildrop


def reopened(maildrop: Maildrop, quirk: POP3Quirk) -> POP3Server:
    session = POP3Server(maildrop, quirk=Quirk("quirk", pop3=quirk))
    say(session, b"USER theogus\r\nPASS theogus\r\n")
    return session


def test_its_texts_may_be_in_another_encoding() -> None:
    session = opened(POP3Quirk(responses={"noop": "+OK \u7528"}, encoding="gbk"))

    assert say(session, b"NOOP\r\n") == b"+OK \xd3\xc3\r\n"


def test_what_a_client_says_need_not_be_of_that_encoding() -> None:
    quirk = POP3Quirk(responses={"user": "+OK {user}"}, encoding="ascii")
    session = greeted(POP3Server(Maildrop(), quirk=Quirk("ascii", pop3=quirk)))

    assert say(session, "USER \u7528\r\n".encode()) == b"+OK \\u7528\r\n"


def test_a_command_that_it_does_not_know_may_end_the_session() -> None:
    session = opened(POP3Quirk(unknown_command_closes=True))

    assert say(session, b"NOOP\r\n") == b"+OK Still here\r\n"
    assert not session.closing
    assert say(session, b"XTND\r\nNOOP\r\n") == b"-ERR Unknown command\r\n"
    assert session.closing


def test_apop_is_unknown_where_it_is_not_offered() -> None:
    session = POP3Server(Maildrop(), quirk=Quirk("closes", pop3=POP3Quirk(unknown_command_closes=True)))

    assert say(session, b"APOP a 0\r\n").endswith(b"-ERR Unknown command\r\n")
    assert session.closing


def test_some_capabilities_may_be_announced_only_behind_the_login() -> None:
    quirk = POP3Quirk(
        late_capabilities=frozenset({"TOP", "PIPELINING"}),
        withheld_capabilities=frozenset({"SASL", "IMPLEMENTATION", "AUTH-RESP-CODE", "RESP-CODES", "UTF8", "LANG"}),
        further_capabilities=("EXPIRE 0",),
    )
    play(
        lambda: greeted(POP3Server(Maildrop([ACCOUNT]), quirk=Quirk("late", pop3=quirk))),
        """
        C: CAPA
        S: +OK Capabilities follow
        S: UIDL
        S: USER
        S: EXPIRE 0
        S: .
        C: USER theogus
        S: +OK Password, please
        C: PASS theogus
        S: +OK Maildrop locked, 0 messages (0 octets)
        C: CAPA
        S: +OK Capabilities follow
        S: TOP
        S: UIDL
        S: PIPELINING
        S: USER
        S: EXPIRE 0
        S: .
        """,
    )


def test_an_initial_response_may_end_the_session() -> None:
    quirk = Quirk("two-step", pop3=POP3Quirk(refuses_initial_responses=True))

    session = greeted(POP3Server(Maildrop([ACCOUNT]), quirk=quirk))
    assert say(session, b"AUTH PLAIN\r\n", b"AHRoZW9ndXMAdGhlb2d1cw==\r\n").startswith(b"+ \r\n+OK Maildrop locked")

    session = greeted(POP3Server(Maildrop([ACCOUNT]), quirk=quirk))
    assert say(session, b"AUTH PLAIN AHRoZW9ndXMAdGhlb2d1cw==\r\n") == b"-ERR The server begins this mechanism\r\n"
    assert session.closing


def test_its_lines_may_end_in_lf_alone() -> None:
    session = opened(POP3Quirk(line_end=b"\n"), b".\r\nx\r\n")

    assert say(session, b"RETR 1\r\n") == b"+OK 6 octets\n..\nx\n.\n"
    assert say(session, b"UIDL\r\n") == b"+OK Unique ids follow\n1 u1\n.\n"


def test_its_dots_may_go_unstuffed() -> None:
    session = opened(POP3Quirk(stuffs_dots=False), b"a\r\n.\r\n..b\r\n")

    assert say(session, b"RETR 1\r\n") == b"+OK 11 octets\r\na\r\n.\r\n..b\r\n.\r\n"


def test_a_status_line_may_be_said_twice() -> None:
    session = opened(POP3Quirk(doubled_responses=frozenset({"top"})), b"x\r\n")

    assert say(session, b"TOP 1 0\r\n") == b"+OK Top of message follows\r\n" * 2 + b"x\r\n.\r\n"
    session = POP3Server(Maildrop(), quirk=Quirk("twice", pop3=POP3Quirk(doubled_responses=frozenset({"greeting"}))))
    assert say(session) == b"+OK localhost POP3 mailwire.testing\r\n" * 2


def test_several_blanks_may_stand_before_a_unique_id() -> None:
    session = opened(POP3Quirk(uid_separator="   "), b"x\r\n")

    assert say(session, b"UIDL\r\n") == b"+OK Unique ids follow\r\n1   u1\r\n.\r\n"
    assert say(session, b"UIDL 1\r\n") == b"+OK 1 u1\r\n"


def test_listed_sizes_may_be_greater_than_the_messages() -> None:
    session = opened(POP3Quirk(list_surplus=100), b"x\r\n", b"yy\r\n")

    assert say(session, b"LIST\r\n") == b"+OK 2 messages (207 octets)\r\n1 103\r\n2 104\r\n.\r\n"
    assert say(session, b"LIST 2\r\nSTAT\r\n") == b"+OK 2 104\r\n+OK 2 207\r\n"
    assert say(session, b"RETR 1\r\n") == b"+OK 3 octets\r\nx\r\n.\r\n"


@pytest.mark.parametrize(("surplus", "octets"), [(2**31 - 4, "2147483647"), (2**31 - 3, "-2147483648"), (2**32, "3")])
def test_the_octets_of_a_full_maildrop_may_be_negative(surplus: int, octets: str) -> None:
    session = opened(POP3Quirk(list_surplus=surplus, octets_wrap=True), b"x\r\n")

    assert say(session, b"STAT\r\n") == f"+OK 1 {octets}\r\n".encode()


@pytest.mark.parametrize(
    ("limit", "text"),
    [(8, b"ab\r\ncd"), (7, b"ab\r\ncd"), (6, b"ab\r\ncd"), (5, b"ab\r\nc"), (4, b"ab"), (3, b"ab")],
)
def test_top_may_be_cut(limit: int, text: bytes) -> None:
    session = opened(POP3Quirk(top_limit=limit), b"ab\r\ncd\r\n")

    assert say(session, b"TOP 1 9\r\n") == b"+OK Top of message follows\r\n" + text + b"\r\n.\r\n"
    assert say(session, b"RETR 1\r\n") == b"+OK 8 octets\r\nab\r\ncd\r\n.\r\n"


def test_commands_that_come_together_may_end_the_session() -> None:
    session = opened(POP3Quirk(pipelining_limit=2))

    assert say(session, b"NOOP\r\nNOOP\r\n", b"NOOP\r\n") == b"+OK Still here\r\n" * 3
    assert not session.closing
    assert say(session, b"NOOP\r\nNOOP\r\nNOOP\r\n") == b"+OK Still here\r\n" * 2
    assert session.closing


def test_a_session_may_be_shown_a_part_of_the_mail() -> None:
    maildrop = maildrop_with(b"x", b"y", b"z")
    session = reopened(maildrop, POP3Quirk(session_limit=2))

    assert say(session, b"STAT\r\nDELE 1\r\nQUIT\r\n").startswith(b"+OK 2 6\r\n")
    assert [message.uid for message in maildrop.messages("theogus")] == ["u2", "u3"]
    assert say(reopened(maildrop, POP3Quirk(session_limit=2)), b"UIDL\r\n").endswith(b"1 u2\r\n2 u3\r\n.\r\n")


def test_what_was_retrieved_may_be_hidden_from_later_sessions() -> None:
    maildrop = maildrop_with(b"x", b"y")
    session = reopened(maildrop, POP3Quirk(retr_hides=True))

    assert say(session, b"RETR 1\r\nSTAT\r\n").endswith(b"+OK 2 6\r\n")
    session.receive_eof()
    assert say(reopened(maildrop, POP3Quirk()), b"UIDL\r\n") == b"+OK Unique ids follow\r\n1 u2\r\n.\r\n"
    assert len(maildrop.messages("theogus")) == 2


def test_no_more_than_so_many_messages_may_be_retrieved() -> None:
    session = opened(POP3Quirk(retr_limit=1), b"x", b"y")

    assert say(session, b"RETR 1\r\n").startswith(b"+OK")
    assert say(session, b"RETR 2\r\n") == b"-ERR No more messages in this session\r\n"


def test_a_large_message_may_end_the_session_when_it_is_deleted() -> None:
    maildrop = maildrop_with(b"x", b"yy")
    session = reopened(maildrop, POP3Quirk(large_message=3))

    assert say(session, b"RETR 1\r\nRETR 2\r\n", b"DELE 1\r\n").endswith(b"+OK Message 1 marked as deleted\r\n")
    assert say(session, b"DELE 2\r\n") == b""
    assert session.closing
    assert len(maildrop.messages("theogus")) == 2


def test_dots_are_stuffed_before_an_end_that_is_missing() -> None:
    session = opened(POP3Quirk(defects={1: Defect.UNTERMINATED}), b".\r\nx\r\n")

    assert say(session, b"RETR 1\r\n") == b"+OK 6 octets\r\n..\r\nx.\r\n"


def test_a_message_may_have_a_defect() -> None:
    defects = {2: Defect.EMPTY, 3: Defect.UNTERMINATED, 4: Defect.UNAVAILABLE, 5: Defect.BLANK_ANSWER}
    session = opened(POP3Quirk(defects=defects), *[b"x\r\n"] * 5)

    assert say(session, b"RETR 1\r\n") == b"+OK 3 octets\r\nx\r\n.\r\n"
    assert say(session, b"RETR 2\r\n") == b"+OK 3 octets\r\n.\r\n"
    assert say(session, b"RETR 3\r\n") == b"+OK 3 octets\r\nx.\r\n"
    assert say(session, b"RETR 4\r\n") == b"-ERR Cannot read the message\r\n"
    assert say(session, b"RETR 5\r\n") == b"+OK 3 octets\r\nx\r\n.\r\n"
    assert say(session, b"DELE 5\r\nDELE 1\r\n") == b"\r\n+OK Message 1 marked as deleted\r\n"
