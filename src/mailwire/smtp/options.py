"""Options: what a caller wishes for a mail and for a recipient, beyond its delivery; the typed ESMTP parameters.

Each wish needs an extension of the server's. `requires` says whether a server grants it, before a command is made: what
is not offered is an error (NotSupported), and never left out in silence. Each stands on the command that its standard
gives it: `MailOptions` become parameters of MAIL, `RecipientOptions` of RCPT.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import NoneType
from typing import ClassVar, Final, Literal

from .._wire.text import TRUTH, Kind, check_argument, check_kind, check_kinds
from ..errors import NotSupported, SecurityError
from .extensions import Extensions
from .parameters import (
    NO_PARAMETERS,
    RCPT_EXTENSIONS,
    Parameters,
    check_offered,
    mail_extensions,
    needed_extensions,
)
from .paths import Mailbox
from .xtext import encode_unitext, encode_utf8_xtext, encode_xtext

__all__ = ["DeliverBy", "MailOptions", "OriginalRecipient", "RecipientOptions", "ValidSince"]

_NINE_DIGITS: Final = 999_999_999  # RFC 2852 4, RFC 4865 3: the largest number of seconds
_ENVID_LIMIT: Final = 100  # RFC 3461 4.4, of the xtext
_ORCPT_LIMIT: Final = 500  # RFC 3461 4.2
_ADDRESS_TYPE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*\Z")
_NOTIFY: Final = ("SUCCESS", "FAILURE", "DELAY")  # RFC 3461 4.1


def _check_range(name: str, number: object, least: int, most: int) -> None:
    if not isinstance(number, int) or isinstance(number, bool):  # True is 1 to Python, and to no server
        raise ValueError(f"{name} must be a whole number, got {number!r}")
    if not least <= number <= most:
        raise ValueError(f"{name} must be from {least} to {most}, got {number}")


def _in_utc(name: str, moment: datetime) -> datetime:
    # Two moments in one time zone compare as their clocks do: where those are set back, an hour comes twice.
    check_kind(name, moment, datetime, "a datetime")
    if moment.tzinfo is None:
        raise ValueError(f"{name} must have a time zone, got {moment!r}")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{name} must be a date in UTC as well, got {moment!r}") from error


def _date_time(moment: datetime) -> str:
    # RFC 3339 5.6, of one in UTC.
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class DeliverBy:
    """Within how many `seconds` from its sending a mail shall be delivered (RFC 2852).

    otherwise: "return" it then, undelivered; or "notify" of the delay and go on. `seconds` may be zero or negative with
        "notify" alone: the time is over already.
    trace: hops that cannot keep the time report that they passed it on.

    Raises ValueError for what no server could be asked, as the other wishes do.
    """

    seconds: int
    otherwise: Literal["return", "notify"] = "return"
    trace: bool = False

    _modes: ClassVar[Mapping[str, str]] = {"return": "R", "notify": "N"}

    def __post_init__(self) -> None:
        if self.otherwise not in tuple(self._modes):
            raise ValueError(f'expected "return" or "notify", got {self.otherwise!r}')
        check_kind("trace", self.trace, *TRUTH)
        _check_range("the seconds to deliver by", self.seconds, 1 if self.is_strict else -_NINE_DIGITS, _NINE_DIGITS)

    @property
    def is_strict(self) -> bool:
        """Whether the mail comes back when the time is over."""
        return self.otherwise == "return"

    def __str__(self) -> str:
        return f"{self.seconds};{self._modes[self.otherwise]}{'T' if self.trace else ''}"


@dataclass(frozen=True, slots=True)
class ValidSince:
    """The recipient must have owned the mailbox since `moment`: its owner may have changed (RFC 7293).

    otherwise: "reject" the mail, or let a server that cannot pass the question on "continue" without it. None leaves
        that to the server, which takes it for "reject".

    Raises ValueError for a moment that is none, or has no time zone.
    """

    moment: datetime
    otherwise: Literal["reject", "continue"] | None = None

    _actions: ClassVar[Mapping[str | None, str]] = {"reject": ";R", "continue": ";C", None: ""}

    def __post_init__(self) -> None:
        if self.otherwise not in tuple(self._actions):
            raise ValueError(f'expected "reject", "continue" or None, got {self.otherwise!r}')
        object.__setattr__(self, "moment", _in_utc("the moment since which a recipient is valid", self.moment))

    def __str__(self) -> str:
        return _date_time(self.moment) + self._actions[self.otherwise]


@dataclass(frozen=True, slots=True)
class OriginalRecipient:
    """The address that a mail was first sent to, for the reports about it (RFC 3461 4.2).

    address: as it was given, in any spelling.
    type: its kind; by default rfc822, or utf-8 for an address beyond ASCII (RFC 6533).

    Raises ValueError for an address that no report could name.
    """

    address: str
    type: str = ""

    def __post_init__(self) -> None:
        check_kind("an original recipient", self.address, str, "text")
        check_kind("an address type", self.type, str, "text")
        if not self.type:
            object.__setattr__(self, "type", "rfc822" if self.address.isascii() else "utf-8")
        if not _ADDRESS_TYPE.match(self.type):
            raise ValueError(f"expected an address type such as rfc822, got {self.type!r}")
        if not self.address:
            raise ValueError("expected an original recipient, got an empty one")
        check_argument("an original recipient", self.address.encode())
        if not self.address.isascii() and not self._is_utf8:
            raise ValueError(f"an original recipient beyond ASCII is of type utf-8, not {self.type}")
        if len(self.encode()) > _ORCPT_LIMIT:
            raise ValueError(f"an original recipient has at most {_ORCPT_LIMIT} characters, got {len(self.encode())}")

    @property
    def _is_utf8(self) -> bool:
        return self.type.lower() == "utf-8"

    def encode(self, *, utf8: bool = False) -> str:
        """Return the value of ORCPT. `utf8`: the mail goes out under SMTPUTF8; the address may stand as it is."""
        if not self._is_utf8:
            return f"{self.type};{encode_xtext(self.address)}"
        return f"{self.type};{encode_unitext(self.address) if utf8 else encode_utf8_xtext(self.address)}"


_OWN: Final[Mapping[str, Kind]] = {"extensions": (Iterable, "a collection of keywords")}
_MAIL_KINDS: Final[Mapping[str, Kind]] = {
    "envelope_id": ((str, NoneType), "text or None"),
    "deliver_by": ((DeliverBy, NoneType), "a DeliverBy or None"),
    "require_tls": TRUTH,
    "auth": ((Mailbox, str, NoneType), "a Mailbox, text or None"),
    **_OWN,
}
_RECIPIENT_KINDS: Final[Mapping[str, Kind]] = {
    "notify": ((str, Iterable, NoneType), "text, an iterable of it or None"),
    "original_recipient": ((OriginalRecipient, str, NoneType), "an OriginalRecipient, text or None"),
    "valid_since": ((ValidSince, datetime, NoneType), "a ValidSince, a datetime or None"),
    **_OWN,
}


@dataclass(frozen=True, slots=True)
class MailOptions:
    """What a caller wishes for a mail as a whole. What is None or False is not asked for.

    ret: how much of the mail comes back with a report of failure, "FULL" or "HDRS" (DSN, RFC 3461 4.3).
    envelope_id: what reports call this mail, printable ASCII (ENVID, RFC 3461 4.4).
    deliver_by: a time limit (DELIVERBY, RFC 2852).
    hold_for: hold the mail back for so many seconds (FUTURERELEASE, RFC 4865); or
    hold_until: ... until then, with a time zone; it is kept in UTC.
    priority: from -9 to 9, higher is sooner (MT-PRIORITY, RFC 6710).
    require_tls: the mail shall go over verified TLS all the way, or not at all (REQUIRETLS, RFC 8689).
    auth: who submitted the mail first, as an address; "" says that this is not known or not to be told
        (AUTH=, RFC 4954 5).
    parameters: parameters of your own, and with them
    extensions: ... the extensions that they need.

    Raises ValueError for what no server could be asked.
    """

    ret: Literal["FULL", "HDRS"] | None = None
    envelope_id: str | None = None
    deliver_by: DeliverBy | None = None
    hold_for: int | None = None
    hold_until: datetime | None = None
    priority: int | None = None
    require_tls: bool = False
    auth: Mailbox | str | None = None
    parameters: Mapping[str, str | None] = NO_PARAMETERS
    extensions: Collection[str] = ()

    def __post_init__(self) -> None:
        if self.ret not in (None, "FULL", "HDRS"):
            raise ValueError(f'expected "FULL" or "HDRS", got {self.ret!r}')
        check_kinds(self, _MAIL_KINDS)
        object.__setattr__(self, "extensions", _keywords(self.extensions))
        if self.envelope_id is not None:
            _check_envelope_id(self.envelope_id)
        if self.hold_for is not None:
            _check_range("the seconds to hold a mail for", self.hold_for, 1, _NINE_DIGITS)
            if self.hold_until is not None:
                raise ValueError("a mail is held for some time or until some time, not both")
        if self.hold_until is not None:
            object.__setattr__(self, "hold_until", _in_utc("the moment to hold a mail until", self.hold_until))
        if self.priority is not None:
            _check_range("a priority", self.priority, -9, 9)
        if isinstance(self.auth, str) and self.auth:
            object.__setattr__(self, "auth", Mailbox.parse(self.auth))
        if isinstance(self.auth, Mailbox) and not self.auth.is_ascii:
            raise ValueError(f"AUTH= has no way to say an address beyond ASCII, got {str(self.auth)!r}")
        object.__setattr__(self, "parameters", Parameters.of(self.parameters))
        self.as_parameters()

    def as_parameters(self) -> Parameters:
        """Return the parameters of MAIL."""
        given: dict[str, str | None] = {}
        if self.ret is not None:
            given["RET"] = self.ret
        if self.envelope_id is not None:
            given["ENVID"] = encode_xtext(self.envelope_id)
        if self.deliver_by is not None:
            given["BY"] = str(self.deliver_by)
        if self.hold_for is not None:
            given["HOLDFOR"] = str(self.hold_for)
        if self.hold_until is not None:
            given["HOLDUNTIL"] = _date_time(self.hold_until)
        if self.priority is not None:
            given["MT-PRIORITY"] = str(self.priority)
        if self.require_tls:
            given["REQUIRETLS"] = None
        if self.auth is not None:
            given["AUTH"] = encode_xtext(str(self.auth)) if self.auth else "<>"
        return Parameters.joined(given, self.parameters)

    @property
    def needed_extensions(self) -> tuple[str, ...]:
        """The extensions that these wishes need."""
        parameters = self.as_parameters()
        return (*mail_extensions(parameters.keywords, parameters.is_binary, False), *self.extensions)

    def requires(self, offered: Extensions, *, is_secured: bool = False) -> None:
        """Raise NotSupported, naming the extension, unless a server that has `offered` this grants every wish.

        is_secured: TLS is in force, with a server that has proved its name. Where that is required (REQUIRETLS) and not
            so, SecurityError is raised.
        """
        if not is_secured and "REQUIRETLS" in map(str.upper, self.as_parameters()):  # be it by hand
            # RFC 8689 4.2.1: it counts only where it was offered under TLS, by a server that is who it should be.
            raise SecurityError("REQUIRETLS needs TLS with a server that has proved its name, and there is none")
        check_offered(self.needed_extensions, offered)
        if self.deliver_by is not None and self.deliver_by.is_strict:
            _check_limit("delivery within", self.deliver_by.seconds, offered.least_deliver_by, "DELIVERBY", least=True)
        longest, latest = offered.longest_hold, offered.latest_hold
        if self.hold_for is not None:
            _check_limit("a mail held for", self.hold_for, longest, "FUTURERELEASE", least=False)
        if self.hold_until is not None and latest is not None and self.hold_until > latest:
            raise NotSupported(
                f"a mail held until {self.hold_until} was asked for, and the server holds none beyond {latest}",
                extension="FUTURERELEASE",
            )


@dataclass(frozen=True, slots=True)
class RecipientOptions:
    """What a caller wishes for one recipient.

    notify: when to report, "NEVER", or any of "SUCCESS", "FAILURE" and "DELAY" (DSN, RFC 3461 4.1).
    original_recipient: the address that the mail was first sent to, for reports (DSN, RFC 3461 4.2).
    valid_since: since when the recipient must have owned the mailbox (RRVS, RFC 7293).
    parameters: parameters of your own, and with them
    extensions: ... the extensions that they need.

    Raises ValueError for what no server could be asked.
    """

    notify: str | Iterable[str] | None = None
    original_recipient: OriginalRecipient | str | None = None
    valid_since: ValidSince | datetime | None = None
    parameters: Mapping[str, str | None] = NO_PARAMETERS
    extensions: Collection[str] = ()

    def __post_init__(self) -> None:
        check_kinds(self, _RECIPIENT_KINDS)
        object.__setattr__(self, "extensions", _keywords(self.extensions))
        notify = self.notify if self.notify is None else _conditions(self.notify)
        original = self.original_recipient
        if isinstance(original, str):
            original = OriginalRecipient(original)
        valid_since = self.valid_since
        if isinstance(valid_since, datetime):
            valid_since = ValidSince(valid_since)
        object.__setattr__(self, "notify", notify)
        object.__setattr__(self, "original_recipient", original)
        object.__setattr__(self, "valid_since", valid_since)
        object.__setattr__(self, "parameters", Parameters.of(self.parameters))
        self.as_parameters()

    def as_parameters(self, *, utf8: bool = False) -> Parameters:
        """Return the parameters of RCPT. `utf8`: the mail goes out under SMTPUTF8 (RFC 6533 3)."""
        given: dict[str, str | None] = {}
        if self.notify is not None:
            given["NOTIFY"] = ",".join(self.notify)
        if isinstance(self.original_recipient, OriginalRecipient):
            given["ORCPT"] = self.original_recipient.encode(utf8=utf8)
        if self.valid_since is not None:
            given["RRVS"] = str(self.valid_since)
        return Parameters.joined(given, self.parameters)

    @property
    def needed_extensions(self) -> tuple[str, ...]:
        """The extensions that these wishes need."""
        wished = {"NOTIFY": self.notify, "ORCPT": self.original_recipient, "RRVS": self.valid_since}
        keywords = (*(keyword for keyword, value in wished.items() if value is not None), *self.parameters)
        return (*needed_extensions(keywords, RCPT_EXTENSIONS), *self.extensions)

    def requires(self, offered: Extensions) -> None:
        """Raise NotSupported, naming the extension, unless a server that has `offered` this grants every wish."""
        check_offered(self.needed_extensions, offered)


def _keywords(extensions: Iterable[str]) -> tuple[str, ...]:
    if isinstance(extensions, str):
        raise ValueError("extensions are a collection; one alone is [keyword]")
    keywords = tuple(extensions)
    for keyword in keywords:
        check_kind("a keyword in extensions", keyword, str, "text")
    return keywords


def _check_envelope_id(envelope_id: str) -> None:
    # RFC 3461 4.4: "printable (graphic and white space) US-ASCII characters".
    if not envelope_id or not envelope_id.isascii():
        raise ValueError(f"an envelope id is printable ASCII, and not empty, got {envelope_id!r}")
    check_argument("an envelope id", envelope_id.encode())
    if len(encode_xtext(envelope_id)) > _ENVID_LIMIT:
        raise ValueError(f"an envelope id has at most {_ENVID_LIMIT} characters as xtext, got {envelope_id[:120]!r}")


def _conditions(notify: str | Iterable[str]) -> tuple[str, ...]:
    given = [notify] if isinstance(notify, str) else [*notify]
    for word in given:
        check_kind("a condition to be notified of", word, str, "text")
    words = {word.upper() for word in given}
    if words == {"NEVER"}:
        return ("NEVER",)
    if not words or not words <= set(_NOTIFY):
        said = ", ".join(sorted(words)) or "nothing"
        raise ValueError(f'expected "NEVER" or any of {", ".join(_NOTIFY)} to be notified of, got {said}')
    return tuple(word for word in _NOTIFY if word in words)


def _check_limit(what: str, seconds: int, limit: int | None, extension: str, *, least: bool) -> None:
    if limit is None or (seconds >= limit if least else seconds <= limit):
        return
    grants = "at least" if least else "at most"
    raise NotSupported(
        f"{what} {seconds} s was asked for, and the server grants {grants} {limit} s", extension=extension
    )
