"""Endpoint: where a server is, how the way to it is secured, and who we are. The one place for connection settings."""

import ipaddress
import os
import re
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from inspect import iscoroutinefunction
from socket import socket
from types import NoneType
from typing import Any, Final, Literal, NamedTuple, Self, TypeAlias
from urllib.parse import quote, unquote_to_bytes

from ._wire.text import TRUTH, Kind, check_function, check_kind, check_kinds, check_number
from .sasl.choice import Credentials, Preferences
from .sasl.credentials import Password
from .sasl.identities import Anonymous, External, OAuthToken

__all__ = [
    "Chunking",
    "ClientCertificate",
    "Connector",
    "Endpoint",
    "Protocol",
    "TLSMode",
    "Timeouts",
    "check_chunking",
]

Protocol = Literal["smtp", "lmtp", "pop3"]
"""What the server speaks."""
TLSMode = Literal["implicit", "starttls", "none"]
"""TLS from the first octet (RFC 8314 3), begun by a command (RFC 3207, RFC 2595), or none."""
Chunking: TypeAlias = bool | Literal["eager"] | None
"""Whether messages go in chunks, by BDAT (RFC 3030). True: wherever that is announced. "eager": so, too, and without
waiting for a recipient to be accepted, but in LMTP. False: nowhere. None: that is not decided here."""
Connector = Callable[[], Awaitable[socket | tuple[StreamReader, StreamWriter]]]
"""Makes the connection in place of the endpoint: returns a connected socket, or a reader and its writer."""
_Path: TypeAlias = str | os.PathLike[str]
ClientCertificate: TypeAlias = _Path | tuple[_Path, _Path] | tuple[_Path, _Path, str]
"""A file with the certificate and its key in PEM; or one for each; or with the password of the key besides."""


class _Scheme(NamedTuple):
    protocol: Protocol
    tls: TLSMode
    port: int


_SCHEMES: Final[Mapping[str, _Scheme]] = {
    "smtps": _Scheme("smtp", "implicit", 465),  # RFC 8314 3.3
    "smtp+starttls": _Scheme("smtp", "starttls", 587),  # RFC 6409 3.1
    "smtp": _Scheme("smtp", "none", 25),
    # RFC 2033 5: not on port 25. No port is registered; 24 is the one for private mail, and the one that is used.
    "lmtp": _Scheme("lmtp", "none", 24),
    "lmtp+starttls": _Scheme("lmtp", "starttls", 24),
    "lmtps": _Scheme("lmtp", "implicit", 24),
    "pop3s": _Scheme("pop3", "implicit", 995),  # RFC 8314 3.1
    "pop3+starttls": _Scheme("pop3", "starttls", 110),
    "pop3": _Scheme("pop3", "none", 110),
}

_UNIX: Final = "+unix"
# RFC 3986 3.2: the authority ends at the first "/", "?" or "#". All of it is printable ASCII.
_URL_REST: Final = re.compile(r'(?P<authority>[!"$-.0->@-~]*)(?P<behind>(?:[/?#][!-~]*)?)\Z')
_PLACE: Final = re.compile(r"(?:\[(?P<address>[^\[\]]*)\]|(?P<name>[^\[\]:]*))(?::(?P<port>[0-9]{0,5}))?\Z")
_OF_TLS: Final = ("tls_context", "tls_ca_file", "tls_client_certificate", "tls_pin")
_PIN: Final = re.compile(r"[0-9a-f]{64}\Z")
_SCOPE: Final = re.compile(r"%[0-9A-Za-z_.-]+\Z")
_NUMBER: Final = re.compile(r"(?:[0-9]+|0[Xx][0-9A-Fa-f]*)\Z")
_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9.])?\Z")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long each phase may take, in seconds; None waits for ever.

    The SMTP values are those of RFC 5321 4.5.3.2. What is waited for must be complete by then: single octets now and
    then put nothing off. A message may take any time as a whole, but neither stand still nor trickle. A deadline ends
    in DeadlineExceeded, of which `phase` is the name of the field below, and the connection is dead.

    Raises ValueError for what is no number above 0.
    """

    connect: float | None = 30
    """Until the TCP connection stands, over all addresses of the host."""
    handshake: float | None = 30
    """For a TLS handshake."""
    token: float | None = 30
    """Until an access token was provided, where that is asked for (`OAuthToken.token`)."""
    greeting: float | None = 300
    """Until the server's greeting is complete."""
    command: float | None = 300
    """Until an SMTP command is answered, except those below."""
    data: float | None = 120
    """Until DATA is answered."""
    block: float | None = 180
    """While a message goes out or comes in: without any progress."""
    minimum_rate: float | None = 512
    """While a message goes out or comes in: octets per second that the server must take in or give, where it does at
    all..."""
    rate_period: float = 60
    """...on an average over so many seconds of waiting for it."""
    verdict: float | None = 600
    """From the end of a message to the SMTP server's reply to it. Giving up earlier leaves mail in doubt."""
    reset: float | None = 20
    """Behind a refusal that is known already, until RSET and what was on its way are answered."""
    response: float | None = 60
    """Until a POP3 command is answered; a listing may take longer while it comes at `minimum_rate`."""
    quit: float | None = 1
    """Until QUIT is answered, where nothing depends on it; otherwise `response` holds."""
    close: float | None = 1
    """For closing the connection in good order; it is cut then. Behind a POP3 commit it is left to the server to close,
    as long as that, a second with None: what it may still say would tell that it has confirmed something else."""

    def __post_init__(self) -> None:
        for each in fields(self):
            check_number(each.name, getattr(self, each.name), or_none=each.name != "rate_period")


# Octets; the ssl module takes no more.
_KEY_PASSWORD_LIMIT: Final = 1024
_FILE_PATH: Final = "a path that is not empty, that the file system can express, and that holds no NUL"

_TEXT: Final = ((str, NoneType), "text or None")
# Of these fields of an Endpoint. None of them holds a secret.
_KINDS: Final[Mapping[str, Kind]] = {
    "host": (str, "text"),
    "port": (int, "a number from 1 to 65535"),
    "tls_context": ((ssl.SSLContext, NoneType), "an ssl.SSLContext or None"),
    "tls_ca_file": ((str, os.PathLike, NoneType), "a path or None"),
    "tls_pin": _TEXT,
    "auth_preferences": (Preferences, "Preferences"),
    "allow_cleartext_auth": TRUTH,
    "timeouts": (Timeouts, "Timeouts"),
    "local_hostname": _TEXT,
    "local_address": _TEXT,
    "unix_path": _TEXT,
    "pipelining": TRUTH,
    "ignored_extensions": (Collection, "a collection of keywords"),
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server and how to speak to it.

    host: a DNS name in ASCII, or an IP address, with its zone if it has one ("fe80::1%eth0"). The server's certificate
        must be for it (for the address without its zone).
    port: 1 to 65535; by default the one for `protocol` and `tls`: 465, 587 and 25 for SMTP (implicit, STARTTLS, none),
        995, 110 and 110 for POP3, 24 for LMTP.
    protocol: "smtp", "lmtp" or "pop3".
    tls: "implicit" (from the first byte), "starttls" (by STARTTLS or STLS, before anything else) or "none". There is no
        mode that tries TLS and goes on without it.
    tls_context: by default ssl.create_default_context(): certificates and names are verified, TLS is 1.2 at least. It
        asks for TLS, as the next three do: with "none" there can be none of them.
    tls_ca_file: the authorities to trust instead of the system's, a file in PEM.
    tls_client_certificate: what to show a server that asks who we are. With this or `tls_ca_file` there can be no
        `tls_context`: it would say all of that itself.
    tls_pin: the SHA-256 of the server's certificate in DER, as 64 hexadecimal digits (colons between them do no harm).
        Any other certificate is refused before a byte is sent, whoever has signed it. The other checks stay in force.
    auth: the credentials: Password, OAuthToken, External or Anonymous, or a function that makes a mechanism of your
        own; None to log in nowhere.
    auth_preferences: how the mechanism is chosen.
    allow_cleartext_auth: whether passwords and tokens may cross a link without TLS. It is for tests and for links
        secured otherwise. Without it, such a link sees mechanisms that do not give them away (SCRAM), or none.
    timeouts: seconds for each phase.
    local_hostname: the name given to EHLO; by default the address literal of the local socket.
    local_address: the IP address of our end; by default the system chooses.
    unix_path: the path of a Unix socket, to be connected to instead of host and port. The host is still whom a
        certificate must be for. With it there is no local_address.
    pipelining: False sends one command at a time, whatever the server announces.
    ignored_extensions: keywords that an SMTP or LMTP server may announce as it likes: we go on as if it had not.
    use_chunking: whether messages go in chunks. None: where the server announces it, and is not known to be bad at it.
    connect: an async function that makes the connection in place of ours, through a proxy say: it returns a connected
        socket (no ssl.SSLSocket) or a pair of asyncio streams; anything else is a ValueError when it is called. The
        policy for TLS stays the same. With it there is no local_address and no unix_path. An OSError of its own becomes
        a ConnectionFailed; what else it raises comes out as it is.

    Raises ValueError for what cannot be an endpoint.
    """

    host: str
    port: int = 0
    protocol: Protocol = "smtp"
    tls: TLSMode = "implicit"
    tls_context: ssl.SSLContext | None = field(default=None, repr=False)
    tls_ca_file: _Path | None = None
    tls_client_certificate: ClientCertificate | None = field(default=None, repr=False)
    tls_pin: str | None = None
    auth: Credentials | None = None
    auth_preferences: Preferences = field(default=Preferences(), repr=False)
    allow_cleartext_auth: bool = False
    timeouts: Timeouts = field(default=Timeouts(), repr=False)
    local_hostname: str | None = None
    local_address: str | None = None
    unix_path: str | None = None
    pipelining: bool = True
    ignored_extensions: Collection[str] = ()
    use_chunking: Chunking = None
    connect: Connector | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_kinds(self, _KINDS)
        _check_host(self.host)
        registered = _registered_port(self.protocol, self.tls)
        if self.port == 0:
            object.__setattr__(self, "port", registered)
        if not 1 <= self.port <= 65535:
            raise ValueError(f"a port is a number from 1 to 65535, got {self.port!r}")
        if self.protocol == "lmtp" and self.port == 25:
            raise ValueError("LMTP is not spoken on port 25 (RFC 2033 5): a server there speaks SMTP")
        if self.local_address is not None and not _is_address(self.local_address):
            raise ValueError(f"expected an IP address as our own, got {self.local_address!r}")
        if self.unix_path is not None:
            _check_path(self.unix_path)
        if sum(setting is not None for setting in (self.local_address, self.unix_path, self.connect)) > 1:
            raise ValueError("expected one at most of local_address, unix_path and connect: each says how to connect")
        if self.tls_ca_file is not None and not _is_path(self.tls_ca_file):
            raise ValueError(f"expected tls_ca_file to be {_FILE_PATH}, got {self.tls_ca_file!r}")
        check_chunking(self.use_chunking)
        check_function("connect", self.connect)
        if isinstance(self.ignored_extensions, str):
            raise ValueError("ignored_extensions are a collection; one alone is [keyword]")
        for keyword in self.ignored_extensions:
            check_kind("a keyword in ignored_extensions", keyword, str, "text")
        object.__setattr__(self, "ignored_extensions", frozenset(word.upper() for word in self.ignored_extensions))
        if self.local_hostname is not None:
            from .smtp.commands import Ehlo  # not for POP3, which has no such name

            Ehlo(self.local_hostname)
        if self.tls_context is not None and (self.tls_ca_file or self.tls_client_certificate):
            raise ValueError("with a tls_context, authorities and the client's certificate are set there")
        for name in _OF_TLS if self.tls == "none" else ():
            if getattr(self, name) is not None:
                raise ValueError(f'with tls="none" there is nothing for {name} to be used for: leave it out, or None')
        if self.tls_pin is not None:
            object.__setattr__(self, "tls_pin", _checked_pin(self.tls_pin))
        object.__setattr__(self, "tls_client_certificate", _checked_certificate(self.tls_client_certificate))
        _check_credentials(self.auth)

    @classmethod
    def of(cls, given: "Endpoint | str") -> "Endpoint":
        """Return the endpoint that is `given`, or make one of its URL. Raises ValueError for anything else, and never
        shows it: there may be a password in it."""
        if isinstance(given, Endpoint):
            return given
        kind = type(given)
        try:
            if issubclass(kind, str):
                return cls.parse(given)
        finally:
            del given  # a traceback may show locals
        raise ValueError(f"expected an Endpoint or its URL as text, got a value of the type {kind.__name__}")

    @classmethod
    def parse(cls, url: str, **settings: Any) -> Self:
        """Make an endpoint of a URL: `scheme://user:password@host:port`, all but scheme and host optional.

        The schemes are smtps, smtp+starttls, smtp, lmtps, lmtp+starttls, lmtp, pop3s, pop3+starttls and pop3. With
        `+unix` behind any of them the URL is `scheme://user:password@host/path` for a Unix socket, and the host is
        optional, too: `lmtp+unix:///run/dovecot/lmtp`. What stands for itself in a URL (`@ : / ? # %`) must be
        percent-encoded in user and password, and `@ ? # %` in a path. An IPv6 address stands in brackets, with "%25"
        before its zone (RFC 6874 2; a lone "%" does, too). `settings` are further arguments of Endpoint.
        Raises ValueError that says what was expected, and never shows a password.
        """
        read = _read(url)
        del url  # a traceback may show locals
        if isinstance(read, str):
            raise ValueError(read)
        if read.unix_path is not None:
            settings["unix_path"] = read.unix_path
        if read.auth is not None:
            settings.setdefault("auth", read.auth)
        return cls(read.host, read.port, protocol=read.protocol, tls=read.tls, **settings)

    def replace(self, **settings: Any) -> Self:
        """Return a copy with other settings. With another `protocol` or `tls`, and no `port` besides, the port that is
        registered for them takes the place of the one that was for the old ones; any other port stays."""
        if self.port == _registered_port(self.protocol, self.tls):
            settings.setdefault("port", 0)
        return replace(self, **settings)

    def make_tls_context(self) -> ssl.SSLContext:
        """Return `tls_context`, or make the one that the other settings ask for. Reads files: not for an event loop.

        Raises OSError where a file cannot be read, ssl.SSLError where it does not hold what it should.
        """
        if self.tls_context is not None:
            return self.tls_context
        context = ssl.create_default_context(cafile=self.tls_ca_file)
        if self.tls_client_certificate is not None:
            context.load_cert_chain(*_loadable(self.tls_client_certificate))
        return context

    def __repr__(self) -> str:
        """The settings, without those that would show what nobody but us should know."""
        shown = {each.name: repr(getattr(self, each.name)) for each in fields(self) if each.repr}
        if callable(self.auth):
            # What a functools.partial holds may be the password, and so may what a method is bound to.
            kind = "class" if isinstance(self.auth, type) else type(self.auth).__qualname__
            shown["auth"] = f"<{kind} {getattr(self.auth, '__qualname__', '')}>".replace(" >", ">")
        return f"{type(self).__qualname__}({', '.join(f'{name}={value}' for name, value in shown.items())})"

    def __str__(self) -> str:
        """The endpoint as a URL, without credentials."""
        scheme = next(name for name, known in _SCHEMES.items() if known[:2] == (self.protocol, self.tls))
        # RFC 6874 2: "%25" before the zone.
        host = f"[{self.host.replace('%', '%25')}]" if ":" in self.host else self.host
        if self.unix_path is not None:
            return f"{scheme}{_UNIX}://{'' if host == 'localhost' else host}{quote(os.fsencode(self.unix_path))}"
        return f"{scheme}://{host}:{self.port}"


def _loadable(certificate: ClientCertificate) -> tuple[_Path, _Path | None, str | Callable[[], str]]:
    match certificate:
        case (file, key, password):
            return file, key, password
        case (file, key):
            return file, key, _have_no_password
        case file:
            return file, None, _have_no_password


def _have_no_password() -> str:
    # OpenSSL would ask at the terminal, or read standard input, and the program would wait for that without end.
    raise ssl.SSLError(
        ssl.SSL_ERROR_SSL, "the key of the client's certificate is under a password, and none was given with it"
    )


def _checked_pin(pin: str) -> str:
    digits = pin.replace(":", "").lower()
    if not _PIN.match(digits):
        raise ValueError(f"expected a SHA-256 in 64 hexadecimal digits as the pin, got {pin[:100]!r}")
    return digits


def _is_path(path: _Path) -> bool:
    # An empty one means to the ssl module that there is none, and then the system's authorities are trusted.
    try:
        octets = os.fsencode(path)
    except UnicodeEncodeError:
        return False
    return bool(octets) and b"\0" not in octets


def _checked_certificate(certificate: Any) -> ClientCertificate | None:
    problem = _certificate_problem(certificate)
    if problem is not None:
        del certificate  # there may be a password in it, and a traceback may show locals
        raise ValueError(problem)
    return certificate if isinstance(certificate, str | os.PathLike | None) else tuple(certificate)


def _certificate_problem(certificate: Any) -> str | None:
    password = ""
    match certificate:
        case None:
            return None
        case str() | os.PathLike() as file:
            files = [file]
        case (str() | os.PathLike() as file, str() | os.PathLike() as key):
            files = [file, key]
        case (str() | os.PathLike() as file, str() | os.PathLike() as key, str() as password):
            files = [file, key]
        case _:
            return (
                "expected tls_client_certificate to be a path, or two of them, or two and the password as text, or "
                f"None, got a value of the type {type(certificate).__name__}"
            )
    if not all(map(_is_path, files)):
        return f"expected each path in tls_client_certificate to be {_FILE_PATH}"
    octets = password.encode("utf-8", "replace")
    if octets.decode("utf-8") != password or len(octets) > _KEY_PASSWORD_LIMIT:
        return (
            "the password in tls_client_certificate must be text that UTF-8 can express, of "
            f"{_KEY_PASSWORD_LIMIT} octets at most"
        )
    return None


def _check_credentials(credentials: object) -> None:
    # Line ends and NUL are for no mechanism, and better refused here than after the server was connected to. What is
    # refused is not quoted: it may be the password.
    known = isinstance(credentials, Password | OAuthToken | External | Anonymous | None)
    if not known and iscoroutinefunction(credentials):
        raise ValueError("expected auth to be a function that makes a mechanism, got an async function")
    if not known and not callable(credentials):
        raise ValueError(
            "expected auth to be Password, OAuthToken, External, Anonymous, a function that makes a mechanism, or "
            f"None, got a value of the type {type(credentials).__name__}"
        )
    for name in ("user", "password", "token", "authzid", "trace"):
        if _holds_line_end(getattr(credentials, name, "")):
            raise ValueError(f"the {name} of an endpoint must not hold a CR, LF or NUL")


def _holds_line_end(text: object) -> bool:
    return isinstance(text, str) and any(character in "\r\n\0" for character in text)


class _Read(NamedTuple):
    # What a URL says.
    host: str
    port: int
    protocol: Protocol
    tls: TLSMode
    auth: Password | None
    unix_path: str | None


def _read(url: object) -> _Read | str:
    # Returns what was expected, where it was not given: who raises an error, should not have a password at hand.
    if not isinstance(url, str):
        return f"expected a URL as text, got a value of the type {type(url).__name__}"
    scheme, separator, rest = url.partition("://")
    by_path = scheme.lower().endswith(_UNIX)
    known = _SCHEMES.get(scheme.lower().removesuffix(_UNIX))
    if known is None or not separator:
        # What stands there instead is not quoted: it may be a password.
        return f"expected a URL that begins with one of {', '.join(f'{name}://' for name in _SCHEMES)}"
    parts = _URL_REST.match(rest)
    if parts is None:
        return f"expected {scheme}://user:password@host:port, all but printable ASCII percent-encoded"
    behind = parts["behind"]
    if "@" in behind:
        # The password has ended too early: what seems to be the host is a part of it.
        encoded = "'/', '?' and '#' in a user name or password must be percent-encoded"
        return f"{encoded}, and '@' in a path" if by_path else encoded
    credentials, is_given, place = parts["authority"].rpartition("@")
    expected = f"expected {scheme}://user:password@host:port, with a port from 1 to 65535"
    found = _PLACE.match(place)
    if found is None:
        return expected
    port = int(found["port"] or known.port)
    if not 1 <= port <= 65535:
        return expected
    host = (found["name"] or "").lower()
    if found["address"] is not None:
        address, percent, zone = found["address"].partition("%")
        host = f"{address.lower()}{percent}{zone.removeprefix('25')}"
        if ":" not in host or not _is_address(host):
            return f"expected an IPv6 address between the brackets of {scheme}://[...]"
    unix_path: str | None = None
    if by_path:
        if found["port"] or "?" in behind or "#" in behind:
            return f"expected {scheme}:///path, with '?' and '#' percent-encoded and without a port"
        host = host or "localhost"
        unix_path = os.fsdecode(unquote_to_bytes(behind))
    elif behind not in ("", "/"):
        return (
            f"expected nothing behind the host and port of {scheme}://{host}; "
            "'/', '?' and '#' in a user name or password must be percent-encoded"
        )
    auth: Password | None = None
    if is_given:
        user, _, password = map(_decoded, credentials.partition(":"))
        if user is None or password is None:
            return "expected user and password in UTF-8, percent-encoded"
        if not user:
            return f"expected a user name before the password in {scheme}://user:password@host"
        auth = Password(user, password)
    return _Read(host, port, known.protocol, known.tls, auth, unix_path)


def _decoded(text: str) -> str | None:
    octets = unquote_to_bytes(text)
    decoded = octets.decode("utf-8", "replace")
    # The error of a strict decoder would hold the password.
    return decoded if decoded.encode() == octets else None


def _registered_port(protocol: Protocol, tls: TLSMode) -> int:
    for scheme in _SCHEMES.values():
        if (scheme.protocol, scheme.tls) == (protocol, tls):
            return scheme.port
    raise ValueError(
        f"expected protocol 'smtp', 'lmtp' or 'pop3' and tls 'implicit', 'starttls' or 'none', "
        f"got {protocol!r} and {tls!r}"
    )


def _check_host(host: str) -> None:
    if _is_address(host):
        return
    # The codec of the standard library for other scripts (IDNA 2003) maps some names to others ("faß.de" to "fass.de"):
    # a host outside ASCII must come encoded, by whom the caller trusts.
    expected = "expected a host name of ASCII letters, digits, hyphens and dots (or an IP address)"
    if "://" in host or "@" in host:
        # It is not quoted: there may be a password in it.
        del host
        raise ValueError(f"{expected}, got what looks like a URL: Endpoint.parse(url) takes one")
    labels = host.removesuffix(".").split(".")
    if not _HOST.match(host) or len(host) > 253 or not all(1 <= len(label) <= 63 for label in labels):
        raise ValueError(f"{expected}, got {host[:80]!r}")
    # Whether the system's resolver takes a number for an address ("127.1") is its own affair, and no certificate is for
    # one. RFC 3696 2: no top-level domain is all-numeric; URL Standard, "ends in a number": hexadecimal ones count too.
    if _NUMBER.match(labels[-1]):
        raise ValueError(
            "expected an IPv4 address, four numbers from 0 to 255 and no dot behind them, where the last part of a "
            f"host is a number, got {host!r}"
        )


def check_chunking(choice: Chunking) -> None:
    """Raise ValueError for a `choice` that is none."""
    # 0 and 1 are none of these, though they equal False and True.
    if not (choice is None or choice is True or choice is False or choice == "eager"):
        raise ValueError(f'expected use_chunking to be True, False, "eager" or None, got {choice!r}')


def _check_path(path: str) -> None:
    if not path.startswith("/") or not _is_path(path):
        raise ValueError(f"expected an absolute path of a Unix socket, got {path!r}")


def _is_address(host: str) -> bool:
    address = _SCOPE.sub("", host)
    if "%" in address:
        return False  # ipaddress takes anything for the scope of an address ("%eth0")
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return False
    return True
