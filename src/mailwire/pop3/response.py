"""Response: what a POP3 server answers (RFC 1939 3, RFC 2449 8), and the reading of its first line."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from .._wire.text import printable
from .._wire.trace import Elided
from .refusals import RefusalCause, ResponseCode, cause_of_code, find_phrase

__all__ = ["SHOWN_LIMIT", "LongResponse", "Response", "parse_status"]

SHOWN_LIMIT: Final = 4096
"""How many octets of a listing a transcript shows; the rest is counted."""

_STATUS: Final = re.compile(rb"(\+OK|-ERR)(?:[ \t]([^\0]*))?\Z", re.DOTALL)
# RFC 2449 8: a response code, in brackets at the beginning of the text.
_CODE: Final = re.compile(rb"\[([!-\\^-~]{1,64})\]")
_KNOWN_CODES: Final = frozenset(ResponseCode)
# RFC 1939 7: it "corresponds to the `msg-id' in [RFC822]". Stricter than that by refusing quoted strings: it is by
# challenges of no such form that a server learns the password (CVE-2007-1558).
_TIMESTAMP: Final = re.compile(rb"<[!-;=?A-~]+@[!-;=?A-~]+>")


@dataclass(frozen=True, slots=True)
class Response:
    """One response.

    ok: True for +OK.
    line: the text behind it.
    body: what follows, unstuffed, where the command reads it as a whole.
    login_delay: the seconds between logins that CAPA announced, if this refuses a login because of them.
    reading: what was made of the body where the command reads it as it comes (List, Uidl): `Command.parse` returns it.
    """

    ok: bool
    line: bytes = b""
    body: bytes = b""
    login_delay: int | None = None
    reading: object = field(default=None, hash=False, repr=False)

    @property
    def text(self) -> str:
        """The text as one printable line; what is not printable appears as escapes."""
        return printable(self.line)

    @property
    def code(self) -> ResponseCode | str | None:
        """The response code (RFC 2449 8, RFC 3206), in upper case, one that is not registered as text; None if none.

        It is read whether or not the server announces RESP-CODES: no other text begins like one.
        """
        found = _CODE.match(self.line)
        if found is None:
            return None
        code = found[1].decode("ascii").upper()
        return ResponseCode(code) if code in _KNOWN_CODES else code

    @property
    def cause(self) -> RefusalCause | None:
        """Why it is a refusal: by its code, or else by words that are known; None if neither tells, or it is none."""
        if self.ok:
            return None
        if (code := self.code) is not None:
            return cause_of_code(code)
        phrase = find_phrase(self.line)
        return phrase.cause if phrase else None

    @property
    def is_transient(self) -> bool:
        """Whether a refusal may be none later, as far as the server tells."""
        cause = self.cause
        return cause is not None and cause.is_transient

    @property
    def retry_after(self) -> int | None:
        """The seconds after which what was refused may be tried again, as far as the server tells; otherwise None."""
        if self.cause is not RefusalCause.LOGIN_DELAY:
            return None
        phrase = None if self.code is not None else find_phrase(self.line)
        return phrase.retry_after if phrase and phrase.retry_after is not None else self.login_delay

    @property
    def timestamp(self) -> bytes | None:
        """The timestamp for APOP (RFC 1939 7) in a greeting, with its angle brackets; None if there is none."""
        found = _TIMESTAMP.search(self.line)
        return found[0] if found else None

    @property
    def lines(self) -> tuple[bytes, ...]:
        """The lines of the body, without their ends."""
        return tuple(line.removesuffix(b"\r") for line in self.body.split(b"\n")[:-1])

    def __str__(self) -> str:
        return f"{'+OK' if self.ok else '-ERR'} {self.text}".rstrip()

    def shown(self) -> Sequence[str]:
        """Return the lines of a transcript: as they came, made printable; a long listing only as its size."""
        if not self.body:
            return (str(self),)
        if len(self.body) > SHOWN_LIMIT:
            return LongResponse(self, len(self.body)).shown()
        return (str(self), *(printable(line) for line in self.lines), ".")

    def masked(self, mask: Callable[[bytes], bytes]) -> "Response":
        """Return the response with its text passed through `mask`."""
        return replace(self, line=mask(self.line))

    def to_dict(self) -> dict[str, Any]:
        """Return it as what JSON can hold, each octet as the character of its number; `text` is for people. What was
        made of the body as it came, `reading`, is not among it."""
        line, body = self.line.decode("latin-1"), self.body.decode("latin-1")
        return {"ok": self.ok, "text": self.text, "line": line, "body": body, "login_delay": self.login_delay}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Response":
        """Return what `to_dict` was called on. Raises KeyError, TypeError or ValueError for what it did not return."""
        line, body = (str(data[name]).encode("latin-1") for name in ("line", "body"))
        delay = data["login_delay"]
        return cls(bool(data["ok"]), line, body, None if delay is None else int(delay))


@dataclass(frozen=True, slots=True)
class LongResponse:
    """A response as a transcript shows it, with no more of its body than the number of its `octets`."""

    response: Response
    octets: int

    def shown(self) -> Sequence[str]:
        """Return the lines of a transcript."""
        return (str(self.response), *Elided(self.octets).shown(), ".")


def parse_status(line: bytes, *, plus_err: bool = False) -> Response | None:
    """Parse the first line of a response; None if it is anything but +OK or -ERR and a text.

    Only +OK is a success, whatever else begins with a plus sign. plus_err: take +ERR for -ERR.
    """
    found = _STATUS.match(line)
    if found is None and plus_err and line.startswith(b"+ERR"):
        found = _STATUS.match(b"-" + line[1:])
    return None if found is None else Response(found[1] == b"+OK", found[2] or b"")
