import pytest

from mailwire.testing import (
    ARGOSOFT,
    QUIRKS,
    STANDARD,
    Account,
    Maildrop,
    Policy,
    POP3Quirk,
    POP3Server,
    Quirk,
    SMTPQuirk,
    SMTPServer,
)
from mailwire.testing.pop3_responses import RESPONSES
from mailwire.testing.quirks import CAPABILITIES, EXTENSIONS
from mailwire.testing.smtp_replies import REPLIES
from tests.testing.dialogue import greeted, play, say

ACCOUNT = Account("theogus", "theogus", ("theogus@geii.fr",))

# All that a situation may name.
KNOWN = {
    **dict.fromkeys(("hostname", "peer", "name", "user", "commands", "challenge"), "x"),
    **dict.fromkeys(("path", "id", "limit", "parameter", "expected", "reason"), "x"),
    **dict.fromkeys(("count", "octets", "number", "uid"), "x"),
}


def argosoft_smtp(maildrop: Maildrop | None = None) -> SMTPServer:
    policy = Policy(hostname="DESKTOP-HJE64BM")
    return SMTPServer(maildrop or Maildrop([ACCOUNT]), policy=policy, quirk=ARGOSOFT, peer="192.168.0.33")


def argosoft_maildrop() -> Maildrop:
    maildrop = Maildrop([ACCOUNT])
    for uid, octets in (("scbxeka0676uu6vp", 555), ("zji8ub11exscjfp", 533), ("ia4u1wk1f34bw4c", 533)):
        maildrop.put("theogus", b"x" * (octets - 2) + b"\r\n", uid=uid)
    return maildrop


def argosoft_pop3() -> POP3Server:
    return POP3Server(argosoft_maildrop(), quirk=ARGOSOFT)


# Profiles in general


def test_profiles_are_found_by_name() -> None:
    assert {name: quirk.name for name, quirk in QUIRKS.items()} == {"argosoft": "argosoft"}
    assert QUIRKS["argosoft"] is ARGOSOFT


@pytest.mark.parametrize("quirk", [STANDARD, *QUIRKS.values()])
def test_a_profile_names_only_what_there_is(quirk: Quirk) -> None:
    assert quirk.smtp.withheld_extensions <= set(EXTENSIONS)
    assert quirk.pop3.withheld_capabilities <= set(CAPABILITIES)
    for line in (*quirk.smtp.replies.values(), *quirk.pop3.responses.values()):
        assert line.format(**KNOWN).isprintable()


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
        lambda: greeted(SMTPServer(Maildrop([ACCOUNT]), quirk=quirk)),
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


# ArGoSoft, as captured


def test_argosoft_takes_mail_as_it_was_typed_over_telnet() -> None:
    maildrops = []

    def open_session() -> SMTPServer:
        maildrops.append(Maildrop([ACCOUNT]))
        return argosoft_smtp(maildrops[-1])

    play(
        open_session,
        """
        S: 220 ArGoSoft Mail Server Freeware, Version 1.8 (1.8.8.8)
        C: HELO
        S: 250 Welcome [192.168.0.33], pleased to meet you
        C: MAIL FROM:theogus@geii.fr
        S: 250 Sender "theogus@geii.fr" OK...
        C: RCPT TO:theogus@geii.fr
        S: 250 Recipient "theogus@geii.fr" OK...
        C: DATA
        S: 354 Enter mail, end with "." on a line by itself
        C: Hello world
        C: send with telnet
        C: .
        S: 250 Message accepted for delivery. <00000001@DESKTOP-HJE64BM>
        C: QUIT
        S: 221 Aba he
        """,
    )
    for maildrop in maildrops:
        (message,) = maildrop.messages("theogus")
        assert message.content == b"Hello world\r\nsend with telnet\r\n"


def test_argosoft_takes_mail_as_a_client_sends_it_and_knows_no_extension() -> None:
    play(
        argosoft_smtp,
        """
        S: 220 ArGoSoft Mail Server Freeware, Version 1.8 (1.8.8.8)
        C: EHLO Z13
        S: 500 Unknown command
        C: STARTTLS
        S: 500 Unknown command
        C: AUTH PLAIN
        S: 500 Unknown command
        C: HELO Z13
        S: 250 Welcome [192.168.0.33], pleased to meet you
        C: HELP
        S: 214 Commands: HELO MAIL RCPT DATA RSET NOOP VRFY EXPN HELP QUIT
        C: MAIL FROM:<theogus@geii.fr> SIZE=1
        S: 555 Parameter SIZE not recognized
        C: MAIL FROM:<theogus@geii.fr>
        S: 250 Sender "theogus@geii.fr" OK...
        C: RCPT TO:<nobody@geii.fr>
        S: 550 No such recipient <nobody@geii.fr>
        C: RCPT TO:<theogus@geii.fr>
        S: 250 Recipient "theogus@geii.fr" OK...
        C: QUIT
        S: 221 Aba he
        """,
    )


def test_argosoft_gives_mail_out_as_it_gave_it_to_sylpheed() -> None:
    play(
        argosoft_pop3,
        f"""
        S: +OK ArGoSoft Mail Server Freeware, Version 1.8 (1.8.8.8)
        C: CAPA
        S: -ERR Unknown command
        C: USER theogus
        S: +OK Password required for theogus
        C: PASS theogus
        S: +OK Mailbox locked and ready
        C: STAT
        S: +OK 3 1621
        C: UIDL
        S: +OK
        S: 1 scbxeka0676uu6vp
        S: 2 zji8ub11exscjfp
        S: 3 ia4u1wk1f34bw4c
        S: .
        C: LIST
        S: +OK
        S: 1 555
        S: 2 533
        S: 3 533
        S: .
        C: RETR 3
        S: +OK 522 octets
        S: {"x" * 531}
        S: .
        C: QUIT
        S: +OK Aba he
        """,
    )


@pytest.mark.parametrize("command", [b"UIDL", b"LIST", b"RETR 3", b"TOP 3 1"])
def test_argosoft_sends_the_dot_in_a_packet_of_its_own(command: bytes) -> None:
    session = argosoft_pop3()
    say(session, b"USER theogus\r\nPASS theogus\r\n")
    session.receive_data(command + b"\r\nNOOP\r\n")

    text, dot, next_response = session.data_to_send()

    assert text.endswith(b"\r\n")
    assert dot == b".\r\n"
    assert next_response == b"+OK Still here\r\n"


def test_argosoft_announces_no_negative_number_of_octets() -> None:
    maildrop = Maildrop([ACCOUNT])
    maildrop.put("theogus", b"x")
    session = POP3Server(maildrop, quirk=ARGOSOFT)

    assert say(session, b"USER theogus\r\nPASS theogus\r\n", b"RETR 1\r\n").endswith(b"+OK 0 octets\r\nx\r\n.\r\n")
