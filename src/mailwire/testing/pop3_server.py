"""POP3Server: the server's side of one POP3 session, sans-I/O (RFC 1939, RFC 2449, RFC 2595 4, RFC 5034, RFC 6856)."""

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar, Final

from .._wire.dots import DotStuffer
from .._wire.text import LINE_END
from .extracts import cut_to, has_utf8_header, top_of
from .maildrop import Maildrop, OpenMaildrop, StoredMessage
from .mechanism import account_with_password, check_password
from .phrases import Phrasebook
from .policy import DEFAULTS, Policy
from .pop3_responses import RESPONSES
from .quirks import CAPABILITIES, STANDARD, Defect, Quirk
from .refusal import Denied, Refusal
from .session import Session, TLSState

__all__ = ["POP3Server"]

# Of a number of 32 bits with a sign.
_HALF: Final = 2**31

# Digits of ASCII only.
_NUMBER: Final = re.compile(rb"[0-9]+")
# Digits with which no message and no line is counted.
_DIGITS: Final = 9

# RFC 1939 7: "a 16-octet value which is sent in hexadecimal format, using lower-case ASCII characters".
_DIGEST: Final = re.compile(rb"[0-9a-f]{32}")

# What LANG lists: what is said here is English, which is the language for all as well (RFC 6856 3.2).
_LANGUAGES: Final[Mapping[str, str]] = {"en": "English", "i-default": "Default Language"}


class POP3Server(Session):
    """One POP3 session over the mail in `maildrop`.

    policy: what it calls itself and by what it lets in; quirk: how it differs from the standards.
    tls: "available" offers STLS, "established" is for a port that speaks TLS from the first byte.
    peer: the client's address, for a server that greets by it.

    It is driven as an SMTPServer is. `receive_eof` releases the maildrop; without QUIT nothing is deleted.
    """

    def __init__(
        self,
        maildrop: Maildrop,
        *,
        policy: Policy = DEFAULTS,
        quirk: Quirk = STANDARD,
        tls: TLSState = "unavailable",
        peer: str = "127.0.0.1",
    ) -> None:
        shows_codes = "RESP-CODES" not in quirk.pop3.withheld_capabilities
        super().__init__(maildrop, policy, Phrasebook(RESPONSES, quirk.pop3.responses, shows_codes), tls, peer)
        self._quirk = quirk.pop3
        self._claimed_user: str | None = None  # what USER said, for the PASS that follows it
        self._mail: OpenMaildrop | None = None  # state TRANSACTION, if there is one
        self._retrieved: set[int] = set()
        self._large: int | None = None  # the number of a message that was more than the server stands
        self._unsent = 0  # answers that have not been taken yet
        self._is_utf8 = False  # UTF8 was said
        self._timestamp: str | None = None  # of APOP, if it is offered
        greeting = self._line("greeting")
        if policy.apop:
            self._timestamp = policy.new_timestamp()
            greeting = f"{greeting} {self._timestamp}"
        for _ in range(2 if "greeting" in quirk.pop3.doubled_responses else 1):
            self._write(self._encode(greeting))

    def data_to_send(self) -> list[bytes]:
        self._unsent = 0
        return super().data_to_send()

    def receive_eof(self) -> None:
        super().receive_eof()
        if self._mail is not None:
            self._mail.release()
            self._mail = None

    # Commands

    def _receive_command(self, verb: str, argument: bytes) -> None:
        if self._quirk.pipelining_limit is not None and self._unsent >= self._quirk.pipelining_limit:
            self.closing: bool = True
            return
        self._unsent += 1
        # RFC 1939 7: PASS may only be given right behind a USER that was accepted.
        if verb != "PASS":
            self._claimed_user = None
        command = self._COMMANDS.get(verb)
        if command is None or verb in self._quirk.unknown_commands:
            raise self._unknown()
        command(self, argument)

    def _unknown(self) -> Refusal:
        self.closing = self._quirk.unknown_command_closes
        return Refusal("unknown")

    def _refuse_line(self) -> None:
        self._claimed_user = None
        super()._refuse_line()

    def _capa(self, argument: bytes) -> None:
        self._refuse_argument("CAPA", argument)
        self._say("capa")
        announced = [self._announcement(keyword) for keyword in CAPABILITIES if self._announces(keyword)]
        self._write_listing([*announced, *self._quirk.further_capabilities])

    def _announces(self, keyword: str) -> bool:
        is_late = self._mail is None and keyword in self._quirk.late_capabilities
        return self._offers(keyword) and not is_late

    def _offers(self, keyword: str) -> bool:
        if keyword in self._quirk.withheld_capabilities:
            return False
        if keyword == "STLS":
            # RFC 2595 4: it is only for the AUTHORIZATION state.
            return self._tls == "available" and self._mail is None
        if keyword in ("UTF8", "LANG") and keyword in self._quirk.unknown_commands:
            return False
        return keyword != "SASL" or self._offers_authentication

    def _announcement(self, keyword: str) -> str:
        if keyword == "IMPLEMENTATION":
            return "IMPLEMENTATION mailwire.testing"
        if keyword == "UTF8":
            return "UTF8 USER"  # names and passwords are UTF-8, too (RFC 6856 2.2)
        return " ".join(["SASL", *self._mechanisms]) if keyword == "SASL" else keyword

    def _quit(self, argument: bytes) -> None:
        self._refuse_argument("QUIT", argument)
        if self._mail is not None:
            self._mail.commit()
            self._mail = None
        self._say("quit")
        self.closing = True

    # State AUTHORIZATION

    def _forget(self) -> None:
        super()._forget()
        self._claimed_user = None

    def _stls(self, argument: bytes) -> None:
        self._refuse_argument("STLS", argument)
        self._refuse_login()
        if not self._offers("STLS"):
            raise Refusal("unavailable")
        if self._is_utf8:
            # RFC 6856 2.1: a client "MUST NOT issue the STLS command after issuing UTF8".
            raise Refusal("sequence", reason="STLS comes before UTF8")
        self._agree_to_tls("stls")

    def _utf8(self, argument: bytes) -> None:
        if not self._offers("UTF8"):
            raise self._unknown()
        self._refuse_argument("UTF8", argument)
        self._refuse_login()
        self._is_utf8 = True
        self._say("utf8")

    def _user(self, argument: bytes) -> None:
        self._refuse_login()
        user = self._text(argument, "USER and a name")
        self._claimed_user = user
        self._say("user", user=user)

    def _pass(self, argument: bytes) -> None:
        self._refuse_login()
        user, self._claimed_user = self._claimed_user, None
        if user is None:
            raise Refusal("sequence", reason="USER comes first")
        # RFC 1939 7: blanks are part of the password.
        account = check_password(self._maildrop, user, self._text(argument, "PASS and a password"))
        self._log_in(account.user)

    def _apop(self, argument: bytes) -> None:
        if self._timestamp is None:
            raise self._unknown()
        self._refuse_login()
        name, _, digest = argument.rpartition(b" ")
        user = self._text(name, "APOP, a name and a digest")
        if not _DIGEST.fullmatch(digest):
            raise Refusal("syntax", expected="APOP, a name and a digest")
        account = account_with_password(self._maildrop, user)
        # RFC 1939 7: of the timestamp, "including angle-brackets", and the shared secret behind it.
        octets = f"{self._timestamp}{account.password}".encode()
        if not hmac.compare_digest(hashlib.md5(octets, usedforsecurity=False).hexdigest().encode(), digest):
            raise Denied("invalid-proof")
        self._log_in(user)

    def _auth(self, argument: bytes) -> None:
        self._refuse_login()
        if not self._offers("SASL"):
            raise Refusal("unavailable")
        if self._quirk.refuses_initial_responses and b" " in argument:
            self.closing = True
            raise Refusal("initial response")
        self._authenticate(argument)

    def _log_in(self, user: str) -> None:
        self._mail = self._maildrop.open(user, limit=self._quirk.session_limit)
        if self._mail is None:
            raise Refusal("in use")
        self.user: str | None = user
        self._say("logged in", **self._totals(self._mail))

    def _refuse_login(self) -> None:
        if self._mail is not None:
            raise Refusal("sequence", reason="logged in already")

    def _text(self, argument: bytes, expected: str) -> str:
        try:
            text = argument.decode("utf-8")
        except UnicodeDecodeError:
            text = ""
        if not text.isprintable() or not text:
            raise Refusal("syntax", expected=expected)
        return text

    # Either state

    def _lang(self, argument: bytes) -> None:
        if not self._offers("LANG"):
            raise self._unknown()
        if not argument:
            self._say("languages")
            self._write_listing(f"{tag} {name}" for tag, name in _LANGUAGES.items())
            return
        # RFC 6856 3: "*" asks for the server's own choice. Tags are the same in any case (RFC 5646 2.1.1).
        tag = argument.decode("ascii", "replace").lower()
        language = "i-default" if tag == "*" else tag
        if language not in _LANGUAGES:
            raise Refusal("language unknown")
        self._say("language", language=language)

    # State TRANSACTION

    def _opened(self) -> OpenMaildrop:
        if self._mail is None:
            raise Refusal("sequence", reason="log in first")
        return self._mail

    def _stat(self, argument: bytes) -> None:
        self._refuse_argument("STAT", argument)
        self._say("stat", **self._totals(self._opened()))

    def _list(self, argument: bytes) -> None:
        if argument:
            number, message = self._message(argument, "LIST and a number")
            self._say("list one", number=number, octets=self._listed_octets(message))
        else:
            mail = self._opened()
            self._say("list", **self._totals(mail))
            self._write_listing(
                f"{number} {self._listed_octets(message)}" for number, message in mail.remaining.items()
            )

    def _uidl(self, argument: bytes) -> None:
        if argument:
            number, message = self._message(argument, "UIDL and a number")
            self._say("uidl one", number=number, uid=message.uid)
        else:
            mail = self._opened()
            self._say("uidl", **self._totals(mail))
            separator = self._quirk.uid_separator
            self._write_listing(f"{number}{separator}{message.uid}" for number, message in mail.remaining.items())

    def _retr(self, argument: bytes) -> None:
        quirk = self._quirk
        number, message = self._message(argument, "RETR and a number")
        defect = quirk.defects.get(number)
        if defect is Defect.UNAVAILABLE:
            raise Refusal("message unavailable")
        self._refuse_utf8(message)
        if quirk.retr_limit is not None and len(self._retrieved) >= quirk.retr_limit:
            raise Refusal("too many")
        self._retrieved.add(number)
        if quirk.retr_hides:
            self._opened().hide(number)
        if quirk.large_message is not None and len(message.content) > quirk.large_message:
            self._large = number
        self._say("retr", octets=max(0, len(message.content) - quirk.retr_shortfall))
        if defect is Defect.UNTERMINATED:
            self._write_text(message.content.removesuffix(LINE_END))
        else:
            self._write_text(b"" if defect is Defect.EMPTY else message.content)

    def _top(self, argument: bytes) -> None:
        number, _, lines = argument.partition(b" ")
        if not _NUMBER.fullmatch(lines):
            raise Refusal("syntax", expected="TOP, a number and a number of lines")
        _, message = self._message(number, "TOP, a number and a number of lines")
        self._refuse_utf8(message)
        self._say("top")
        self._write_text(cut_to(top_of(message.content, _counted(lines)), self._quirk.top_limit))

    def _dele(self, argument: bytes) -> None:
        number, _ = self._message(argument, "DELE and a number")
        if number == self._large:
            self.closing = True
            return
        self._opened().delete(number)
        if self._quirk.defects.get(number) is Defect.BLANK_ANSWER:
            self._write(self._encode(""))
        else:
            self._say("dele", number=number)

    def _rset(self, argument: bytes) -> None:
        self._refuse_argument("RSET", argument)
        self._opened().reset()
        self._say("rset", **self._totals(self._opened()))

    def _noop(self, argument: bytes) -> None:
        self._refuse_argument("NOOP", argument)
        self._opened()  # RFC 1939 5: it "may only be given in the TRANSACTION state"
        self._say("noop")

    def _message(self, argument: bytes, expected: str) -> tuple[int, StoredMessage]:
        mail = self._opened()
        if not _NUMBER.fullmatch(argument):
            raise Refusal("syntax", expected=expected)
        number = _counted(argument)
        if number not in mail.remaining:
            raise Refusal("no message")
        return number, mail.remaining[number]

    def _refuse_utf8(self, message: StoredMessage) -> None:
        # RFC 6856 2.1 leaves it to the server what a client gets that has not said UTF8: another message, or none.
        if self._is_utf8 or not self._offers("UTF8"):
            return
        if has_utf8_header(message.content):
            raise Refusal("message in utf-8")

    def _refuse_argument(self, verb: str, argument: bytes) -> None:
        if argument:
            raise Refusal("syntax", expected=f"{verb} alone")

    def _listed_octets(self, message: StoredMessage) -> int:
        return len(message.content) + self._quirk.list_surplus

    def _totals(self, mail: OpenMaildrop) -> dict[str, int]:
        messages = mail.remaining.values()
        octets = sum(map(self._listed_octets, messages))
        if self._quirk.octets_wrap:
            octets = (octets + _HALF) % (2 * _HALF) - _HALF
        return {"count": len(messages), "octets": octets}

    # Putting an answer together

    def _say(self, situation: str, **known: object) -> None:
        super()._say(situation, **known)
        if situation in self._quirk.doubled_responses:
            super()._say(situation, **known)

    def _encode(self, line: str) -> bytes:
        # What the client said of itself may be said back, and need not be of this encoding.
        return line.encode(self._quirk.encoding, "backslashreplace") + self._quirk.line_end

    def _write_listing(self, lines: Iterable[str]) -> None:
        # No line of ours begins with a dot.
        self._write_body("".join(f"{line}\r\n" for line in lines).encode())

    def _write_text(self, text: bytes) -> None:
        self._write_body(DotStuffer().feed(text) if self._quirk.stuffs_dots else text)

    def _write_body(self, body: bytes) -> None:
        # In what is stored and in what is listed every line ends in CRLF, and no CR stands elsewhere.
        line_end = self._quirk.line_end
        self._write(body if line_end == LINE_END else body.replace(LINE_END, line_end))
        if self._quirk.dot_apart:
            self._end_packet()
        self._write(b"." + line_end)
        if self._quirk.dot_apart:
            self._end_packet()

    _COMMANDS: ClassVar[Mapping[str, Callable[["POP3Server", bytes], None]]] = {
        "CAPA": _capa,
        "STLS": _stls,
        "UTF8": _utf8,
        "LANG": _lang,
        "USER": _user,
        "PASS": _pass,
        "APOP": _apop,
        "AUTH": _auth,
        "STAT": _stat,
        "LIST": _list,
        "UIDL": _uidl,
        "RETR": _retr,
        "TOP": _top,
        "DELE": _dele,
        "RSET": _rset,
        "NOOP": _noop,
        "QUIT": _quit,
    }
    steps: ClassVar[tuple[str, ...]] = ("greeting", *_COMMANDS)


def _counted(digits: bytes) -> int:
    # A client that wants all lines says a large number, such as 2147483647.
    return int(digits.lstrip(b"0")[:_DIGITS] or b"0")
