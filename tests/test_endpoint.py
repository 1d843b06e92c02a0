import copy
import functools
import os
import pickle
import socket
import ssl
import traceback
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import pytest

from mailwire import Anonymous, Endpoint, External, OAuthToken, Password, Preferences, Timeouts
from mailwire.sasl import Credentials, KeyCache, Mechanism, OAuthFailure, Plain
from mailwire.testing.tls import authority_file, server_context
from tests.sasl.secrecy import CANARY, assert_hidden, is_ours_to_answer_for

SECRET = "s3cret-Zß"


# Made of its parts


@pytest.mark.parametrize(
    ("protocol", "tls", "port", "url"),
    [
        ("smtp", "implicit", 465, "smtps://example.org:465"),
        ("smtp", "starttls", 587, "smtp+starttls://example.org:587"),
        ("smtp", "none", 25, "smtp://example.org:25"),
        ("lmtp", "none", 24, "lmtp://example.org:24"),
        ("lmtp", "starttls", 24, "lmtp+starttls://example.org:24"),
        ("lmtp", "implicit", 24, "lmtps://example.org:24"),
        ("pop3", "implicit", 995, "pop3s://example.org:995"),
        ("pop3", "starttls", 110, "pop3+starttls://example.org:110"),
        ("pop3", "none", 110, "pop3://example.org:110"),
    ],
)
def test_the_port_is_the_one_registered_unless_another_is_given(protocol: Any, tls: Any, port: int, url: str) -> None:
    endpoint = Endpoint("example.org", protocol=protocol, tls=tls)
    assert endpoint.port == port
    assert str(endpoint) == url
    assert Endpoint.parse(url) == endpoint
    assert Endpoint("example.org", 2525, protocol=protocol, tls=tls).port == 2525


def test_by_default_it_is_smtp_under_tls_from_the_first_byte_and_anonymous() -> None:
    endpoint = Endpoint("example.org")
    assert (endpoint.protocol, endpoint.tls, endpoint.port) == ("smtp", "implicit", 465)
    assert endpoint.auth is None
    assert not endpoint.allow_cleartext_auth
    assert endpoint.pipelining


@pytest.mark.parametrize("port", [1, 65535])
def test_the_least_and_the_greatest_port_are_taken(port: int) -> None:
    assert Endpoint("example.org", port).port == port


@pytest.mark.parametrize("port", [-1, 65536, 10**20])
def test_a_port_that_is_none_is_refused(port: int) -> None:
    with pytest.raises(ValueError, match="a port is a number from 1 to 65535, got"):
        Endpoint("example.org", port)


@pytest.mark.parametrize(
    "settings", [{"tls": "STARTTLS"}, {"tls": "maybe"}, {"tls": None}, {"protocol": "imap"}, {"protocol": "SMTP"}]
)
@pytest.mark.parametrize("port", [0, 25])
def test_words_that_nobody_knows_are_refused(settings: dict[str, Any], port: int) -> None:
    with pytest.raises(ValueError, match="expected protocol 'smtp', 'lmtp' or 'pop3' and tls 'implicit', "):
        Endpoint("example.org", port, **settings)


@pytest.mark.parametrize(
    "host",
    [
        *("example.org", "EXAMPLE.org", "localhost", "a", "a-b.c_d.e", "example.org.", "xn--fa-hia.de", "1and1.com"),
        *("192.0.2.1", "::1", "2001:db8::1", "fe80::1%eth0", "x" * 63 + ".org", ".".join(["x" * 49] * 5)),
        ".".join(["x" * 62] * 2 + ["x" * 63] * 2),
    ],
)
def test_a_host_is_a_name_in_ascii_or_an_address(host: str) -> None:
    assert Endpoint(host).host == host


@pytest.mark.parametrize(
    "host",
    [
        *("", ".", "..", ".org", "a..b", "-a.org", "a.org-", "a b", "a/b", "a:b", "a@b", "[::1]", "fe80::1%", "%eth0"),
        *("faß.de", "example。org", "\uff45xample.org", "exam\xadple.org", "x" * 64 + ".org", ".".join(["x" * 50] * 5)),
        *(f"exam{control}ple.org" for control in "\r\n\0\t\x7f"),
        *(f"example.org{control}" for control in "\r\n\0"),
        *(f"{control}example.org" for control in "\r\n\0"),
        *("fe80::1%eth0\r\nRSET", "fe80::1%\0", "192.0.2.1\n", "::1\n"),
    ],
)
def test_a_host_that_is_none_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="expected a host name of ASCII letters"):
        Endpoint(host)


@pytest.mark.parametrize("host", [f"smtps://bob:{CANARY}@example.org", f"bob:{CANARY}@example.org", "smtps://h"])
def test_a_host_that_looks_like_a_url_is_not_quoted(host: str) -> None:
    with pytest.raises(ValueError, match=r"^expected a host name of ASCII letters") as caught:
        Endpoint(host)
    assert str(caught.value).endswith(", got what looks like a URL: Endpoint.parse(url) takes one")
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    "host",
    [
        *(
            "127.1",
            "2130706433",
            "0",
            "127.0.0.1.",
            "1.2.3.4.5",
            "999.1.1.1",
            "127.0.0.01",
            "0177.0.0.1",
            "a.1",
            "a.1.",
        ),
        *("0x7f000001", "0X7F.0.0.0x1", "0x", "example.0xa"),
    ],
)
def test_a_host_that_ends_in_a_number_is_an_ipv4_address(host: str) -> None:
    told = f"^expected an IPv4 address, .* where the last part of a host is a number, got '{host}'$"
    with pytest.raises(ValueError, match=told):
        Endpoint(host)


@pytest.mark.parametrize("host", ["1.example", "1.2.3.4.a", "1a", "0xg", "a1", "x0x1", "1-1", "1_1", "1.2.3.4.5a."])
def test_a_host_may_have_numbers_elsewhere(host: str) -> None:
    assert Endpoint(host).host == host


def test_a_refused_host_is_quoted_in_part() -> None:
    with pytest.raises(ValueError, match=f"got '{'x' * 80}'$"):
        Endpoint("x" * 100_000)


def test_lmtp_keeps_away_from_the_port_of_smtp() -> None:
    with pytest.raises(ValueError, match=r"^LMTP is not spoken on port 25 \(RFC 2033 5\): a server there speaks SMTP$"):
        Endpoint("example.org", 25, protocol="lmtp")


@pytest.mark.parametrize("address", ["192.0.2.1", "::1", "fe80::1%eth0"])
def test_an_address_of_our_own_is_one(address: str) -> None:
    assert Endpoint("example.org", local_address=address).local_address == address


@pytest.mark.parametrize("address", ["", "localhost", "192.0.2", "[::1]", "192.0.2.1\n"])
def test_an_address_of_our_own_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="expected an IP address as our own"):
        Endpoint("example.org", local_address=address)


@pytest.mark.parametrize("path", ["", "run/socket", "/run/\0", "/run/\ud800"])
def test_a_path_that_is_none_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="expected an absolute path of a Unix socket"):
        Endpoint("localhost", unix_path=path)


async def connect() -> socket.socket:
    raise AssertionError("nobody connects")


@pytest.mark.parametrize("left_out", ["local_address", "unix_path", "connect", ""])
def test_an_endpoint_is_connected_to_in_one_way(left_out: str) -> None:
    ways: dict[str, Any] = {"local_address": "192.0.2.1", "unix_path": "/run/smtp", "connect": connect}
    ways.pop(left_out, None)
    told = "^expected one at most of local_address, unix_path and connect: each says how to connect$"
    with pytest.raises(ValueError, match=told):
        Endpoint("localhost", **ways)
    endpoint = Endpoint("localhost", connect=connect)
    assert endpoint.replace(connect=None, unix_path="/run/smtp").unix_path == "/run/smtp"


def test_extensions_are_ignored_by_their_names_whatever_the_case() -> None:
    endpoint = Endpoint("example.org", ignored_extensions=["chunking", "DSN"])
    assert endpoint.ignored_extensions == {"CHUNKING", "DSN"}
    assert not Endpoint("example.org").ignored_extensions
    with pytest.raises(ValueError, match=r"^ignored_extensions are a collection; one alone is \[keyword\]$"):
        Endpoint("example.org", ignored_extensions="DSN")


@pytest.mark.parametrize("choice", [True, False, "eager", None])
def test_chunking_is_a_choice(choice: Any) -> None:
    assert Endpoint("example.org", use_chunking=choice).use_chunking is choice


@pytest.mark.parametrize("choice", ["", "lazy", 0, 1, 2])
def test_a_choice_that_is_none_is_refused(choice: Any) -> None:
    with pytest.raises(ValueError, match="expected use_chunking to be"):
        Endpoint("example.org", use_chunking=choice)


def test_a_name_of_our_own_is_checked() -> None:
    assert Endpoint("example.org", local_hostname="client.example.org").local_hostname == "client.example.org"
    assert Endpoint("example.org", local_hostname="[192.0.2.1]").local_hostname == "[192.0.2.1]"


@pytest.mark.parametrize(
    "name", ["", "a b", "a\r\nMAIL FROM:<x@y>", "a\n", "a\0", "a<", "-", "x" * 254, "[192.0.2]", "klient.exämple.org"]
)
def test_a_name_of_our_own_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"domain|address literal|ASCII"):
        Endpoint("example.org", local_hostname=name)


def make_own() -> Mechanism:
    return Plain(Password("bob", SECRET))


async def provide(_failure: OAuthFailure | None) -> str:
    return SECRET


EVERY_KIND: list[Credentials] = [
    Password("bob", SECRET),
    OAuthToken("bob", "token"),
    OAuthToken("bob", provide),
    External("bob"),
    Anonymous("bob"),
    make_own,
]


@pytest.mark.parametrize("credentials", EVERY_KIND)
def test_credentials_of_every_kind_are_taken(credentials: Credentials) -> None:
    endpoint = Endpoint("example.org", auth=credentials)
    assert endpoint.auth is credentials
    assert pickle.loads(pickle.dumps(endpoint)) == endpoint
    assert SECRET not in repr(endpoint)


class Vault:
    def __repr__(self) -> str:
        return SECRET

    def unlock(self) -> Mechanism:
        return make_own()

    __call__ = unlock


@pytest.mark.parametrize(
    ("make", "shown"),
    [
        (make_own, "<function make_own>"),
        (functools.partial(Vault.unlock, Vault()), "<partial>"),
        (Vault().unlock, "<method Vault.unlock>"),
        (Vault(), "<Vault>"),
        (Plain, "<class Plain>"),
    ],
)
def test_what_makes_a_mechanism_is_shown_by_its_name_alone(make: Any, shown: str) -> None:
    assert f", auth={shown}, " in repr(Endpoint("example.org", auth=make))
    assert SECRET not in repr(Endpoint("example.org", auth=make))


def test_an_endpoint_is_shown_by_its_settings() -> None:
    class Other(Endpoint):
        pass

    shown = repr(Other("example.org", tls_pin=PIN, auth=Anonymous("bob"), unix_path="/run/smtp"))
    assert shown.endswith(
        "Other(host='example.org', port=465, protocol='smtp', tls='implicit', tls_ca_file=None, tls_pin='"
        f"{PIN}', auth=Anonymous(trace='bob'), allow_cleartext_auth=False, local_hostname=None, local_address=None, "
        "unix_path='/run/smtp', pipelining=True, ignored_extensions=frozenset(), use_chunking=None)"
    )


def test_a_function_that_makes_a_mechanism_is_not_async() -> None:
    async def make() -> Mechanism:
        return make_own()

    told = r"^expected auth to be a function that makes a mechanism, got an async function$"
    for auth in (make, functools.partial(make)):
        with pytest.raises(ValueError, match=told):
            Endpoint("example.org", auth=auth)  # type: ignore[arg-type]


@pytest.mark.parametrize("control", ["\r", "\n", "\0"])
@pytest.mark.parametrize("form", ["{}{}", "{1}{0}"])
def test_credentials_that_hold_a_line_end_or_nul_are_refused(form: str, control: str) -> None:
    text = form.format(CANARY, control)
    refused: list[tuple[str, Credentials]] = [
        ("user", Password("bob" + control, CANARY)),
        ("password", Password("bob", text)),
        ("authzid", Password("bob", CANARY, authzid="ann" + control)),
        ("user", OAuthToken("bob" + control, CANARY)),
        ("token", OAuthToken("bob", text)),
        ("authzid", OAuthToken("bob", CANARY, authzid="ann" + control)),
        ("authzid", External("ann" + control)),
        ("trace", Anonymous("bob" + control)),
    ]
    for name, credentials in refused:
        with pytest.raises(ValueError, match=f"^the {name} of an endpoint must not hold a CR, LF or NUL$") as caught:
            Endpoint("example.org", auth=credentials)
        assert_hidden(CANARY, caught.value)


def test_credentials_may_hold_any_other_character() -> None:
    printable = "".join(map(chr, range(32, 127)))
    credentials = Password(printable, printable, authzid=printable)
    assert Endpoint("example.org", auth=credentials).auth is credentials


# TLS

PIN = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    "pin",
    [
        PIN,
        PIN.upper(),
        ":".join(PIN[place : place + 2] for place in range(0, 64, 2)),
        ":".join(PIN[place : place + 2] for place in range(0, 64, 2)).upper(),
    ],
)
def test_a_pin_is_a_sha_256_in_hexadecimal_digits(pin: str) -> None:
    assert Endpoint("example.org", tls_pin=pin).tls_pin == PIN
    assert Endpoint.parse("smtps://example.org", tls_pin=pin) == Endpoint("example.org", tls_pin=PIN)


@pytest.mark.parametrize(
    "pin",
    ["", ":", PIN[:-1], PIN + "0", PIN[:-1] + "g", PIN + "\n", " " + PIN, PIN[:40], "sha256/" + PIN, "\u0660" * 64],
)
def test_a_pin_that_is_none_is_refused(pin: str) -> None:
    with pytest.raises(ValueError, match="expected a SHA-256 in 64 hexadecimal digits as the pin, got"):
        Endpoint("example.org", tls_pin=pin)


def test_a_refused_pin_is_quoted_in_part() -> None:
    with pytest.raises(ValueError, match=f"as the pin, got '{'x' * 100}'$"):
        Endpoint("example.org", tls_pin="x" * 100_000)


@pytest.mark.parametrize(
    "settings",
    [
        {"tls_context": ssl.create_default_context()},
        {"tls_ca_file": "a.pem"},
        {"tls_client_certificate": "a.pem"},
        {"tls_pin": "0" * 64},
    ],
)
def test_without_tls_there_is_nothing_to_set_for_it(settings: Any) -> None:
    (name,) = settings
    told = f'^with tls="none" there is nothing for {name} to be used for: leave it out, or None$'
    with pytest.raises(ValueError, match=told):
        Endpoint("localhost", tls="none", **settings)
    with pytest.raises(ValueError, match=told):
        Endpoint.parse("smtp://localhost", **settings)
    endpoint = Endpoint("localhost", **settings)
    with pytest.raises(ValueError, match=told):
        endpoint.replace(tls="none")
    assert endpoint.replace(tls="none", **dict.fromkeys(settings)) == Endpoint("localhost", tls="none")


@pytest.mark.parametrize("settings", [{"tls_ca_file": "a.pem"}, {"tls_client_certificate": "a.pem"}])
def test_a_context_of_the_callers_says_all_of_it_itself(settings: dict[str, Any]) -> None:
    context = ssl.create_default_context()
    said = "^with a tls_context, authorities and the client's certificate are set there$"
    with pytest.raises(ValueError, match=said):
        Endpoint("example.org", tls_context=context, **settings)
    endpoint = Endpoint("example.org", tls_context=context, tls_pin=PIN)
    assert endpoint.make_tls_context() is context


def test_by_default_certificates_and_names_are_verified_and_tls_is_1_2_at_least() -> None:
    context = Endpoint("example.org").make_tls_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert Endpoint("example.org").make_tls_context() is not context


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, name: str = "localhost") -> ssl.SSLObject:
    """Let `client` and `server` shake hands in memory; return the server's side of the session."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client_side = client.wrap_bio(to_client, to_server, server_hostname=name)
    server_side = server.wrap_bio(to_server, to_client, server_side=True)
    waiting = [client_side, server_side]
    while waiting:
        side = waiting.pop(0)
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            waiting.append(side)
    return server_side


def test_a_file_of_authorities_takes_the_place_of_the_systems() -> None:
    for path in (authority_file(), str(authority_file())):
        context = Endpoint("localhost", tls_ca_file=path).make_tls_context()
        assert len(context.get_ca_certs()) == 1
        assert context.check_hostname
        assert shake_hands(context, server_context()).version()
        with pytest.raises(ssl.SSLCertVerificationError):
            shake_hands(context, server_context("self-signed"))
        with pytest.raises(ssl.SSLCertVerificationError):
            shake_hands(context, server_context("other-host"))
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(Endpoint("localhost").make_tls_context(), server_context())


ALICE = authority_file().with_name("alice.pem")
ALICES_KEY = authority_file().with_name("alice-key.pem")


@pytest.mark.parametrize("form", ["one file", "two files", "two files, by their names"])
def test_a_client_shows_its_certificate_to_a_server_that_asks(form: str, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_text(ALICE.read_text() + ALICES_KEY.read_text())
    certificate: Any = {
        "one file": both,
        "two files": (ALICE, ALICES_KEY),
        "two files, by their names": (str(ALICE), str(ALICES_KEY)),
    }[form]
    endpoint = Endpoint("localhost", tls_ca_file=authority_file(), tls_client_certificate=certificate)
    session = shake_hands(endpoint.make_tls_context(), server_context(client_certificates=True))
    shown = session.getpeercert()
    assert shown is not None
    assert (("commonName", "alice"),) in shown["subject"]


def test_a_client_without_a_certificate_shows_none() -> None:
    endpoint = Endpoint("localhost", tls_ca_file=authority_file())
    assert not shake_hands(endpoint.make_tls_context(), server_context(client_certificates=True)).getpeercert()


# A certificate that nobody vouches for, and its key under the password "sesame".
TIM = """\
-----BEGIN CERTIFICATE-----
MIIBcjCCARmgAwIBAgIUS45mjplYSh3s7WE74L8LwSuaNXgwCgYIKoZIzj0EAwIw
DjEMMAoGA1UEAwwDdGltMCAXDTI2MTEyNTA1MTIwM1oYDzIxMjYxMTAxMDUxMjAz
WjAOMQwwCgYDVQQDDAN0aW0wWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAReijY3
QSCBG7NtQE2cseX685rDfDhiI5Pv2C3zVrjRwgTuiBsOEHzEE3jQnwrX9PyPTf+v
j8gNDG1ESAbhSnQro1MwUTAdBgNVHQ4EFgQU7nfmhKsGjvro+S1PyBEw+ghwHLYw
HwYDVR0jBBgwFoAU7nfmhKsGjvro+S1PyBEw+ghwHLYwDwYDVR0TAQH/BAUwAwEB
/zAKBggqhkjOPQQDAgNHADBEAiBD+sYFQjfsMkSCEYXwGp1aCq4CwSANGhstp9VO
7jcZVAIgY3syDgo9RDlS97cuStmhQuKhauhy0gTqyMk9vtboApY=
-----END CERTIFICATE-----
"""
TIMS_KEY = """\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAgg7vti62DZxQICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEECyoDkJPqjcfKJpPLCz7UAgEgZBn
Vl/uOOqm8zdB5BI9aAGlql8tTeudg30r2tSuASdWlvB5xUo6Ref7K8r1ph6UPtnv
IcT28qW92ofK/wdMPKnc1RKEvW4+jRv0B5D45aP8h9tp/iK5U3XxVlV093cH7P4y
t5cCd4PaztvIyDtS91h9IXcXzkbzqVdNj6+rCsa4FjGZ8x1zyJjiTv4IHheB1R8=
-----END ENCRYPTED PRIVATE KEY-----
"""


class OtherPath(os.PathLike[bytes]):
    def __init__(self, octets: bytes) -> None:
        self.octets = octets

    def __fspath__(self) -> bytes:
        return self.octets


def tim(path: Path, password: str) -> Endpoint:
    (path / "tim.pem").write_text(TIM)
    (path / "key.pem").write_text(TIMS_KEY)
    return Endpoint("localhost", tls_client_certificate=(path / "tim.pem", path / "key.pem", password))


def test_the_key_of_a_client_may_have_a_password(tmp_path: Path) -> None:
    # That it was loaded shows itself by the certificate that is sent: the server finds nobody who vouches for it.
    endpoint = tim(tmp_path, "sesame")
    context = endpoint.make_tls_context()
    context.load_verify_locations(authority_file())
    with pytest.raises(ssl.SSLCertVerificationError, match=r"self.signed certificate"):
        shake_hands(context, server_context(client_certificates=True))


def test_the_password_of_a_key_is_never_shown(tmp_path: Path) -> None:
    endpoint = tim(tmp_path, CANARY)
    with pytest.raises(ssl.SSLError) as caught:
        endpoint.make_tls_context()
    assert_hidden(CANARY, endpoint, str(endpoint), caught.value)


@pytest.mark.parametrize("certificate", [("c", "k", CANARY, "d"), ("c", 1, CANARY), [CANARY], CANARY.encode()])
def test_what_is_no_certificate_is_refused_and_its_password_not_shown(certificate: Any) -> None:
    with pytest.raises(ValueError, match=r"^expected tls_client_certificate to be a path, or two of them") as caught:
        Endpoint("localhost", tls_client_certificate=certificate)
    # The __init__ of a dataclass, which nobody has written, holds what it was given.
    summary = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [f"{frame.locals}" for frame in summary.stack if frame.filename.endswith("/mailwire/endpoint.py")]
    assert len(ours) == 2
    assert not any(CANARY in shown for shown in ours)


@pytest.mark.parametrize("password", [f"{CANARY}\udcff", CANARY + "x" * 1000, CANARY + "\u00e4" * 500])
def test_a_password_that_cannot_be_one_of_a_key_is_refused_and_not_shown(password: str) -> None:
    told = r"^the password in tls_client_certificate must be text that UTF-8 can express, of 1024 octets at most$"
    with pytest.raises(ValueError, match=told) as caught:
        Endpoint("localhost", tls_client_certificate=("c", "k", password))
    summary = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [f"{frame.locals}" for frame in summary.stack if frame.filename.endswith("/mailwire/endpoint.py")]
    assert not any(CANARY in shown for shown in ours)
    assert caught.value.__context__ is None


def test_a_password_of_1024_octets_may_be_one_of_a_key(tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLError):
        tim(tmp_path, "x" * 1024).make_tls_context()


@pytest.mark.parametrize("path", ["", "a\0b", "/x\ud800", OtherPath(b"")])
def test_what_can_be_no_path_is_refused(path: Any) -> None:
    # The ssl module takes an empty one for none, and trusts the system's authorities.
    for setting, settings in (
        ("tls_ca_file", {"tls_ca_file": path}),
        ("each path in tls_client_certificate", {"tls_client_certificate": path}),
        ("each path in tls_client_certificate", {"tls_client_certificate": ("c.pem", path)}),
        ("each path in tls_client_certificate", {"tls_client_certificate": (path, "k.pem", "sesame")}),
    ):
        with pytest.raises(ValueError, match=f"^expected {setting} to be a path that is not empty, that the file sys"):
            Endpoint("localhost", **settings)


def test_a_path_may_be_of_octets() -> None:
    path: Any = OtherPath(str(authority_file()).encode())
    assert Endpoint("localhost", tls_ca_file=path).make_tls_context().get_ca_certs()


def test_nobody_is_asked_for_the_password_of_a_key(tmp_path: Path) -> None:
    # OpenSSL would ask at the terminal, or take standard input for the answer.
    tim(tmp_path, "sesame")
    (both := tmp_path / "both.pem").write_text(TIM + TIMS_KEY)
    told = r"^the key of the client's certificate is under a password, and none was given with it$"
    for without in ((tmp_path / "tim.pem", tmp_path / "key.pem"), both):
        with pytest.raises(ssl.SSLError, match=told) as caught:
            Endpoint("localhost", tls_client_certificate=without).make_tls_context()
        assert caught.value.errno == ssl.SSL_ERROR_SSL


def test_files_that_cannot_be_read_are_errors_when_the_context_is_made(tmp_path: Path) -> None:
    missing, garbage = tmp_path / "missing.pem", tmp_path / "garbage.pem"
    garbage.write_text("hello")
    for setting in ("tls_ca_file", "tls_client_certificate"):
        settings: dict[str, Any] = {setting: missing}
        with pytest.raises(FileNotFoundError):
            Endpoint("localhost", **settings).make_tls_context()
        settings = {setting: garbage}
        with pytest.raises(ssl.SSLError):
            Endpoint("localhost", **settings).make_tls_context()


# Made of a URL


def test_a_url_has_it_all() -> None:
    endpoint = Endpoint.parse("smtps://bob:sec:ret@mail.example.org:2465/")
    assert endpoint == Endpoint("mail.example.org", 2465, auth=Password("bob", "sec:ret"))


def test_what_stands_for_itself_is_percent_encoded() -> None:
    endpoint = Endpoint.parse("pop3s://b%40b:%2F%3a%25%20%C3%9F@example.org")
    assert endpoint.auth == Password("b@b", "/:% ß")


@pytest.mark.parametrize(
    ("given", "user", "password"),
    [
        ("bob", "bob", ""),
        ("bob:", "bob", ""),
        ("m%C3%A9:gr%C3%BC%C3%9Fe", "mé", "grüße"),
        ("bob@example.org:secret", "bob@example.org", "secret"),
        ("bob:a:b", "bob", "a:b"),
    ],
)
def test_a_user_name_may_stand_with_or_without_a_password(given: str, user: str, password: str) -> None:
    assert Endpoint.parse(f"smtps://{given}@example.org").auth == Password(user, password)


@pytest.mark.parametrize(
    ("given", "host"),
    [
        ("[fe80::1%25eth0]", "fe80::1%eth0"),  # RFC 6874 2
        ("[fe80::1%eth0]", "fe80::1%eth0"),
        ("[FE80::A%25En0.2]", "fe80::a%En0.2"),  # names of interfaces differ by their case
        ("[fe80::1%2525]", "fe80::1%25"),
        ("[fe80::1%25250]", "fe80::1%250"),
        ("[::ffff:192.0.2.1]", "::ffff:192.0.2.1"),
        ("[2500::A]", "2500::a"),
    ],
)
def test_an_address_in_a_url_may_have_a_zone(given: str, host: str) -> None:
    endpoint = Endpoint.parse(f"smtps://{given}:26")
    assert endpoint == Endpoint(host, 26)
    assert Endpoint.parse(str(endpoint)) == endpoint
    by_path = Endpoint.parse(f"lmtp+unix://{given}/run/lmtp")
    assert by_path.host == host
    assert Endpoint.parse(str(by_path)) == by_path


def test_an_address_with_a_zone_is_shown_as_a_url_has_it() -> None:
    assert str(Endpoint("fe80::1%eth0")) == "smtps://[fe80::1%25eth0]:465"
    assert str(Endpoint("192.0.2.1")) == "smtps://192.0.2.1:465"


@pytest.mark.parametrize(
    "place",
    [
        *(
            "mail.example.org[::1]",
            "x[::1]:25",
            "[::1]x:25",
            "[::1]x",
            "[::1]:25:26",
            "[::1]]",
            "[[::1]",
            "[::1",
            "::1",
        ),
        *("[::1]:+25", "example.org:2_5", "example.org:\u0662", "example.org:00025:", "example.org:000025"),
    ],
)
def test_what_stands_around_a_host_is_not_passed_over(place: str) -> None:
    expected = "with a port from 1 to 65535$" if place.isascii() else "all but printable ASCII percent-encoded$"
    with pytest.raises(ValueError, match=f"^expected smtps://user:password@host:port, {expected}"):
        Endpoint.parse(f"smtps://{place}")


@pytest.mark.parametrize(
    "address", ["", "v1.abc", "192.0.2.1", "example.org", "::g", "fe80::1%", "fe80::1%25", "%25eth0"]
)
def test_nothing_but_an_ipv6_address_stands_in_brackets(address: str) -> None:
    with pytest.raises(ValueError, match=r"^expected an IPv6 address between the brackets of smtps://\[\.\.\.\]$"):
        Endpoint.parse(f"smtps://[{address}]")


@pytest.mark.parametrize(("port", "number"), [("", 25), ("00025", 25), ("25", 25), ("1", 1), ("65535", 65535)])
def test_a_port_may_begin_with_noughts_or_be_left_out(port: str, number: int) -> None:
    assert Endpoint.parse(f"smtp://example.org:{port}").port == number


def test_a_host_is_written_in_small_letters() -> None:
    assert Endpoint.parse("smtps://Mail.EXAMPLE.org").host == "mail.example.org"


def test_brackets_in_a_password_are_none_of_an_address() -> None:
    assert Endpoint.parse("smtps://bob:[::1]@example.org").auth == Password("bob", "[::1]")


@pytest.mark.parametrize("url", ["smtps://[::1]", "SMTPS://[::1]:465", "Smtps://[::1]:"])
def test_an_ipv6_address_stands_in_brackets(url: str) -> None:
    endpoint = Endpoint.parse(url)
    assert endpoint == Endpoint("::1")
    assert str(endpoint) == "smtps://[::1]:465"


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("lmtp+unix:///run/dovecot/lmtp", "localhost", "/run/dovecot/lmtp"),
        ("smtps+unix://mail.example.org/run/a%20b%3F", "mail.example.org", "/run/a b?"),
        ("pop3+starttls+unix:///run/caf%C3%A9", "localhost", "/run/café"),
        ("lmtp+unix://[::1]/run/%FF", "::1", "/run/\udcff"),
    ],
)
def test_a_url_may_lead_to_a_unix_socket(url: str, host: str, path: str) -> None:
    endpoint = Endpoint.parse(url)
    assert (endpoint.host, endpoint.unix_path) == (host, path)
    assert str(endpoint) == url
    assert Endpoint.parse(url.replace("lmtp+unix", "LMTP+UNIX")) == endpoint


def test_a_url_of_a_unix_socket_may_have_credentials() -> None:
    endpoint = Endpoint.parse("smtp+unix://bob:x@/run/socket")
    assert endpoint.auth == Password("bob", "x")
    assert str(endpoint) == "smtp+unix:///run/socket"


def test_settings_add_to_a_url() -> None:
    context = ssl.create_default_context()
    endpoint = Endpoint.parse("smtps://example.org", tls_context=context, allow_cleartext_auth=True)
    assert endpoint.tls_context is context
    assert endpoint.allow_cleartext_auth


def test_credentials_that_are_given_go_before_those_of_the_url() -> None:
    assert Endpoint.parse("smtps://bob:x@example.org", auth=Password("ann", "y")).auth == Password("ann", "y")


def locals_of(error: BaseException) -> str:
    """Return what a traceback may show of the frames of ours behind an error."""
    summary = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "".join(f"{frame.locals}" for frame in summary.stack if is_ours_to_answer_for(frame.filename))


ENCODED = "'/', '[?]' and '#' in a user name or password must be percent-encoded"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("", "begins with one of smtps://, smtp"),
        ("://example.org", "begins with one of"),
        ("smtp:example.org", "begins with one of"),
        ("http://example.org", "begins with one of"),
        ("imap://example.org", "begins with one of"),
        ("imap+unix:///run/socket", "begins with one of"),
        ("+unix:///run/socket", "begins with one of"),
        ("lmtp+unix://s3cret:24/run/socket", r"expected lmtp\+unix:///path"),
        ("lmtp+unix:///run/s3?cret", r"expected lmtp\+unix:///path"),
        ("lmtp+unix:///run/s3#cret", r"expected lmtp\+unix:///path"),
        ("lmtp+unix://", "expected an absolute path"),
        ("lmtp+unix:///run/%00", "expected an absolute path"),
        ("lmtp+unix://bob:12/s3cret@localhost", f"^{ENCODED}, and '@' in a path$"),
        ("lmtp+unix://user:my@s3cret/word@localhost/run/lmtp", f"^{ENCODED}, and '@' in a path$"),
        ("lmtp+unix:///run/s3@cret", f"^{ENCODED}, and '@' in a path$"),
        ("smtps://bob:s3cret@[::1", "with a port from 1 to 65535"),
        ("smtps://bob:s3cret@[fe80::zz]", "expected an IPv6 address between the brackets of smtps://"),
        ("smtps://bob:s3cret@exa\tmple.org", "all but printable ASCII percent-encoded"),
        ("smtps://bob:s3cret@faß.de", "all but printable ASCII percent-encoded"),
        ("smtps://b\u00e9b:s3cret@example.org", "all but printable ASCII percent-encoded"),
        ("example.org", "begins with one of"),
        (f"bob:{SECRET}@example.org", "begins with one of"),
        (f"imaps://bob:{SECRET}@example.org", "begins with one of"),
        (f"smtps:/bob:{SECRET}@example.org", "begins with one of"),
        (f"{SECRET}://example.org", "begins with one of"),
        (f"smtps://bob:{SECRET}@example.org", "all but printable ASCII percent-encoded"),
        ("smtps://bob:s3cret\r\n@example.org", "all but printable ASCII percent-encoded"),
        ("smtps://exam\nple.org", "all but printable ASCII percent-encoded"),
        ("smtps://example.org\n", "all but printable ASCII percent-encoded"),
        ("smtps://exam ple.org", "all but printable ASCII percent-encoded"),
        ("smtps://bob:s3/cret@example.org", f"^{ENCODED}$"),
        ("smtps://bob:s3://cret@example.org", f"^{ENCODED}$"),
        ("smtps://bob:12/s3cret@example.org", f"^{ENCODED}$"),
        ("smtps://bob:s3#cret@example.org", f"^{ENCODED}$"),
        ("smtps://bob:s3?cret@example.org", f"^{ENCODED}$"),
        ("smtps://user:my@s3cret/word@example.org", f"^{ENCODED}$"),
        ("smtps://user:my@s3cret?word@example.org", f"^{ENCODED}$"),
        ("smtps://user:my@s3cret#word@example.org", f"^{ENCODED}$"),
        ("smtps://user:my@s3cret:12/@example.org", f"^{ENCODED}$"),
        (
            "smtps://example.org:12/s3cret",
            f"^expected nothing behind the host and port of smtps://example.org; {ENCODED}$",
        ),
        ("smtps://example.org:65536", "with a port from 1 to 65535"),
        ("smtps://example.org:x", "with a port from 1 to 65535"),
        ("smtps://example.org:-1", "with a port from 1 to 65535"),
        ("smtps://example.org/path", "nothing behind the host and port of smtps://example.org"),
        ("smtps://example.org?x=y", "nothing behind the host and port"),
        ("smtps://example.org#x", "nothing behind the host and port"),
        ("smtps://:s3cret@example.org", "^expected a user name before the password in smtps://user:password@host$"),
        ("smtps://@example.org", "expected a user name before the password"),
        ("smtps://", "expected a host name"),
        ("smtps://bob:s3cret@", "expected a host name"),
        ("smtps://bob:s3cret@exa%6dple.org", "expected a host name"),
    ],
)
def test_a_url_that_is_none_is_refused_and_its_password_not_shown(url: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected) as caught:
        Endpoint.parse(url)
    assert "s3" not in str(caught.value)
    assert "cret" not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert "cret" not in locals_of(caught.value)


@pytest.mark.parametrize("port", ["0", "00"])
def test_port_0_of_a_url_is_none(port: str) -> None:
    with pytest.raises(ValueError, match="port"):
        Endpoint.parse(f"smtps://example.org:{port}")


@pytest.mark.parametrize("encoded", ["%FF", "%C3", "%ED%A0%80"])
@pytest.mark.parametrize("url", ["smtps://{}:x@example.org", "smtps://bob:{}@example.org"])
def test_octets_that_are_no_utf_8_are_refused_and_not_guessed_at(url: str, encoded: str) -> None:
    with pytest.raises(ValueError, match=r"^expected user and password in UTF-8, percent-encoded$") as caught:
        Endpoint.parse(url.format(encoded))
    # The error of a decoder would hold the octets: the password.
    assert type(caught.value) is ValueError
    assert caught.value.__context__ is None
    assert encoded not in locals_of(caught.value)


@pytest.mark.parametrize("make", [Endpoint.of, Endpoint.parse])
@pytest.mark.parametrize("given", [CANARY.encode(), [CANARY], Password("bob", CANARY)])
def test_what_is_no_text_is_refused_and_not_shown(make: Any, given: object) -> None:
    with pytest.raises(ValueError, match=f"URL as text, got a value of the type {type(given).__name__}$") as caught:
        make(given)
    assert_hidden(CANARY, caught.value)


def test_an_endpoint_is_itself_and_not_copied() -> None:
    endpoint = Endpoint("example.org")
    assert Endpoint.of(endpoint) is endpoint
    assert Endpoint.of("smtps://example.org") == endpoint


@pytest.mark.parametrize("control", ["%0D", "%0A", "%00"])
@pytest.mark.parametrize("url", ["smtps://b{}b:x@example.org", "smtps://bob:x{}@example.org"])
def test_an_encoded_line_end_or_nul_is_refused(url: str, control: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Endpoint.parse(url.format(control))


# Used


def test_the_choice_of_the_mechanism_is_ours_unless_the_caller_has_preferences() -> None:
    assert Endpoint("example.org").auth_preferences == Preferences()
    preferences = Preferences(mechanisms=["SCRAM-SHA-256"], key_cache=KeyCache())
    assert Endpoint("example.org", auth_preferences=preferences).auth_preferences is preferences


def test_a_copy_may_have_other_settings() -> None:
    endpoint = Endpoint("example.org", tls="starttls", auth=Password("bob", SECRET))
    copy = endpoint.replace(tls="none", port=25)
    assert copy == Endpoint("example.org", 25, tls="none", auth=Password("bob", SECRET))
    assert endpoint.tls == "starttls"
    with pytest.raises(ValueError, match="tls"):
        endpoint.replace(tls="maybe")


@pytest.mark.parametrize(
    ("old", "settings", "new"),
    [
        ("smtps://h", {"tls": "starttls"}, "smtp+starttls://h:587"),
        ("smtps://h", {"protocol": "pop3"}, "pop3s://h:995"),
        ("smtps://h:465", {"protocol": "pop3", "tls": "none"}, "pop3://h:110"),
        ("smtps://h", {"tls": "starttls", "port": 465}, "smtp+starttls://h:465"),
        ("smtps://h", {"tls": "starttls", "port": 0}, "smtp+starttls://h:587"),
        ("smtps://h:2465", {"tls": "starttls"}, "smtp+starttls://h:2465"),
        ("smtps://h:995", {"protocol": "pop3"}, "pop3s://h:995"),
        ("smtps://h:587", {"host": "g"}, "smtps://g:587"),
        ("smtps://h", {"host": "g"}, "smtps://g:465"),
        ("smtp://h", {"protocol": "lmtp"}, "lmtp://h:24"),
    ],
)
def test_the_registered_port_changes_with_what_it_is_registered_for(
    old: str, settings: dict[str, Any], new: str
) -> None:
    assert str(Endpoint.parse(old).replace(**settings)) == new


def test_an_endpoint_cannot_be_changed() -> None:
    endpoint = Endpoint("example.org")
    with pytest.raises(FrozenInstanceError):
        endpoint.host = "example.net"  # type: ignore[misc]


def test_the_password_is_not_shown() -> None:
    endpoint = Endpoint("example.org", auth=Password("bob", SECRET))
    assert SECRET not in repr(endpoint)
    assert SECRET not in str(endpoint)
    assert "bob" in repr(endpoint)
    assert "bob" not in str(endpoint)


def test_an_endpoint_can_be_pickled() -> None:
    endpoint = Endpoint("example.org", auth=Password("bob", SECRET), timeouts=Timeouts(connect=1))
    assert pickle.loads(pickle.dumps(endpoint)) == copy.copy(endpoint) == endpoint


def test_the_deadlines_are_those_of_the_standard() -> None:
    # RFC 5321 4.5.3.2.
    timeouts = Timeouts()
    assert (timeouts.greeting, timeouts.command, timeouts.data) == (300, 300, 120)
    assert (timeouts.block, timeouts.verdict) == (180, 600)
    assert (timeouts.minimum_rate, timeouts.rate_period) == (512, 60)


def test_a_provider_of_tokens_has_half_a_minute() -> None:
    assert Timeouts().token == 30


def test_every_phase_has_a_deadline() -> None:
    assert all(getattr(Timeouts(), field.name) > 0 for field in fields(Timeouts))
