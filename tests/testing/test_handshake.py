import ssl
from typing import Any

import pytest

from mailwire.sasl import server_end_point
from mailwire.testing import Channel, client_context, server_context
from mailwire.testing.handshake import find_certificate, read_channel
from tests.testing.test_tls import shake_hands

CERTIFICATE = b"no certificate"


def sessions(
    version: ssl.TLSVersion, client: ssl.SSLContext, server: ssl.SSLContext
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    server.minimum_version = server.maximum_version = version
    return shake_hands(client, server, "localhost")


class LaterSSLObject(ssl.SSLObject):
    """A TLS session of a Python that can export keying material (RFC 9266)."""

    def get_channel_binding(self, cb_type: str = "tls-unique") -> bytes | None:
        return b"exported" if cb_type == "tls-exporter" else super().get_channel_binding(cb_type)


def later(context: ssl.SSLContext) -> ssl.SSLContext:
    context.sslobject_class = LaterSSLObject
    return context


# The certificate


@pytest.mark.parametrize("name", ["localhost", "other-host", "expired", "self-signed"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("client_certificates", [False, True])
def test_the_certificate_is_the_one_that_clients_see(
    name: str, version: ssl.TLSVersion, client_certificates: bool
) -> None:
    context = server_context(name, client_certificates=client_certificates)
    context.minimum_version = context.maximum_version = version
    careless = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    careless.check_hostname = False
    careless.verify_mode = ssl.CERT_NONE
    client, _ = shake_hands(careless, context, "localhost")

    assert find_certificate(context) == client.getpeercert(binary_form=True)


def test_a_certificate_may_be_shown_to_known_clients_only() -> None:
    # In TLS 1.3 the server shows its own before it sees the client's.
    context = server_context(client_certificates=True)
    expected = find_certificate(context)
    context.verify_mode = ssl.CERT_REQUIRED

    assert find_certificate(context) == expected is not None
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert find_certificate(context) is None


def test_a_context_without_a_certificate_is_none_but_where_another_takes_its_place() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with pytest.raises(ValueError, match="with a certificate"):
        find_certificate(context)
    context.sni_callback = lambda *_: None
    assert find_certificate(context) is None


# Channel bindings


def test_both_ends_of_tls_1_2_have_the_same_bindings() -> None:
    context = server_context()
    certificate = find_certificate(context)
    client, server = sessions(ssl.TLSVersion.TLSv1_2, client_context(), context)
    shown = client.getpeercert(binary_form=True)
    assert shown is not None
    expected = {"tls-server-end-point": server_end_point(shown), "tls-unique": client.get_channel_binding()}

    bindings = read_channel(server, certificate).bindings

    assert {name: bindings[name] for name in expected} == expected


def test_tls_1_3_has_no_tls_unique() -> None:
    context = server_context()
    certificate = find_certificate(context)
    _, server = sessions(ssl.TLSVersion.TLSv1_3, client_context(), context)

    bindings = read_channel(server, certificate).bindings

    assert bindings.keys() - {"tls-exporter"} == {"tls-server-end-point"}


@pytest.mark.parametrize("certificate", [None, CERTIFICATE])
def test_without_a_certificate_nothing_binds_to_it(certificate: bytes | None) -> None:
    _, server = sessions(ssl.TLSVersion.TLSv1_2, client_context(), server_context())

    assert read_channel(server, certificate).bindings.keys() - {"tls-exporter"} == {"tls-unique"}


@pytest.mark.parametrize(
    ("version", "names"),
    [
        (ssl.TLSVersion.TLSv1_2, {"tls-unique", "tls-exporter"}),
        (ssl.TLSVersion.TLSv1_3, {"tls-exporter"}),
    ],
)
def test_what_is_exported_binds_where_python_exports_it(
    monkeypatch: pytest.MonkeyPatch, version: ssl.TLSVersion, names: set[str]
) -> None:
    _, server = sessions(version, client_context(), later(server_context()))
    monkeypatch.setattr(ssl, "CHANNEL_BINDING_TYPES", ["tls-unique", "tls-exporter"])

    bindings = read_channel(server, None).bindings
    assert bindings.keys() == names
    assert bindings["tls-exporter"] == b"exported"


def test_nothing_binds_that_this_python_cannot_get(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssl, "CHANNEL_BINDING_TYPES", [])
    _, server = sessions(ssl.TLSVersion.TLSv1_2, client_context(), later(server_context()))

    assert read_channel(server, None) == Channel()


# The client's names


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_is_known_by_the_names_in_its_certificate(version: ssl.TLSVersion) -> None:
    client, server = sessions(version, client_context("alice"), server_context(client_certificates=True))
    client.write(b"x")
    assert server.read() == b"x"

    assert read_channel(server, None).client_names == {"alice", "alice@example.org"}


@pytest.mark.parametrize("name", [None, "alice"])
@pytest.mark.parametrize("asks", [False, True])
def test_a_client_that_is_not_asked_or_shows_none_has_no_names(name: str | None, asks: bool) -> None:
    _, server = sessions(ssl.TLSVersion.TLSv1_3, client_context(name), server_context(client_certificates=asks))

    assert bool(read_channel(server, None).client_names) is (asks and name is not None)


class Certified(ssl.SSLObject):
    """A TLS session with a client whose certificate holds other names than ours do."""

    def getpeercert(self, binary_form: bool = False) -> Any:
        return {
            "subject": ((("organizationName", "a"), ("commonName", "b")), (("commonName", "c"),)),
            "subjectAltName": (
                ("DNS", "d.example.org"),
                ("URI", "https://e.example.org/"),
                ("email", "f@example.org"),
                ("IP Address", "192.0.2.1"),
                ("othername", "<unsupported>"),
                ("DirName", ((("commonName", "g"),),)),
            ),
        }


def test_of_the_alternative_names_those_count_that_a_user_may_have() -> None:
    context = server_context()
    context.sslobject_class = Certified
    _, server = shake_hands(client_context(), context, "localhost")

    expected = {"b", "c", "d.example.org", "https://e.example.org/", "f@example.org"}
    assert read_channel(server, None).client_names == expected
