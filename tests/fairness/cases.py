"""The cases: what a server does that makes life hard, and what a client owes its user then.

Those that tests/hostile has as well go by the same names there, and `LEFT_OUT` has the others, each with the reason.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from tests.fairness.rude_server import Endless, Numbered, Pause, Plan, Steps, Trickle

__all__ = ["CASES", "LEFT_OUT", "MAILS", "MESSAGE", "MIB", "Case", "Duty"]

MIB = 2**20

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
FIVE = tuple(MAILS[0] + b"%d\r\n" % number for number in range(5))
HUNDRED = tuple(MAILS[0] + b"%d\r\n" % number + b"0123456789abcdef\r\n" * 1000 for number in range(100))
NEW = b"From: a@example.org\r\nSubject: new\r\nMessage-ID: <new@example.org>\r\n\r\nnew\r\n"
EIGHT_BIT = (
    b"From: a@example.org\r\nTo: b@example.org\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000\r\nSubject: x\r\n"
    b"Message-ID: <1@example.org>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: 8bit\r\n\r\ncaf\xc3\xa9\r\n"
)
# Headers and bodies at which programs that parse them work for minutes, or descend until they fall.
BOMBS = (
    b"Content-Type: text/plain" + b";" * 40_000 + b"\r\n\r\nx\r\n",
    b"To: " + b"." * 40_000 + b"@example.org\r\n\r\nx\r\n",
    b"To: " + b"(" * 500 + b"\r\n\r\nx\r\n",
    b"".join(b"Content-Type: multipart/mixed; boundary=%d\r\n\r\n--%d\r\n" % (depth, depth) for depth in range(1000)),
    b"X: y\r\n" * 20_000 + b"\r\nx\r\n",
)
MILLION = 10**6

Duty: TypeAlias = Literal["fail", "deliver", "retrieve", "tell", "doubt", "lose nothing"]


@dataclass(frozen=True)
class Case:
    """name: what the server does; meaning: the same in words.

    duty: what the client owes. "fail": to end, and to say that it failed. "deliver", "retrieve": to do it, and to say
    so; "tell": to say of which recipients, or which messages, it could not be done, and not of the others; "doubt":
    to say that the server may have the mail, or that not all may be deleted, which is stored whole; "lose nothing": to
    delete nothing that it has not stored, and to say so if it has not stored all of it.
    silent: the commands that it must not say; at_most: how often it may say others.
    size: octets that are added to the message; recipients: how many there are; message: what is to be sent.
    is_8bit: whether the client is to announce that the message has octets of eight bits.
    by_token: whether the client is to log in by a token.
    peeks: whether the client is to look at the header of a message before it collects it.
    others: plans that are played besides, each in a trial of its own, to which the same applies.
    sequel: what the server does when the client comes again.
    asks: what a client must say, as a regular expression. Of one that does its work without, the case tells nothing.
    lacking: clients that have nothing with which it could be done.
    patience: seconds after which a client is said to hang.
    memory: octets above what the client takes where nothing is wrong; beyond these it takes too much.
    """

    name: str
    meaning: str
    plan: Plan
    duty: Duty
    silent: tuple[str, ...] = ()
    at_most: Mapping[str, int] = field(default_factory=dict)
    size: int = 0
    recipients: int = 1
    message: bytes = MESSAGE
    is_8bit: bool = False
    by_token: bool = False
    peeks: bool = False
    others: tuple[Plan, ...] = ()
    sequel: Plan | None = None
    asks: str = ""
    lacking: tuple[str, ...] = ()
    patience: int = 60
    memory: int = 24 * MIB

    @property
    def variants(self) -> "tuple[Case, ...]":
        """The same with each of its plans."""
        return tuple(replace(self, plan=plan, others=()) for plan in (self.plan, *self.others))


def smtp(name: str, meaning: str, duty: Duty, **plan: object) -> Case:
    keywords = {key: plan.pop(key) for key in Case.__dataclass_fields__ if key in plan}
    on = {key.replace("_", " "): value for key, value in plan.items() if key.isupper()}
    rest = {key: value for key, value in plan.items() if not key.isupper()}
    return Case(name, meaning, Plan("smtp", on, **rest), duty, **keywords)  # type: ignore[arg-type]


def pop3(name: str, meaning: str, duty: Duty, **plan: object) -> Case:
    keywords = {key: plan.pop(key) for key in Case.__dataclass_fields__ if key in plan}
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


def _not_with_body(argument: str) -> Steps:
    return ("555 what",) if "BODY=" in argument else ("250 ok",)


def _million_sizes(argument: str) -> Steps:
    return (f"+OK {argument} 80",) if argument else ("+OK", Numbered(b"%d 80\r\n", MILLION), ".")


def _million_uids(argument: str) -> Steps:
    if argument:
        return (f"+OK {argument} {int(argument):020}",)
    return ("+OK", Numbered(b"%d %020d\r\n", MILLION), ".")


def _odd(one: str, two: str, three: str) -> Callable[[str], Steps]:
    # Entries of three messages, between others whose numbers are none.
    odd = ("0 x", "-1 x", "1_0 x", "\u0661 x", f"{'9' * 5000} x", f"1 {one}", "x")
    entries = (f"2 {two}", f"1 {one}", *odd, f"3 {three}")
    of_each = {"1": one, "2": two, "3": three}
    return lambda argument: (f"+OK {argument} {of_each[argument]}",) if argument else ("+OK", *entries, ".")


def _refuses_to_log_in(code: str) -> Plan:
    return Plan("pop3", {"PASS": (f"-ERR [{code}] no",)}, messages=MAILS)


def _cut_at(place: int) -> Steps:
    # The end of a message in two packets.
    body, end = FIVE[place][:-2], b"\r\n.\r\n"
    return ("+OK", body + end[:place], Pause(), end[place:])


_INJECTION = "what gets into a connection: of that, a table of names and versions is no place"
_LOGIN = "how a login is attacked: the same"
LEFT_OUT = {
    "starttls-inject-lines": _INJECTION,
    "stls-inject-lines": _INJECTION,
    "apop-bad-challenge": _LOGIN,
    "scram-i-1": _LOGIN,
    "scram-i-4294967295": _LOGIN,
}
"""The classes of tests/hostile that other clients do not meet, and why."""

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
    smtp("idle-421", "ends an idle connection by 421", "fail", EHLO=("250 mx", "421 idle", "FIN"), silent=("DATA",)),
    smtp("capabilities-change", "offers SIZE 10 before STARTTLS, and no more behind it", "deliver", tls="localhost",
         offers_in_clear=("SIZE 10",)),
    smtp("mixed-multiline", "answers EHLO by 250-, then 550", "fail", EHLO=("250-a", "550 b"), silent=("MAIL",)),
    smtp("nul-in-reply", "has a NUL in its answer to MAIL", "fail", MAIL=(b"2\0" b"50 ok\r\n",), silent=("DATA",)),
    smtp("size-junk", "offers SIZE with what is no number", "deliver",
         EHLO=("250-mx", "250-SIZE abc", "250 SIZE 99999999999999999999999")),
    smtp("lf-only-server", "ends its lines by LF alone", "deliver", bare_lf=True),
    smtp("too-many-452", "refuses the third recipient for now", "tell", RCPT=_third_is_too_many, recipients=3),
    smtp("354-none-valid", "refuses everybody, and wants the mail none the less", "fail", offers=("PIPELINING",),
         RCPT=("550 no",)),
    smtp("advertised-then-555", "offers 8BITMIME, answers 555 to it", "fail", MAIL=_not_with_body, at_most={"MAIL": 1},
         message=EIGHT_BIT, is_8bit=True, asks="BODY="),
    smtp("esc-in-text", "has control characters and Latin-1 in its refusal", "fail",
         RCPT=(b"550 \x1b[31m\x07 caf\xe9 \x85x\r\n",), silent=("DATA",)),
    smtp("pipeline-deadlock", "hears nothing while it answers 10,000 recipients at length", "deliver",
         offers=("PIPELINING",), verbosity=400, buffer_size=4096, recipients=10_000, patience=300),
    smtp("bdat-second-chunk-552", "answers 552 to the second of many chunks", "fail", offers=("CHUNKING",),
         BDAT_2=("552 too big",), at_most={"BDAT": 2}, silent=("DATA",), size=1_000_000, asks="^BDAT"),
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
    smtp("auth-334-for-ever", "asks and asks during AUTH", "fail", mechanisms=("PLAIN", "LOGIN"),
         AUTH=("334 ",), OTHER=("334 ",), silent=("MAIL",)),
    smtp("xoauth2-error-334-then-535", "refuses a token by 334, and by 535 when it is answered", "fail",
         mechanisms=("XOAUTH2",), by_token=True, AUTH=("334 eyJzdGF0dXMiOiI0MDEifQ==",), OTHER=("535 no",),
         silent=("MAIL",)),
    pop3("well-behaved", "nothing is wrong", "retrieve"),
    pop3("well-behaved-tls", "nothing is wrong, with STLS", "retrieve", tls="localhost"),
    pop3("greeting-err", "greets with -ERR", "fail", GREETING=("-ERR not ready",), silent=NO_LOGIN),
    pop3("capa-err-strip", "refuses CAPA and the STLS that is required", "fail", tls="localhost", CAPA=("-ERR",),
         STLS=("-ERR",), silent=NO_LOGIN),
    pop3("cert-wrong-name", "has a certificate for another host", "fail", tls="other-host", silent=NO_LOGIN),
    pop3("greeting-1Bps", "greets, a character at a time, for ever", "fail", GREETING=(Trickle(b"+OK mx "),)),
    pop3("capa-1Bps", "says what it can, a character at a time, for ever", "fail", CAPA=("+OK", Trickle(b"X\r\n")),
         asks="CAPA"),
    pop3("list-1Bps", "lists a character at a time, for ever", "fail", LIST=_trickles("1 80"),
         UIDL=_trickles("1 uid1")),
    pop3("endless-status-line", "answers PASS by a line without end", "fail", PASS=(b"+OK ", Endless(b"a"))),
    pop3("in-use", "says that the maildrop is in use", "fail", PASS=("-ERR [IN-USE] locked",), at_most={"PASS": 1}),
    pop3("response-codes", "refuses PASS with one of five codes in brackets", "fail", PASS=("-ERR [LOGIN-DELAY] no",),
         others=tuple(map(_refuses_to_log_in, ("SYS/TEMP", "sys/perm", "AUTH", "X-ODD/Y"))), at_most={"PASS": 1}),
    pop3("uidl-million", "lists a million messages, closes at the second", "fail",
         STAT=(f"+OK {MILLION} {80 * MILLION}",), LIST=_million_sizes, UIDL=_million_uids,
         RETR_2=("FIN",), memory=64 * MIB, patience=300),
    pop3("uidl-duplicate", "has the same unique id for two messages", "lose nothing", uids=("same", "same", "uid3")),
    pop3("uidl-numbers", "lists messages whose numbers are none", "lose nothing",
         LIST=_odd(*(str(len(mail)) for mail in MAILS)), UIDL=_odd("uid1", "uid2", "uid3")),
    pop3("list-lies-small", "says that 90 kB are 5 octets", "retrieve", LIST=_lies, messages=LARGE),
    pop3("dots", "has lines of dots", "retrieve", messages=DOTS),
    pop3("terminator-split", "has the end of a message in two packets", "retrieve", messages=FIVE,
         **{f"RETR_{place + 1}": _cut_at(place) for place in range(5)}),
    pop3("mime-bombs", "has mail that is hard to parse", "retrieve", messages=BOMBS),
    pop3("top-unsupported", "offers TOP and refuses it", "lose nothing", TOP=("-ERR what",), peeks=True, asks="TOP"),
    pop3("retr-pipeline-4k", "hears nothing while it says a hundred messages", "retrieve", messages=HUNDRED,
         offers=("PIPELINING",), buffer_size=4096),
    pop3("retr-cut-plain", "closes in the middle of the second message", "fail", RETR_2=("+OK", MAILS[1][:-9], "FIN")),
    pop3("retr-cut-tls", "the same under TLS, without its end", "fail", tls="localhost",
         RETR_2=("+OK", MAILS[1][:-9], "FIN")),
    pop3("retr-stall", "stops in the middle of the second message", "fail", RETR_2=("+OK", MAILS[1][:-9], "STALL")),
    pop3("retr-err-2-of-3", "refuses the second of three messages", "tell", RETR_2=("-ERR no",)),
    pop3("dele-err", "refuses to delete", "doubt", DELE=("-ERR no",)),
    pop3("quit-err", "says at QUIT that not all is deleted", "doubt", QUIT=("-ERR some not removed",)),
    pop3("fin-on-quit", "closes instead of answering QUIT", "doubt", QUIT=("FIN",)),
    pop3("renumbered-maildrop", "the same, and next time some are left, under other numbers", "lose nothing",
         QUIT=("FIN",), sequel=Plan("pop3", messages=(NEW, MAILS[0], MAILS[2]), uids=("uid0", "uid1", "uid3")),
         lacking=("poplib",)),
    pop3("no-close-notify", "does not end TLS in good order", "retrieve", tls="localhost", QUIT=("+OK bye", "STALL")),
)  # fmt: skip
