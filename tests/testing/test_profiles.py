import pytest

from mailwire.testing import (
    ARGOSOFT,
    EXCHANGE,
    GMAIL,
    KM_RU,
    MAILLENNIUM,
    NETEASE,
    O2,
    OFFICE365,
    QUIRKS,
    STANDARD,
    Maildrop,
    Policy,
    POP3Server,
    Quirk,
    SMTPServer,
)
from mailwire.testing.quirks import CAPABILITIES
from mailwire.testing.smtp_extensions import EXTENSIONS
from tests.testing.dialogue import play, say
from tests.testing.test_quirks import ACCOUNT, KNOWN


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
    assert list(QUIRKS) == [quirk.name for quirk in QUIRKS.values()]
    assert {
        *("argosoft", "gmail", "exchange", "office365", "163", "jpop", "maillennium", "km.ru", "o2"),
        *("bare-lf", "unstuffed", "no-uidl", "no-capa", "split-dot"),
    } == set(QUIRKS)
    assert QUIRKS["argosoft"] is ARGOSOFT


@pytest.mark.parametrize("quirk", [STANDARD, *QUIRKS.values()])
def test_a_profile_names_only_what_there_is(quirk: Quirk) -> None:
    assert quirk.smtp.withheld_extensions <= set(EXTENSIONS)
    assert quirk.pop3.withheld_capabilities <= set(CAPABILITIES)
    for line in (*quirk.smtp.replies.values(), *quirk.pop3.responses.values()):
        assert line.format(**KNOWN).isprintable()


@pytest.mark.parametrize("quirk", QUIRKS.values(), ids=QUIRKS)
def test_every_profile_differs_from_the_standard(quirk: Quirk) -> None:
    assert (quirk.smtp, quirk.pop3) != (STANDARD.smtp, STANDARD.pop3)


# Profiles of which something was captured


@pytest.mark.parametrize(
    ("quirk", "keywords"),
    [
        # MailKit #391.
        (EXCHANGE, "TOP UIDL PIPELINING USER SASL EXPIRE"),
        (OFFICE365, "TOP UIDL USER SASL"),
        (KM_RU, "UIDL USER SASL RESP-CODE IMPLEMENTATION"),
        (O2, "TOP UIDL PIPELINING USER SASL"),
        (MAILLENNIUM, "TOP UIDL USER SASL IMPLEMENTATION"),
        (GMAIL, "RESP-CODES USER SASL EXPIRE LOGIN-DELAY X-GOOGLE-RICO"),
    ],
    ids=lambda value: value.name if isinstance(value, Quirk) else "",
)
def test_what_is_announced_before_the_login(quirk: Quirk, keywords: str) -> None:
    session = POP3Server(Maildrop([ACCOUNT]), quirk=quirk)

    answer = say(session, b"CAPA\r\n").decode()

    _, _, announced = answer.partition("+OK Capabilities follow\r\n")
    assert [line.split()[0] for line in announced.splitlines()] == [*keywords.split(), "."]


def test_a_refusal_may_be_in_gbk() -> None:
    session = POP3Server(Maildrop([ACCOUNT]), quirk=NETEASE)

    refusal = say(session, b"USER theogus\r\nPASS wrong\r\n").splitlines()[-1]

    assert refusal.decode("gbk") == "-ERR \u7528\u6237\u540d\u6216\u5bc6\u7801\u9519\u8bef"


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
