"""The cases: what a server does that makes life hard, and what a client owes its user then.

Those that tests/hostile has as well go by the same names there. Left out are those that try what one client alone has
(chunks, SCRAM, ledgers), and those about what gets in or out by way of injection: of that, a table of names and
versions is no place.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tests.fairness.rude_server import Endless, Plan, Steps, Trickle

__all__ = ["CASES", "MAILS", "MESSAGE", "Case"]

MESSAGE = (
    b"From: a@example.org\r\nTo: b@example.org\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000\r\nSubject: x\r\n"
    b"Message-ID: <1@example.org>\r\n\r\n"
    b".hello\r\n..\r\nworld\r\n"
)
MAILS = tuple(
    b"From: a@example.org\r\nSubject: %d\r\nMessage-ID: <%d@example.org>\r\n\r\nhello %d\r\n" % (number, number, number)
    for number in (1, 2, 3)
)
DOTS = (b"From: a@example.org\r\nSubject: dots\r\n\r\n.\r\n..\r\n...\r\n..x\r\n.y\r\n..\r\n",)
LARGE = (MAILS[0] + b"0123456789abcdef\r\n" * 5000,)


@dataclass(frozen=True)
class Case:
    """name: what the server does; meaning: the same in words.

    duty: what the client owes. "fail": to end, and to say that it failed. "deliver", "retrieve": to do it, and to say
    so; "tell": to say of which recipients, or which messages, it could not be done, and not of the others; "doubt":
    to say that the server may have the mail, or that not all may be deleted, which is stored whole.
    silent: the commands that it must not say.
    size: octets that are added to the message; recipients: how many there are.
    """

    name: str
    meaning: str
    plan: Plan
    duty: Literal["fail", "deliver", "retrieve", "tell", "doubt"]
    silent: tuple[str, ...] = ()
    size: int = 0
    recipients: int = 1


def smtp(name: str, meaning: str, duty: Literal["fail", "deliver", "tell", "doubt"], **plan: object) -> Case:
    keywords = {key: plan.pop(key) for key in ("silent", "size", "recipients") if key in plan}
    on = {key.replace("_", " "): value for key, value in plan.items() if key.isupper()}
    rest = {key: value for key, value in plan.items() if not key.isupper()}
    return Case(name, meaning, Plan("smtp", on, **rest), duty, **keywords)  # type: ignore[arg-type]


def pop3(name: str, meaning: str, duty: Literal["fail", "retrieve", "tell", "doubt"], **plan: object) -> Case:
    keywords = {key: plan.pop(key) for key in ("silent",) if key in plan}
    on = {key.replace("_", " "): value for key, value in plan.items() if key.isupper() or key[-1].isdigit()}
    # Some retrieve by TOP, with more lines than there are.
    on |= {key.replace("RETR", "TOP"): value for key, value in on.items() if key.startswith("RETR")}
    rest = {"messages": MAILS, **{key: value for key, value in plan.items() if key not in on}}
    rest = {key: value for key, value in rest.items() if key.replace("_", " ") not in on}
    return Case(name, meaning, Plan("pop3", on, **rest), duty, **keywords)  # type: ignore[arg-type]


def _lies(argument: str) -> Steps:
    return ("+OK 1 5",) if argument else ("+OK", "1 5", ".")


def _trickles(line: str) -> Callable[[str], Steps]:
    return lambda argument: (f"+OK {line}",) if argument else ("+OK", Trickle(f"{line}\r\n".encode()))


def _third_is_too_many(address: str) -> Steps:
    return ("452 4.5.3 too many",) if address.startswith("r2@") else ("250 ok",)


NO_MAIL = ("AUTH", "MAIL")
NO_LOGIN = ("USER", "PASS", "AUTH", "APOP")

CASES = (
    smtp("well-behaved", "nothing is wrong", "deliver"),
    smtp("well-behaved-tls", "nothing is wrong, with STARTTLS", "deliver", tls="localhost"),
    smtp("greeting-554", "greets with 554", "fail", GREETING=("554 no",), silent=("MAIL",)),
    smtp("greeting-421", "greets with 421, closes", "fail", GREETING=("421 busy", "FIN"), silent=("MAIL",)),
    smtp("greeting-354", "greets with 354", "fail", GREETING=("354 go",), silent=("MAIL",)),
    smtp("greeting-1Bps", "greets, a character at a time, for ever", "fail", GREETING=(Trickle(b"220-mx\r\n"),)),
    smtp("strip-capability", "does not offer the STARTTLS that is required", "fail", EHLO=("250-mx", "250 AUTH PLAIN"),
         tls="localhost", silent=NO_MAIL),
    smtp("starttls-221", "answers STARTTLS by 221", "fail", tls="localhost", STARTTLS=("221 bye",), silent=NO_MAIL),
    smtp("starttls-354", "answers STARTTLS by 354", "fail", tls="localhost", STARTTLS=("354 else",), silent=NO_MAIL),
    smtp("starttls-250", "answers STARTTLS by 250", "fail", tls="localhost", STARTTLS=("250 ok",), silent=NO_MAIL),
    smtp("cert-wrong-name", "has a certificate for another host", "fail", tls="other-host", silent=NO_MAIL),
    smtp("cert-self-signed", "has a certificate of its own making", "fail", tls="self-signed", silent=NO_MAIL),
    smtp("cert-expired", "has an expired certificate", "fail", tls="expired", silent=NO_MAIL),
    smtp("endless-line", "answers EHLO by a line without end", "fail", EHLO=(b"250-", Endless(b"a"))),
    smtp("endless-multiline", "answers EHLO by lines without end", "fail", EHLO=(Endless(b"250-x\r\n"),)),
    smtp("capability-flood", "offers extensions of 8 kB each, without end", "fail",
         EHLO=(Endless(b"250-" + b"X" * 8000 + b"\r\n"),)),
    smtp("mixed-multiline", "answers EHLO by 250-, then 550", "fail", EHLO=("250-a", "550 b"), silent=("MAIL",)),
    smtp("nul-in-reply", "has a NUL in its answer to MAIL", "fail", MAIL=(b"2\0" b"50 ok\r\n",), silent=("DATA",)),
    smtp("size-junk", "offers SIZE with what is no number", "deliver",
         EHLO=("250-mx", "250-SIZE abc", "250 SIZE 99999999999999999999999")),
    smtp("lf-only-server", "ends its lines by LF alone", "deliver", bare_lf=True),
    smtp("too-many-452", "refuses the third recipient for now", "tell", RCPT=_third_is_too_many, recipients=3),
    smtp("reject-mid-data", "answers 552 in the middle of 32 MB, closes", "fail", MIDDLE=("552 too big", "FIN"),
         size=32_000_000),
    smtp("fin-instead-of-dot-reply", "closes instead of answering the mail", "doubt", DOT=("FIN",)),
    smtp("rst-after-dot", "resets instead of answering the mail", "doubt", DOT=("RST",)),
    smtp("stall-after-dot", "never answers the mail", "doubt", DOT=("STALL",)),
    smtp("quit-stall", "has taken the mail and never answers QUIT", "deliver", QUIT=("STALL",)),
    smtp("no-close-notify-at-quit", "does not end TLS in good order", "deliver", tls="localhost",
         QUIT=("221 bye", "STALL")),
    smtp("auth-334-bad-base64", "asks by what is no base64 during AUTH", "fail", mechanisms=("PLAIN", "LOGIN"),
         AUTH=("334 !!!!", "STALL"), silent=("MAIL",)),
    pop3("well-behaved", "nothing is wrong", "retrieve"),
    pop3("well-behaved-tls", "nothing is wrong, with STLS", "retrieve", tls="localhost"),
    pop3("greeting-err", "greets with -ERR", "fail", GREETING=("-ERR not ready",), silent=NO_LOGIN),
    pop3("capa-err-strip", "refuses CAPA and the STLS that is required", "fail", tls="localhost", CAPA=("-ERR",),
         STLS=("-ERR",), silent=NO_LOGIN),
    pop3("cert-wrong-name", "has a certificate for another host", "fail", tls="other-host", silent=NO_LOGIN),
    pop3("greeting-1Bps", "greets, a character at a time, for ever", "fail", GREETING=(Trickle(b"+OK mx "),)),
    pop3("list-1Bps", "lists a character at a time, for ever", "fail", LIST=_trickles("1 80"),
         UIDL=_trickles("1 uid1")),
    pop3("endless-status-line", "answers PASS by a line without end", "fail", PASS=(b"+OK ", Endless(b"a"))),
    pop3("in-use", "says that the maildrop is in use", "fail", PASS=("-ERR [IN-USE] locked",)),
    pop3("list-lies-small", "says that 90 kB are 5 octets", "retrieve", LIST=_lies, messages=LARGE),
    pop3("dots", "has lines of dots", "retrieve", messages=DOTS),
    pop3("retr-cut", "closes in the middle of the second message", "fail", RETR_2=("+OK", MAILS[1][:-9], "FIN")),
    pop3("retr-cut-tls", "the same under TLS, without its end", "fail", tls="localhost",
         RETR_2=("+OK", MAILS[1][:-9], "FIN")),
    pop3("retr-stall", "stops in the middle of the second message", "fail", RETR_2=("+OK", MAILS[1][:-9], "STALL")),
    pop3("retr-err-2-of-3", "refuses the second of three messages", "tell", RETR_2=("-ERR no",)),
    pop3("dele-err", "refuses to delete", "doubt", DELE=("-ERR no",)),
    pop3("quit-err", "says at QUIT that not all is deleted", "doubt", QUIT=("-ERR some not removed",)),
    pop3("fin-on-quit", "closes instead of answering QUIT", "doubt", QUIT=("FIN",)),
)  # fmt: skip
