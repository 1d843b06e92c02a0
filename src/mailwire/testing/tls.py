"""TLS contexts for both ends of a test connection, made from the public certificates in `certificates/`.

The keys are published with the package: these contexts encrypt, but whoever serves with them proves nothing. They are
for the loopback interface and for tests alone.
"""

import ssl
from pathlib import Path
from typing import Final

__all__ = ["SERVER_NAMES", "authority_file", "client_context", "server_context"]

_CERTIFICATES = Path(__file__).parent / "certificates"
SERVER_NAMES: Final = ("localhost", "other-host", "expired", "self-signed")
"""The names of the servers' certificates."""
_CLIENT_NAMES = ("alice",)


def authority_file() -> Path:
    """Return the path of the test authority's certificate (PEM), for programs that take a file of authorities."""
    return _CERTIFICATES / "authority.pem"


def client_context(name: str | None = None) -> ssl.SSLContext:
    """Make a client's context that trusts the test authority and nothing else.

    It verifies as strictly as the context that `ssl.create_default_context` makes, host name included. `name` says with
    which certificate the client proves who it is, if a server asks: `"alice"` (whose common name is `alice`, and
    alternative name `alice@example.org`), or none. Raises `ValueError` for any other.
    """
    context = ssl.create_default_context(cafile=authority_file())
    if name is not None:
        _load_certificate(context, name, _CLIENT_NAMES)
    return context


def server_context(name: str = "localhost", *, client_certificates: bool = False) -> ssl.SSLContext:
    """Make a server's context with one of the test certificates.

    `name` says which: `"localhost"` (valid for `localhost`, `127.0.0.1` and `::1`), or one that a client must refuse:
    `"other-host"` (valid for `other.invalid` only), `"expired"`, or `"self-signed"`. Raises `ValueError` for any other.

    `client_certificates` says whether clients are asked for a certificate. They need not show one; if they do, it must
    be of the test authority for clients.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load_certificate(context, name, SERVER_NAMES)
    if client_certificates:
        context.load_verify_locations(_CERTIFICATES / "client-authority.pem")
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _load_certificate(context: ssl.SSLContext, name: str, names: tuple[str, ...]) -> None:
    if name not in names:
        raise ValueError(f"no test certificate is called {name!r}; expected one of {', '.join(names)}")
    context.load_cert_chain(_CERTIFICATES / f"{name}.pem", _CERTIFICATES / f"{name}-key.pem")
