"""What was negotiated can be read, a certificate can be pinned, a client can have one of its own."""

import hashlib
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mailwire import DeadlineExceeded, Endpoint, External, POP3Client, SMTPClient, TLSFailed, Transcript
from mailwire.aio.stream import Stream
from mailwire.aio.tls import (
    TLSInfo,
    _names_in_refused,
    alert_of,
    channel_bindings,
    names_refused,
    server_name,
    tls_reason,
)
from mailwire.sasl import server_end_point
from mailwire.testing import (
    LISTEN,
    Account,
    MailServer,
    Policy,
    ScriptedPeer,
    Tls,
    authority_file,
    client_context,
    server_context,
)
from tests.aio.dialogues import READY, extensions

CERTIFICATES = authority_file().parent
LEAF = ssl.PEM_cert_to_DER_cert((CERTIFICATES / "localhost.pem").read_text("ascii"))
PIN = hashlib.sha256(LEAF).hexdigest()

NO_TEXT = Path(__file__).with_name("certificates") / "name-that-is-no-text.pem"


def context_with_no_text() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(NO_TEXT, CERTIFICATES / "localhost-key.pem")
    return context


def unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def limited(version: ssl.TLSVersion) -> ssl.SSLContext:
    context = client_context()
    context.maximum_version = context.minimum_version = version
    return context


class NewerSession:
    """What an SSLObject may be in a later version of the standard library."""

    _sslobj: object = None

    def version(self) -> str:
        return "TLSv1.3"

    def getpeercert(self, *, binary_form: bool) -> None:
        return None

    def get_channel_binding(self, name: str) -> bytes:
        return f"octets of {name}".encode()


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
@pytest.mark.parametrize("protocol", ["smtp", "pop3"])
async def test_what_was_negotiated_can_be_read(protocol: str, version: str) -> None:
    context = limited(ssl.TLSVersion.TLSv1_2 if version == "TLSv1.2" else ssl.TLSVersion.TLSv1_3)
    async with MailServer(tls_context=server_context(), implicit_tls=True) as server:
        port = server.smtp_port if protocol == "smtp" else server.pop3_port
        endpoint = Endpoint("localhost", port, protocol=protocol, tls_context=context)  # type: ignore[arg-type]
        client = SMTPClient(endpoint) if protocol == "smtp" else POP3Client(endpoint)
        assert client.tls is None
        async with client:
            info = client.tls
            assert info is not None
            assert info.version == version
            assert info.cipher
            assert info.peer_certificate == LEAF
            assert info.fingerprint == PIN
            assert info.is_verified
            assert "peer_certificate" not in repr(info)
        assert client.tls is None


async def test_without_tls_there_is_nothing_to_read() -> None:
    async with ScriptedPeer(*READY, "C: QUIT", "S: 221 bye") as peer, SMTPClient(peer.endpoint()) as client:
        assert client.tls is None


class Negotiated:
    """What is asked of an SSLObject to say what was negotiated."""

    def __init__(self, context: ssl.SSLContext, certificate: dict[str, object] | None, *, is_whole: bool) -> None:
        self.context = context
        self._certificate = certificate
        self._is_whole = is_whole

    def version(self) -> str | None:
        return "TLSv1.3" if self._is_whole else None

    def cipher(self) -> tuple[str, str, int] | None:
        return ("TLS_AES_256_GCM_SHA384", "TLSv1.3", 256) if self._is_whole else None

    def getpeercert(self, binary_form: bool = False) -> object:
        return (b"der" if self._is_whole else None) if binary_form else self._certificate


def test_what_was_negotiated_is_read_off_a_session() -> None:
    certificate: dict[str, object] = {"notAfter": "Jan  5 09:34:43 2030 GMT"}
    assert TLSInfo.of(Negotiated(client_context(), certificate, is_whole=True)) == TLSInfo(  # type: ignore[arg-type]
        "TLSv1.3", "TLS_AES_256_GCM_SHA384", b"der", True, datetime(2030, 1, 5, 9, 34, 43, tzinfo=UTC)
    )
    info = TLSInfo.of(Negotiated(client_context(), None, is_whole=False))  # type: ignore[arg-type]
    assert info == TLSInfo("", "", b"", True)


def test_a_server_has_proved_its_name_if_both_the_certificate_and_the_name_were_checked() -> None:
    nameless, anybody, whole = client_context(), unverified(), client_context()
    nameless.check_hostname = False
    for context, is_verified in ((nameless, False), (anybody, False), (whole, True)):
        info = TLSInfo.of(Negotiated(context, None, is_whole=True))  # type: ignore[arg-type]
        assert info.is_verified is is_verified


async def test_a_context_that_verifies_nothing_is_told_as_that() -> None:
    async with (
        ScriptedPeer(Tls("self-signed"), *READY, "C: QUIT", "S: 221 bye") as peer,
        SMTPClient(peer.endpoint(tls="implicit", tls_context=unverified())) as client,
    ):
        assert client.tls is not None
        assert not client.tls.is_verified


# Pins


@pytest.mark.parametrize("pin", [PIN, PIN.upper(), ":".join(PIN[at : at + 2] for at in range(0, 64, 2))])
@pytest.mark.parametrize("tls", ["implicit", "starttls"])
async def test_the_pinned_certificate_is_taken(pin: str, tls: str) -> None:
    opening = (Tls(), *READY) if tls == "implicit" else (*extensions("STARTTLS"), "C: STARTTLS", "S: 220 go", Tls())
    hello = () if tls == "implicit" else ("C: EHLO [127.0.0.1]", "S: 250 mx")
    async with (
        ScriptedPeer(*opening, *hello, "C: QUIT", "S: 221 bye") as peer,
        SMTPClient(peer.endpoint(tls=tls, tls_pin=pin)) as client,
    ):
        assert client.is_connected


async def test_another_certificate_than_the_pinned_one_is_refused_before_a_byte_is_sent() -> None:
    pin = "0" * 64
    async with ScriptedPeer(Tls(), LISTEN) as peer:
        with pytest.raises(TLSFailed, match=f"another certificate than the pinned one: expected .*{pin}, got {PIN}"):
            await SMTPClient(peer.endpoint(tls="implicit", tls_pin=pin)).connect()
    assert peer.heard == b""
    script = (*extensions("STARTTLS"), "C: STARTTLS", "S: 220 go", Tls(), LISTEN)
    async with ScriptedPeer(*script) as peer:
        with pytest.raises(TLSFailed, match="another certificate than the pinned one"):
            await SMTPClient(peer.endpoint(tls="starttls", tls_pin=pin)).connect()
    assert peer.heard.endswith(b"STARTTLS\r\n")


async def test_a_pin_does_not_replace_the_authority() -> None:
    pin = hashlib.sha256(ssl.PEM_cert_to_DER_cert((CERTIFICATES / "self-signed.pem").read_text("ascii"))).hexdigest()
    async with ScriptedPeer(Tls("self-signed")) as peer:
        with pytest.raises(TLSFailed, match="was not accepted"):
            await SMTPClient(peer.endpoint(tls="implicit", tls_pin=pin)).connect()
    async with (
        ScriptedPeer(Tls("self-signed"), *READY, "C: QUIT", "S: 221 bye") as peer,
        SMTPClient(peer.endpoint(tls="implicit", tls_pin=pin, tls_context=unverified())) as client,
    ):
        assert client.is_connected


# Contexts that we make


async def test_authorities_and_the_client_s_certificate_come_from_files(tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes((CERTIFICATES / "alice.pem").read_bytes() + (CERTIFICATES / "alice-key.pem").read_bytes())
    for files in ((CERTIFICATES / "alice.pem", CERTIFICATES / "alice-key.pem"), both):
        accounts = [Account("alice", "", ("alice@example.org",), certificate_name="alice")]
        async with MailServer(
            accounts,
            policy=Policy(mechanisms=("EXTERNAL",)),
            tls_context=server_context(client_certificates=True),
            implicit_tls=True,
        ) as server:
            endpoint = Endpoint(
                "localhost",
                server.smtp_port,
                tls_ca_file=authority_file(),
                tls_client_certificate=files,
                auth=External(),
            )
            async with SMTPClient(endpoint) as client:
                assert client.mechanism == "EXTERNAL"


async def test_a_file_that_is_no_certificate_is_told(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.pem"
    nothing.write_bytes(b"nothing")
    for settings in ({"tls_ca_file": nothing}, {"tls_client_certificate": nothing}):
        with pytest.raises(TLSFailed, match=r"the TLS settings for smtps://localhost:465 cannot be used"):
            await SMTPClient(Endpoint("localhost", **settings)).connect()  # type: ignore[arg-type]


async def test_the_system_s_authorities_are_the_default() -> None:
    async with ScriptedPeer(Tls()) as peer:
        with pytest.raises(TLSFailed, match="was not accepted"):
            await SMTPClient(peer.endpoint(tls="implicit", tls_context=None)).connect()


# Certificates that are refused


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
async def test_a_certificate_for_another_name_is_told_by_both_names(tls: str) -> None:
    opening = () if tls == "implicit" else (*extensions("STARTTLS"), "C: STARTTLS", "S: 220 go")
    async with ScriptedPeer(*opening, Tls("other-host")) as peer:
        endpoint = peer.endpoint(tls=tls, tls_context=None, tls_ca_file=authority_file())
        with pytest.raises(TLSFailed, match=r"it is for other\.invalid, and localhost was asked for"):
            await SMTPClient(endpoint).connect()


async def test_a_certificate_for_several_names_is_told_by_all_of_them() -> None:
    async with ScriptedPeer(Tls()) as peer:
        endpoint = Endpoint("mx.example.org", connect=peer.connect, tls_ca_file=authority_file())
        with pytest.raises(
            TLSFailed, match=r"it is for localhost, 127\.0\.0\.1, .*, and mx\.example\.org was asked for"
        ):
            await SMTPClient(endpoint).connect()


async def test_a_certificate_that_is_refused_for_another_reason_is_told_by_that() -> None:
    async with ScriptedPeer(Tls("expired")) as peer:
        endpoint = peer.endpoint(tls="implicit", tls_context=None, tls_ca_file=authority_file())
        with pytest.raises(TLSFailed, match="was not accepted: certificate has expired"):
            await SMTPClient(endpoint).connect()


@pytest.mark.parametrize("trusted", [authority_file(), NO_TEXT], ids=["verified by nobody", "for another name"])
async def test_a_certificate_with_a_name_that_is_no_text_is_refused_as_any_other(trusted: Path) -> None:
    async with MailServer(tls_context=context_with_no_text(), implicit_tls=True) as server:
        with pytest.raises(TLSFailed, match=r"was not accepted: (self-signed certificate|IP address mismatch)"):
            await SMTPClient(Endpoint("127.0.0.1", server.smtp_port, tls_ca_file=trusted)).connect()


@pytest.mark.parametrize("is_ours", [True, False])
async def test_a_certificate_that_is_trusted_and_has_a_name_that_is_no_text_cannot_be_read(is_ours: bool) -> None:
    trusted: Any = {"tls_ca_file": NO_TEXT} if is_ours else {"tls_context": ssl.create_default_context(cafile=NO_TEXT)}
    async with MailServer(tls_context=context_with_no_text(), implicit_tls=True) as server:
        endpoint = Endpoint("localhost", server.smtp_port, **trusted)
        with pytest.raises(TLSFailed, match=f"the certificate of {endpoint} cannot be read: .* can't decode byte 0xff"):
            await SMTPClient(endpoint).connect()


def test_a_runtime_that_does_not_tell_the_names_leaves_openssl_its_words() -> None:
    error = ssl.SSLCertVerificationError()
    error.verify_code = 62
    assert names_refused(error) == ()
    for chain in ([], [object()]):
        session = NewerSession()
        session._sslobj = type("Below", (), {"get_unverified_chain": lambda _, chain=chain: chain})()
        assert not _names_in_refused(session)  # type: ignore[arg-type]
    assert not _names_in_refused(object())  # type: ignore[arg-type]


def test_the_names_of_a_refused_certificate_are_shown_as_printable_text() -> None:
    class Certificate:
        def __init__(self, **told: object) -> None:
            self.told = told

        def get_info(self) -> object:
            return self.told

    names = (("DNS", "mx.example.org"), ("DNS", "evil\x1b[2J"), ("DNS", "\udcff"))
    for told, shown in (
        (Certificate(subjectAltName=names), ["mx.example.org", r"evil\x1b[2J", r"\udcff"]),
        (Certificate(subject=()), []),
    ):
        session = NewerSession()
        session._sslobj = type("Below", (), {"get_unverified_chain": lambda _, told=told: [told, Certificate()]})()
        assert _names_in_refused(session) == shown  # type: ignore[arg-type]


# Why there is no session


@pytest.mark.parametrize("reason", ["WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"])
def test_what_is_no_record_of_tls_is_told_as_plaintext(reason: str) -> None:
    error = ssl.SSLError(1, "[SSL] something")
    error.reason = reason
    assert tls_reason(error, Endpoint("pop.example.org", protocol="pop3")) == (
        'this port speaks plaintext POP3, not TLS (pop3s://pop.example.org:995; it may want tls="starttls")'
    )
    assert tls_reason(error, Endpoint("mx.example.org", tls="starttls")) == (
        "smtp+starttls://mx.example.org:587 agreed to begin TLS and goes on in the clear"
    )


def test_an_alert_is_what_the_peer_refuses_a_session_by() -> None:
    error = ssl.SSLError(1, "no matter what")
    assert alert_of(error) is None
    for reason, alert in (("TLSV1_ALERT_UNKNOWN_CA", "TLSV1_ALERT_UNKNOWN_CA"), ("WRONG_VERSION_NUMBER", None)):
        error.reason = reason
        assert alert_of(error) == alert
    assert alert_of(None) is None
    other = DeadlineExceeded("no TLS", phase="the handshake")
    other.__dict__["reason"] = "TLSV1_ALERT_UNKNOWN_CA"
    assert alert_of(other) is None


def test_any_other_reason_is_told_in_openssl_s_words() -> None:
    endpoint, error = Endpoint("mx.example.org"), ssl.SSLError("what others raise")
    assert tls_reason(error, endpoint) == f"no TLS session with {endpoint}: {error}"
    error.reason = "UNEXPECTED_EOF"
    assert tls_reason(error, endpoint) == f"no TLS session with {endpoint}: UNEXPECTED_EOF"


# Channel bindings


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_session_gives_what_there_is_to_bind_to(version: ssl.TLSVersion) -> None:
    async with ScriptedPeer(Tls(), LISTEN) as peer:
        stream = await Stream.open(peer.endpoint(tls="implicit", tls_context=limited(version)))
        session = stream.tls_session
        assert session is not None
        bindings = channel_bindings(session)
        stream.abort()
    assert bindings["tls-server-end-point"].data == server_end_point(LEAF)
    assert ("tls-unique" in bindings) is (version is ssl.TLSVersion.TLSv1_2)
    assert ("tls-exporter" in bindings) is ("tls-exporter" in ssl.CHANNEL_BINDING_TYPES)


def test_a_runtime_with_the_exporter_binds_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssl, "CHANNEL_BINDING_TYPES", ["tls-unique", "tls-exporter"])
    bindings = channel_bindings(NewerSession())  # type: ignore[arg-type]
    assert {name: binding.data for name, binding in bindings.items()} == {"tls-exporter": b"octets of tls-exporter"}


def test_a_runtime_that_knows_neither_binding_is_asked_for_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssl, "CHANNEL_BINDING_TYPES", [])
    session = NewerSession()
    session.version = lambda: "TLSv1.2"  # type: ignore[method-assign]
    assert channel_bindings(session) == {}  # type: ignore[arg-type]


# Watching a session


async def test_the_keys_of_a_session_are_logged_where_the_environment_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log = tmp_path / "keys.log"
    monkeypatch.setenv("SSLKEYLOGFILE", str(log))
    async with MailServer(tls_context=server_context(), implicit_tls=True) as server:
        endpoint = Endpoint("localhost", server.smtp_port, tls_ca_file=authority_file())
        async with SMTPClient(endpoint, transcript=Transcript()) as client:
            assert client.tls is not None
    assert "CLIENT_TRAFFIC_SECRET_0" in log.read_text("ascii")


def test_what_was_negotiated_is_a_value() -> None:
    info = TLSInfo("TLSv1.3", "TLS_AES_256_GCM_SHA384", LEAF, True)
    assert info == TLSInfo("TLSv1.3", "TLS_AES_256_GCM_SHA384", LEAF, True)
    assert client_context().verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("mx.example.org", "mx.example.org"),
        ("mx.example.org.", "mx.example.org"),
        ("192.0.2.1", "192.0.2.1"),
        ("fe80::1", "fe80::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("fe80::1%eth0.", "fe80::1"),
    ],
)
def test_a_server_knows_itself_without_a_dot_at_the_end_and_without_our_zone(host: str, name: str) -> None:
    assert server_name(Endpoint(host)) == name
