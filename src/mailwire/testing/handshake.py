"""Handshake: what a TLS session gives to authenticate by, as the server's end of it knows it."""

import ssl
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from ..sasl.channel_binding import server_end_point
from .channel import Channel

__all__ = ["find_certificate", "read_channel"]

# The kinds of subject alternative name that a user may be known by. Python says "<unsupported>" for some others.
_NAME_KINDS: Final = frozenset({"email", "DNS", "URI"})


def read_channel(tls: ssl.SSLObject, certificate: bytes | None) -> Channel:
    """Return what the session gives, whose handshake is done; `certificate` is the server's own, in DER, if known."""
    bindings = {}
    if certificate is not None and (end_point := server_end_point(certificate)) is not None:
        bindings["tls-server-end-point"] = end_point
    # RFC 9266 1: tls-unique is not defined for TLS 1.3. tls-exporter is only had from a later Python.
    for name in ("tls-exporter",) if tls.version() == "TLSv1.3" else ("tls-exporter", "tls-unique"):
        if name in ssl.CHANNEL_BINDING_TYPES and (data := tls.get_channel_binding(name)):
            bindings[name] = data
    return Channel(bindings, _find_client_names(tls))


def find_certificate(context: ssl.SSLContext) -> bytes | None:
    """Return the certificate, in DER, with which a server serves that has this context; None if it cannot be learnt.

    A context does not tell. So somebody shakes hands with it, here, in memory, who trusts everybody. Raises ValueError
    where the server has nothing to shake hands with.
    """
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(to_client, to_server)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    try:
        # Each turn one of them says something, or fails.
        while True:
            with suppress(ssl.SSLWantReadError):
                client.do_handshake()
                return client.getpeercert(binary_form=True)
            with suppress(ssl.SSLWantReadError):
                server.do_handshake()
    except ssl.SSLError as error:
        # A context that is to be changed for another, by the name that the client asks for, need have none of its own.
        if error.reason == "NO_SHARED_CIPHER" and context.sni_callback is None:
            raise ValueError("expected a tls_context with a certificate: TLS cannot begin with this one") from error
        return None


def _find_client_names(tls: ssl.SSLObject) -> frozenset[str]:
    # {} for a certificate that was not verified, None without one.
    certificate: Mapping[str, Any] = tls.getpeercert() or {}
    names = [name for kind, name in certificate.get("subjectAltName", ()) if kind in _NAME_KINDS]
    for relative_names in certificate.get("subject", ()):
        names += [name for kind, name in relative_names if kind == "commonName"]
    return frozenset(names)
