"""Policy: what the test server calls itself, demands and refuses."""

import re
import secrets
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from ..smtp.paths import Mailbox, check_domain
from .checks import check_flag, check_names, check_text, check_texts, check_whole, describe
from .smtp_extensions import EXTENSIONS

__all__ = ["DEFAULTS", "MECHANISMS", "Policy"]

MECHANISMS: Final = (
    "SCRAM-SHA-512-PLUS",
    "SCRAM-SHA-512",
    "SCRAM-SHA-256-PLUS",
    "SCRAM-SHA-256",
    "SCRAM-SHA-1-PLUS",
    "SCRAM-SHA-1",
    "OAUTHBEARER",
    "XOAUTH2",
    "EXTERNAL",
    "PLAIN",
    "LOGIN",
    "CRAM-MD5",
    "ANONYMOUS",
)
"""The SASL mechanisms that both servers know."""

# hashlib.pbkdf2_hmac() takes no more.
_ITERATION_LIMIT: Final = 2**31 - 1
_NONCE: Final = re.compile(r"[!-+\-.-;=?A-~]+")
_REPLY: Final = re.compile(r"[245][0-5][0-9](?: [^\r\n\0]*)?\Z")


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings of both servers.

    hostname: the name that the server gives itself, a domain or an address literal.
    size_limit: the largest message that SMTP takes, in octets (RFC 1870).
    require_auth: whether MAIL is refused before AUTH has succeeded (RFC 4954 6).
    mechanisms: the SASL mechanisms offered, in this order, of `MECHANISMS`; none: no AUTH. Those that end in -PLUS are
        offered where the TLS session has something to bind to, EXTERNAL where the client has shown a certificate.
    apop: whether POP3 offers APOP, by a timestamp at the end of its greeting (RFC 1939 7).
    scram_iterations: how often SCRAM hashes a password; RFC 7677 4 wants 4096 at least, clients may refuse fewer.
    oauth_scope: the scope that OAUTHBEARER and XOAUTH2 name when they refuse a token.
    make_nonce: returns what SCRAM, CRAM-MD5 and APOP say but once: letters, digits and other printable ASCII, without a
        comma, a blank and any of <>@. make_salt: returns the salt of a user's keys for SCRAM, an octet at least. Both
        for tests that compare octets. What they raise ends the session, and so does a RuntimeError where they return
        anything else; `MailServer.close` and `MailServer.wait_idle` raise it.
    refused_senders: addresses for which MAIL is answered 550; case does not count.
    extensions: what SMTP offers, of `EXTENSIONS`, where it can be had: STARTTLS where there is TLS to begin, REQUIRETLS
        where it has begun, BINARYMIME where there is CHUNKING, LIMITS where there is one of those below.
    recipient_limit, recipient_domain_limit, message_limit: how many recipients a message may have, how many domains
        those of a session, and how many messages a session (RFC 9422); None for any number. Beyond them RCPT is
        answered 452, and MAIL 421.
    recipient_replies: what RCPT is answered for these addresses, whole lines such as "452 4.2.2 Mailbox full", 2yz, 4yz
        or 5yz; behind 421 the server closes. Case does not count. Beyond a limit a 2yz is not said, but 452.
    delivery_replies: the same for what LMTP answers behind the message, for each recipient (RFC 2033 4.2). SMTP has one
        answer for all: where all recipients have the same reply here, it is that, and otherwise none of these.
    sender_replies: the same for what MAIL is answered for these senders; beyond a limit it is refused as any.

    Raises ValueError for what is not one of `MECHANISMS` or `EXTENSIONS`, for an address and a name that are none, for
    a line that is no reply, and for a value of another kind than its field has.
    """

    hostname: str = "localhost"
    size_limit: int = 10 * 1024 * 1024  # about what Postfix takes by default
    require_auth: bool = False
    mechanisms: tuple[str, ...] = ("PLAIN", "LOGIN")
    apop: bool = False
    scram_iterations: int = 4096
    oauth_scope: str = "mail"
    make_nonce: Callable[[], str] = field(default=secrets.token_urlsafe, repr=False)
    make_salt: Callable[[], bytes] = field(default=secrets.token_bytes, repr=False)
    refused_senders: Collection[str] = ()
    extensions: Collection[str] = EXTENSIONS
    recipient_limit: int | None = None
    recipient_domain_limit: int | None = None
    message_limit: int | None = None
    recipient_replies: Mapping[str, str] = field(default_factory=dict)
    delivery_replies: Mapping[str, str] = field(default_factory=dict)
    sender_replies: Mapping[str, str] = field(default_factory=dict)
    _recipient_replies: "_Replies" = field(init=False, repr=False, compare=False)
    _delivery_replies: "_Replies" = field(init=False, repr=False, compare=False)
    _sender_replies: "_Replies" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_text("hostname", self.hostname)
        check_domain(self.hostname)
        # RFC 1870 4: 0 would say that there is no limit.
        check_whole("size_limit", self.size_limit, 1)
        check_flag("require_auth", self.require_auth)
        check_names("mechanisms", self.mechanisms, MECHANISMS)
        check_flag("apop", self.apop)
        check_whole("scram_iterations", self.scram_iterations, 1, _ITERATION_LIMIT)
        check_text("oauth_scope", self.oauth_scope)
        for name, make in (("make_nonce", self.make_nonce), ("make_salt", self.make_salt)):
            if not callable(make):
                raise ValueError(f"expected {name} to be a function, got {describe(make)}")
        check_texts("refused_senders", self.refused_senders)
        for address in self.refused_senders:
            Mailbox.parse(address)
        check_names("extensions", self.extensions, EXTENSIONS)
        for name in ("recipient_limit", "recipient_domain_limit", "message_limit"):
            if getattr(self, name) is not None:
                check_whole(name, getattr(self, name), 1)
        for name in ("recipient_replies", "delivery_replies", "sender_replies"):
            _check_replies(name, getattr(self, name))
            object.__setattr__(self, f"_{name}", _Replies(getattr(self, name)))

    @property
    def limits(self) -> Mapping[str, int]:
        """The limits that there are, by their names in RFC 9422."""
        limits = {
            "RCPTMAX": self.recipient_limit,
            "MAILMAX": self.message_limit,
            "RCPTDOMAINMAX": self.recipient_domain_limit,
        }
        return {name: limit for name, limit in limits.items() if limit is not None}

    def refuses(self, sender: Mailbox) -> bool:
        """Whether mail from `sender` is refused."""
        return _key(str(sender)) in map(_key, self.refused_senders)

    def sender_reply(self, sender: Mailbox) -> str | None:
        """Return the line with which MAIL is answered for `sender`; None if nothing else refuses it."""
        return self._sender_replies.to(str(sender))

    def recipient_reply(self, recipient: Mailbox) -> str | None:
        """Return the line with which RCPT is answered for `recipient`; None if its owner decides."""
        return self._recipient_replies.to(str(recipient))

    def delivery_reply(self, recipient: str) -> str | None:
        """Return the line with which a delivery to `recipient` is answered; None if it succeeds."""
        return self._delivery_replies.to(recipient)

    def message_reply(self, recipients: Iterable[str]) -> str | None:
        """Return the line with which a message to all of these `recipients` is answered; None if it is taken."""
        replies = set(map(self.delivery_reply, recipients)) if self.delivery_replies else set[str | None]()
        return replies.pop() if len(replies) == 1 else None

    def new_timestamp(self) -> str:
        """Make what APOP and CRAM-MD5 call a timestamp, in the form of a message identifier (RFC 1939 7, RFC 2195 2).

        It need not tell the time, only never be said again.
        """
        return f"<{self.new_nonce()}@{self.hostname}>"

    def new_nonce(self) -> str:
        """Return what `make_nonce` makes. Raises RuntimeError for what is no nonce."""
        nonce: object = self.make_nonce()
        if isinstance(nonce, str) and _NONCE.fullmatch(nonce):
            return nonce
        raise RuntimeError(f"expected make_nonce to make printable ASCII, no blank and none of ,<>@, got {nonce!r}")

    def new_salt(self) -> bytes:
        """Return what `make_salt` makes. Raises RuntimeError for what is no salt."""
        salt: object = self.make_salt()
        if isinstance(salt, bytes) and salt:
            return salt
        raise RuntimeError(f"expected make_salt to make bytes, one at least; got {describe(salt)}")


class _Replies:
    # Replies by addresses as they are compared: a server asks for every recipient, and there may be thousands. They are
    # made when somebody asks, and again when whoever gave them has changed them meanwhile.

    __slots__ = ("_by_key", "_given", "_seen")

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = given
        self._seen: Mapping[str, str] = {}
        self._by_key: Mapping[str, str] = {}

    def to(self, address: str) -> str | None:
        if self._seen != self._given:
            self._seen = dict(self._given)
            self._by_key = {_key(given): line for given, line in self._seen.items()}
        return self._by_key.get(_key(address))


def _check_replies(name: str, replies: object) -> None:
    if not isinstance(replies, Mapping):
        raise ValueError(f"expected {name} to be a mapping of addresses to replies, got {describe(replies)}")
    for address, line in replies.items():
        check_text(f"each address of {name}", address)
        Mailbox.parse(address)
        check_text(f"each reply of {name}", line)
        if not _REPLY.match(line):
            raise ValueError(f"expected a reply, 2yz, 4yz or 5yz and a text, got {describe(line)}")


def _key(address: str) -> str:
    return str(Mailbox.parse(address)).casefold()


DEFAULTS: Final = Policy()
"""How a MailServer behaves if nothing else is said."""
