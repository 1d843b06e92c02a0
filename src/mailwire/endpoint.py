"""Endpoint: where a server is, how the way to it is secured, and who we are. The one place for connection settings."""

import ipaddress
import re
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from socket import socket
from typing import Any, Final, Literal, NamedTuple, Self
from urllib.parse import unquote_to_bytes, urlsplit

from .sasl.credentials import Password
from .smtp.commands import Ehlo

__all__ = ["Connector", "Endpoint", "Protocol", "TLSMode", "Timeouts"]

Protocol = Literal["smtp", "pop3"]
TLSMode = Literal["implicit", "starttls", "none"]
Connector = Callable[[], Awaitable[socket | tuple[StreamReader, StreamWriter]]]


class _Scheme(NamedTuple):
    protocol: Protocol
    tls: TLSMode
    port: int


_SCHEMES: Final[Mapping[str, _Scheme]] = {
    "smtps": _Scheme("smtp", "implicit", 465),  # RFC 8314 3.3
    "smtp+starttls": _Scheme("smtp", "starttls", 587),  # RFC 6409 3.1
    "smtp": _Scheme("smtp", "none", 25),
    "pop3s": _Scheme("pop3", "implicit", 995),  # RFC 8314 3.3
    "pop3+starttls": _Scheme("pop3", "starttls", 110),
    "pop3": _Scheme("pop3", "none", 110),
}

_URL_REST: Final = re.compile(r"[!-~]*\Z")
_SCOPE: Final = re.compile(r"%[0-9A-Za-z_.-]+\Z")
_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9.])?\Z")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long each phase may take, in seconds; None waits for ever.

    The SMTP values are those of RFC 5321 4.5.3.2. A deadline ends in DeadlineExceeded with the phase's name, and the
    connection is dead.
    """

    connect: float | None = 30
    """Until the TCP connection stands, over all addresses of the host."""
    handshake: float | None = 30
    """For a TLS handshake."""
    greeting: float | None = 300
    """Until the server's greeting is complete."""
    command: float | None = 300
    """Until an SMTP command is answered, except those below."""
    data: float | None = 120
    """Until DATA is answered."""
    block: float | None = 180
    """While a message goes out or comes in: without any progress."""
    verdict: float | None = 600
    """From the end of a message to the SMTP server's reply to it. Giving up earlier leaves mail in doubt."""
    response: float | None = 60
    """Until a POP3 command is answered."""
    quit: float | None = 5
    """Until QUIT is answered."""
    close: float | None = 1
    """For closing the connection in good order; it is cut then."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server and how to speak to it.

    host: a DNS name in ASCII, or an IP address. The server's certificate must be for it.
    port: 1 to 65535; by default the one registered for `protocol` and `tls`.
    tls: "implicit" (from the first byte), "starttls" (by STARTTLS or STLS, before anything else) or "none". There is no
        mode that tries TLS and goes on without it.
    tls_context: by default ssl.create_default_context(): certificates and names are verified.
    auth: the credentials; None to stay anonymous.
    allow_cleartext_auth: whether they may cross a link without TLS. It is for tests and for links secured otherwise.
    timeouts: seconds for each phase.
    local_hostname: the name given to EHLO; by default the address literal of the local socket.
    pipelining: False sends one command at a time, whatever the server announces.
    connect: an async function that makes the connection in place of ours, through a proxy say: it returns a connected
        socket or a pair of asyncio streams. The policy for TLS stays the same.

    Raises ValueError for what cannot be an endpoint.
    """

    host: str
    port: int = 0
    protocol: Protocol = "smtp"
    tls: TLSMode = "implicit"
    tls_context: ssl.SSLContext | None = field(default=None, repr=False)
    auth: Password | None = None
    allow_cleartext_auth: bool = False
    timeouts: Timeouts = field(default=Timeouts(), repr=False)
    local_hostname: str | None = None
    pipelining: bool = True
    connect: Connector | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        _check_host(self.host)
        registered = _registered_port(self.protocol, self.tls)
        if self.port == 0:
            object.__setattr__(self, "port", registered)
        if not 1 <= self.port <= 65535:
            raise ValueError(f"a port is a number from 1 to 65535, got {self.port!r}")
        if self.local_hostname is not None:
            Ehlo(self.local_hostname)
        if self.auth is not None:
            for name in ("user", "password", "authzid"):
                # Not quoted: it may be the password.
                if any(character in "\r\n\0" for character in getattr(self.auth, name)):
                    raise ValueError(f"the {name} of an endpoint must not hold a CR, LF or NUL")

    @classmethod
    def parse(cls, url: str, **settings: Any) -> Self:
        """Make an endpoint of a URL: `scheme://user:password@host:port`, all but scheme and host optional.

        The schemes are smtps, smtp+starttls, smtp, pop3s, pop3+starttls and pop3. What stands for itself in a URL
        (`@ : / %`) must be percent-encoded in user and password. `settings` are further arguments of Endpoint. Raises
        ValueError that says what was expected, and never shows a password.
        """
        scheme, separator, rest = url.partition("://")
        known = _SCHEMES.get(scheme.lower())
        if known is None or not separator:
            # What stands there instead is not quoted: it may be a password.
            raise ValueError(f"expected a URL that begins with one of {', '.join(f'{name}://' for name in _SCHEMES)}")
        if not _URL_REST.match(rest):
            raise ValueError(f"expected {scheme}://user:password@host:port, all but printable ASCII percent-encoded")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise ValueError(f"expected {scheme}://user:password@host:port, with a port up to 65535") from None
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ValueError(
                f"expected nothing behind the host and port of {scheme}://{host}; "
                "'/', '?' and '#' in a user name or password must be percent-encoded"
            )
        if parts.username is not None:
            if not parts.username:
                raise ValueError(f"expected a user name before the password in {scheme}://user:password@{host}")
            settings.setdefault("auth", Password(_decoded(parts.username), _decoded(parts.password or "")))
        if port == 0:
            raise ValueError(f"expected a port from 1 to 65535 in {scheme}://{host}")
        return cls(host, known.port if port is None else port, protocol=known.protocol, tls=known.tls, **settings)

    def replace(self, **settings: Any) -> Self:
        """Return a copy with other settings."""
        return replace(self, **settings)

    @property
    def is_exposed(self) -> bool:
        """Whether the credentials would cross a link without TLS, unasked for."""
        return self.auth is not None and self.tls not in ("implicit", "starttls") and not self.allow_cleartext_auth

    def __str__(self) -> str:
        """The endpoint as a URL, without credentials."""
        scheme = next(name for name, known in _SCHEMES.items() if known[:2] == (self.protocol, self.tls))
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}"


def _decoded(text: str) -> str:
    octets = unquote_to_bytes(text)
    decoded = octets.decode("utf-8", "replace")
    if decoded.encode() != octets:
        # The error of a strict decoder would hold the password.
        raise ValueError("expected user and password in UTF-8, percent-encoded")
    return decoded


def _registered_port(protocol: Protocol, tls: TLSMode) -> int:
    for scheme in _SCHEMES.values():
        if (scheme.protocol, scheme.tls) == (protocol, tls):
            return scheme.port
    raise ValueError(
        f"expected protocol 'smtp' or 'pop3' and tls 'implicit', 'starttls' or 'none', got {protocol!r} and {tls!r}"
    )


def _check_host(host: str) -> None:
    if _is_address(host):
        return
    # The codec of the standard library for other scripts (IDNA 2003) maps some names to others ("faß.de" to "fass.de"):
    # a host outside ASCII must come encoded, by whom the caller trusts.
    labels = host.removesuffix(".").split(".")
    if not _HOST.match(host) or len(host) > 253 or not all(1 <= len(label) <= 63 for label in labels):
        raise ValueError(
            f"expected a host name of ASCII letters, digits, hyphens and dots (or an IP address), got {host[:80]!r}"
        )


def _is_address(host: str) -> bool:
    address = _SCOPE.sub("", host)
    if "%" in address:
        return False  # ipaddress takes anything for the scope of an address ("%eth0")
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True
