import ssl

import pytest

from mailwire.testing import tls

# The X509_V_ERR_... numbers of openssl's x509_vfy.h.
EXPIRED, SELF_SIGNED, UNKNOWN_ISSUER, WRONG_HOST, WRONG_ADDRESS = 10, 18, 20, 62, 64


def shake_hands(
    client_context: ssl.SSLContext, server_context: ssl.SSLContext, host: str
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Run one handshake in memory, for a client that wants to talk to `host`; return the client's and server's ends."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=host)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    waiting = [client, server]
    # A TLS 1.3 handshake takes each end two turns; a few more only matter when something is broken.
    for _ in range(5):
        for end in list(waiting):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(end)
    assert not waiting
    return client, server


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_client_accepts_the_localhost_certificate(host: str) -> None:
    client, server = shake_hands(tls.client_context(), tls.server_context(), host)

    client.write(b"QUIT\r\n")
    assert server.read() == b"QUIT\r\n"


@pytest.mark.parametrize(
    ("name", "host", "verify_code"),
    [
        ("localhost", "other.invalid", WRONG_HOST),
        ("localhost", "127.0.0.2", WRONG_ADDRESS),
        ("other-host", "localhost", WRONG_HOST),
        ("other-host", "127.0.0.1", WRONG_ADDRESS),
        ("expired", "localhost", EXPIRED),
        ("self-signed", "localhost", SELF_SIGNED),
    ],
)
def test_client_refuses_a_certificate_that_does_not_verify(name: str, host: str, verify_code: int) -> None:
    with pytest.raises(ssl.SSLCertVerificationError) as refusal:
        shake_hands(tls.client_context(), tls.server_context(name), host)
    assert refusal.value.verify_code == verify_code


def test_other_host_certificate_is_refused_for_its_name_alone() -> None:
    shake_hands(tls.client_context(), tls.server_context("other-host"), "other.invalid")


@pytest.mark.parametrize("name", ["localhost", "other-host", "expired", "self-signed"])
def test_every_server_context_serves_a_client_that_does_not_verify(name: str) -> None:
    careless = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    careless.check_hostname = False
    careless.verify_mode = ssl.CERT_NONE

    shake_hands(careless, tls.server_context(name), "localhost")


def test_default_context_does_not_trust_the_test_authority() -> None:
    with pytest.raises(ssl.SSLCertVerificationError) as refusal:
        shake_hands(ssl.create_default_context(), tls.server_context(), "localhost")
    assert refusal.value.verify_code == UNKNOWN_ISSUER


def test_client_context_verifies_strictly_and_trusts_one_authority() -> None:
    # VERIFY_X509_STRICT became the default with Python 3.13; the certificates must pass it everywhere.
    context = tls.client_context()
    context.verify_flags |= ssl.VERIFY_X509_STRICT

    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert len(context.get_ca_certs()) == 1
    shake_hands(context, tls.server_context(), "localhost")


@pytest.mark.parametrize("name", ["", "authority", "../certificates/localhost", "LOCALHOST"])
def test_unknown_certificate_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="expected one of localhost, other-host, expired, self-signed"):
        tls.server_context(name)


def test_authority_file_is_a_certificate_without_a_key() -> None:
    text = tls.authority_file().read_text(encoding="ascii")

    assert text.startswith("-----BEGIN CERTIFICATE-----\n")
    assert "KEY" not in text


def test_authority_key_is_not_kept() -> None:
    keys = {path.name for path in tls.authority_file().parent.glob("*-key.pem")}

    servers = {"localhost-key.pem", "other-host-key.pem", "expired-key.pem", "self-signed-key.pem"}
    assert keys == servers | {"alice-key.pem"}


# Clients that prove who they are


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_shows_its_certificate_if_it_is_asked(version: ssl.TLSVersion) -> None:
    for asks in (False, True):
        context = tls.server_context(client_certificates=asks)
        context.minimum_version = context.maximum_version = version
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        _, server = shake_hands(tls.client_context("alice"), context, "localhost")

        assert (server.getpeercert(binary_form=True) is not None) is asks


def test_a_client_need_not_show_a_certificate() -> None:
    _, server = shake_hands(tls.client_context(), tls.server_context(client_certificates=True), "localhost")

    assert server.getpeercert() is None


def test_a_client_with_a_certificate_of_another_authority_is_refused() -> None:
    client = tls.client_context()
    certificates = tls.authority_file().parent
    client.load_cert_chain(certificates / "localhost.pem", certificates / "localhost-key.pem")

    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(client, tls.server_context(client_certificates=True), "localhost")


def test_the_authority_for_clients_vouches_for_no_server() -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificates = tls.authority_file().parent
    server.load_cert_chain(certificates / "alice.pem", certificates / "alice-key.pem")

    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(tls.client_context(), server, "alice")


@pytest.mark.parametrize("name", ["", "localhost", "client-authority", "../certificates/alice"])
def test_unknown_client_certificate_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="expected one of alice"):
        tls.client_context(name)
