"""TLS: what a session turned out to be, and why there is none."""

import hashlib
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from .._wire.text import printable
from ..endpoint import Endpoint
from ..sasl.channel_binding import BindingType, ChannelBinding, server_end_point

__all__ = [
    "NamingSSLObject",
    "TLSInfo",
    "alert_of",
    "channel_bindings",
    "names_refused",
    "plaintext_instead",
    "server_name",
    "tls_reason",
]

# OpenSSL, x509_vfy.h: X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH.
_MISMATCHES: Final = (62, 64)


@dataclass(frozen=True, slots=True)
class TLSInfo:
    """What was negotiated.

    version: "TLSv1.3", ...
    cipher: the cipher suite, by OpenSSL's name.
    peer_certificate: the server's certificate, in DER.
    is_verified: whether the certificate was checked, and for the host's name. It is not where a `tls_context` says so.
    not_after: until when the certificate is valid; None where it was not checked.
    """

    version: str
    cipher: str
    peer_certificate: bytes = field(repr=False)
    is_verified: bool
    not_after: datetime | None = None

    @classmethod
    def of(cls, session: ssl.SSLObject) -> "TLSInfo":
        """Read it off a session of which the handshake was made."""
        # Of a certificate that was not checked, the standard library tells nothing but its octets.
        expiry = (session.getpeercert() or {}).get("notAfter")
        is_told = isinstance(expiry, str)
        return cls(
            version=session.version() or "",
            cipher=(session.cipher() or ("",))[0],
            peer_certificate=session.getpeercert(binary_form=True) or b"",
            is_verified=session.context.verify_mode is ssl.CERT_REQUIRED and session.context.check_hostname,
            not_after=datetime.fromtimestamp(ssl.cert_time_to_seconds(str(expiry)), UTC) if is_told else None,
        )

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the server's certificate, as `Endpoint.tls_pin` takes it."""
        return hashlib.sha256(self.peer_certificate).hexdigest()


def server_name(endpoint: Endpoint) -> str:
    """Return the host of `endpoint` as the server knows it, and as it stands in a certificate.

    A DNS name is "without a trailing dot" there (RFC 6066 3), and an address without its zone, which has a meaning on
    our machine alone (RFC 4007 6).
    """
    return endpoint.host.partition("%")[0].removesuffix(".")


def channel_bindings(session: ssl.SSLObject) -> Mapping[BindingType, ChannelBinding]:
    """Return all that a session gives to bind to (RFC 5929, RFC 9266)."""
    # "tls-exporter" is not in every version of the standard library; "tls-unique" means nothing on TLS 1.3.
    unknown = {"tls-exporter", "tls-unique"}.difference(ssl.CHANNEL_BINDING_TYPES)
    if session.version() == "TLSv1.3":
        unknown.add("tls-unique")
    data: dict[BindingType, bytes | None] = {
        "tls-exporter": None if "tls-exporter" in unknown else session.get_channel_binding("tls-exporter"),
        "tls-unique": None if "tls-unique" in unknown else session.get_channel_binding("tls-unique"),
        "tls-server-end-point": server_end_point(session.getpeercert(binary_form=True) or b""),
    }
    return {name: ChannelBinding(name, octets) for name, octets in data.items() if octets}


class NamingSSLObject(ssl.SSLObject):
    """A session that keeps, of a certificate that was refused, the names that it is for.

    OpenSSL's words tell only the name that was asked for.
    """

    def do_handshake(self) -> None:
        """Do it. Raises what it raises; `names_refused` reads the names off that."""
        try:
            super().do_handshake()
        except ssl.SSLCertVerificationError as error:
            error.__dict__["names"] = _names_in_refused(self)
            raise


def names_refused(error: ssl.SSLCertVerificationError) -> Sequence[str]:
    """Return the names that the certificate is for, where it was refused because of them and they are known."""
    return error.__dict__.get("names", ()) if error.verify_code in _MISMATCHES else ()


def _names_in_refused(session: ssl.SSLObject) -> Sequence[str]:
    # The standard library shows a certificate decoded only once it was accepted, and the chain of one that was refused
    # in DER alone, from Python 3.13 on. The object below has both; where it has not, nothing but an explanation is
    # missing.
    below: Any = getattr(session, "_sslobj", None)
    chain: Sequence[Any] | None = getattr(below, "get_unverified_chain", _nothing)()
    try:
        certificate: Mapping[str, Any] | None = getattr(chain[0] if chain else None, "get_info", _nothing)()
    except UnicodeDecodeError:
        return ()  # one of them is no text
    alternatives = certificate.get("subjectAltName", ()) if certificate else ()
    return [printable(str(name).encode("utf-8", "backslashreplace")) for _kind, name in alternatives]


def _nothing() -> None:
    return None


def alert_of(error: Exception | None) -> str | None:
    """Return the alert by which the peer has refused a session (RFC 8446 6.2); None where `error` tells of none."""
    reason: str | None = getattr(error, "reason", None)
    return reason if isinstance(error, ssl.SSLError) and reason is not None and "_ALERT_" in reason else None


def tls_reason(error: ssl.SSLError, endpoint: Endpoint) -> str:
    """Say why there is no TLS session with `endpoint`."""
    # What OpenSSL says when the first bytes of the server are no TLS record. What others raise, has no such attribute.
    reason: str | None = getattr(error, "reason", None)
    if reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"):
        return plaintext_instead(endpoint)
    return f"no TLS session with {endpoint}: {reason or error}"


def plaintext_instead(endpoint: Endpoint) -> str:
    """Say that `endpoint` speaks in the clear where TLS was to begin."""
    if endpoint.tls == "starttls":
        return f"{endpoint} agreed to begin TLS and goes on in the clear"
    return f'this port speaks plaintext {endpoint.protocol.upper()}, not TLS ({endpoint}; it may want tls="starttls")'
