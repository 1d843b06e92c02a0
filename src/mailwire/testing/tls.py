"""TLS contexts for both ends of a test connection, made from the public certificates in `certificates/`.

The keys are published with the package: these contexts encrypt, but whoever serves with them proves nothing. They are
for the loopback interface and for tests alone.
"""

import ssl
from pathlib import Path

__all__ = ["authority_file", "client_context", "server_context"]

_CERTIFICATES = Path(__file__).parent / "certificates"
_SERVER_NAMES = ("localhost", "other-host", "expired", "self-signed")


def authority_file() -> Path:
    """Return the path of the test authority's certificate (PEM), for programs that take a file of authorities."""
    return _CERTIFICATES / "authority.pem"


def client_context() -> ssl.SSLContext:
    """Make a client's context that trusts the test authority and nothing else.

    It verifies as strictly as the context that `ssl.create_default_context` makes, host name included.
    """
    return ssl.create_default_context(cafile=authority_file())


def server_context(name: str = "localhost") -> ssl.SSLContext:
    """Make a server's context with one of the test certificates.

    `name` says which: `"localhost"` (valid for `localhost`, `127.0.0.1` and `::1`), or one that a client must refuse:
    `"other-host"` (valid for `other.invalid` only), `"expired"`, or `"self-signed"`. Raises `ValueError` for any other.
    """
    if name not in _SERVER_NAMES:
        raise ValueError(f"no test certificate is called {name!r}; expected one of {', '.join(_SERVER_NAMES)}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_CERTIFICATES / f"{name}.pem", _CERTIFICATES / f"{name}-key.pem")
    return context
