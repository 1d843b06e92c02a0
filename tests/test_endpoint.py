"""Where a server is, how the way to it is secured, and who we are."""

import copy
import dataclasses
import pickle
from typing import Any

import pytest

from mailwire import Endpoint, Password, Timeouts

CANARY = "c4n4ry-p4ssw0rd"


@pytest.mark.parametrize(
    ("url", "protocol", "tls", "port"),
    [
        ("smtps://mail.example.org", "smtp", "implicit", 465),
        ("smtp+starttls://mail.example.org", "smtp", "starttls", 587),
        ("smtp://mail.example.org", "smtp", "none", 25),
        ("pop3s://mail.example.org", "pop3", "implicit", 995),
        ("pop3+starttls://mail.example.org", "pop3", "starttls", 110),
        ("pop3://mail.example.org", "pop3", "none", 110),
        ("SMTPS://mail.example.org/", "smtp", "implicit", 465),
        ("smtps://mail.example.org:2465", "smtp", "implicit", 2465),
    ],
)
def test_a_scheme_says_protocol_tls_and_port(url: str, protocol: str, tls: str, port: int) -> None:
    endpoint = Endpoint.parse(url)

    assert (endpoint.protocol, endpoint.tls, endpoint.port, endpoint.host) == (protocol, tls, port, "mail.example.org")
    assert endpoint.auth is None
    assert Endpoint.parse(str(endpoint)) == endpoint


def test_implicit_tls_is_the_default() -> None:
    assert Endpoint("mail.example.org") == Endpoint.parse("smtps://mail.example.org")
    assert Endpoint("mail.example.org", protocol="pop3").port == 995


@pytest.mark.parametrize(
    ("userinfo", "user", "password"),
    [
        ("me:secret", "me", "secret"),
        ("me%40example.org:p%3Aa%2Fs%25s%20w", "me@example.org", "p:a/s%s w"),
        ("m%C3%A9:gr%C3%BC%C3%9Fe", "mé", "grüße"),
        ("me:", "me", ""),
        ("me", "me", ""),
        ("me:a:b", "me", "a:b"),
        ("me@example.org:secret", "me@example.org", "secret"),
    ],
)
def test_user_and_password_are_percent_decoded(userinfo: str, user: str, password: str) -> None:
    assert Endpoint.parse(f"smtps://{userinfo}@mail.example.org").auth == Password(user, password)


def test_settings_go_with_a_url() -> None:
    timeouts = Timeouts(connect=1)
    endpoint = Endpoint.parse("smtp://a:b@mail.example.org", timeouts=timeouts, allow_cleartext_auth=True)

    assert endpoint.timeouts == timeouts
    assert endpoint.allow_cleartext_auth
    assert Endpoint.parse("smtps://a:b@h", auth=Password("c", "d")).auth == Password("c", "d")


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("::1", "smtps://[::1]:465"),
        ("fe80::1%eth0", "smtps://[fe80::1%eth0]:465"),
        ("192.0.2.1", "smtps://192.0.2.1:465"),
    ],
)
def test_addresses_are_hosts(host: str, shown: str) -> None:
    assert str(Endpoint(host)) == shown


def test_an_ipv6_address_stands_in_brackets_in_a_url() -> None:
    assert Endpoint.parse("smtps://a:b@[::1]:2525").host == "::1"


BAD_URLS = [
    "mail.example.org",
    "",
    "://mail.example.org",
    "smtp:mail.example.org",
    "http://mail.example.org",
    "imap://mail.example.org",
    "lmtp://mail.example.org",
    "smtps://",
    "smtps://me:{}@",
    "smtps://me:{}@mail.example.org:65536",
    "smtps://me:{}@mail.example.org:-1",
    "smtps://me:{}@mail.example.org:x",
    "smtps://me:{}@mail.example.org/inbox",
    "smtps://me:{}@mail.example.org?tls=none",
    "smtps://me:{}@mail.example.org#fragment",
    "smtps://me:{}/x@mail.example.org",
    "smtps://me:{}#x@mail.example.org",
    "smtps://:{}@mail.example.org",
    "smtps://me:{}@[::1",
    "smtps://me:{}@[fe80::zz]",
    "smtps://me:{}@mail.exa mple.org",
    "smtps://me:{}@mail.exa\nmple.org",
    "smtps://me:{}@mail.exa\tmple.org",
    "smtps://me:{}\r\n@mail.example.org",
    "smtps://m\u00e9:{}@mail.example.org",
    "smtps://me:{}@fa\u00df.example.org",
    "smtps:/me:{}@mail.example.org",
    "me:{}@mail.example.org",
    "me:{}://mail.example.org",
]


@pytest.mark.parametrize("url", BAD_URLS)
def test_what_is_no_url_of_a_mail_server_is_told_without_the_password(url: str) -> None:
    with pytest.raises(ValueError, match="expected") as refusal:
        Endpoint.parse(url.format(CANARY))

    error: BaseException | None = refusal.value
    while error is not None:
        assert CANARY not in f"{error!r} {error} {error.args} {vars(error)}"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


@pytest.mark.parametrize(
    "host",
    [
        "",
        " ",
        "a b",
        "a\r\nb",
        "a\0",
        "-a.example.org",
        "a..example.org",
        ".example.org",
        "fa\u00df.de",
        "\uff45xample.org",
        "exam\u00adple.org",
        "a" * 64 + ".org",
        "a." * 127 + "org",
        "fe80::1%a\r\nb",
        "fe80::1%",
        "user@example.org",
        "example.org:25",
    ],
)
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="expected a host name of ASCII"):
        Endpoint(host)


@pytest.mark.parametrize(
    "host", ["localhost", "mail.example.org.", "xn--fa-hia.de", "a_b.example.org", "a" * 63 + ".org"]
)
def test_a_host_is_a_name_in_ascii(host: str) -> None:
    assert Endpoint(host).host == host


@pytest.mark.parametrize(
    "settings",
    [
        {"port": -1},
        {"port": 65536},
        {"tls": "STARTTLS"},
        {"tls": "ssl", "port": 465},
        {"tls": ""},
        {"protocol": "imap"},
        {"protocol": "imap", "port": 143},
        {"local_hostname": "a b"},
        {"local_hostname": "a\r\nb"},
    ],
)
def test_a_setting_that_means_nothing_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"expected|from 1 to 65535"):
        Endpoint("mail.example.org", **settings)


def test_an_endpoint_is_a_value_that_never_shows_its_password() -> None:
    endpoint = Endpoint.parse(f"smtps://me:{CANARY}@mail.example.org")

    for shown in (repr(endpoint), str(endpoint), f"{endpoint}", repr(endpoint.auth)):
        assert CANARY not in shown
    assert pickle.loads(pickle.dumps(endpoint)) == copy.copy(endpoint) == endpoint
    with pytest.raises(dataclasses.FrozenInstanceError):
        endpoint.host = "other.example.org"  # type: ignore[misc]


def test_a_copy_differs_in_what_is_named() -> None:
    endpoint = Endpoint("mail.example.org", tls="starttls")

    assert endpoint.replace(port=2525) == Endpoint("mail.example.org", 2525, tls="starttls")


@pytest.mark.parametrize(("tls", "exposed"), [("none", True), ("starttls", False), ("implicit", False)])
def test_credentials_are_exposed_without_tls_unless_that_was_asked_for(tls: Any, exposed: bool) -> None:
    endpoint = Endpoint("mail.example.org", tls=tls, auth=Password("a", "b"))

    assert endpoint.is_exposed is exposed
    assert not endpoint.replace(allow_cleartext_auth=True).is_exposed
    assert not endpoint.replace(auth=None).is_exposed


def test_the_deadlines_are_those_of_rfc_5321() -> None:
    timeouts = Timeouts()

    # RFC 5321 4.5.3.2: greeting, MAIL and RCPT 5 minutes, DATA 2, a block 3, the final dot 10.
    assert (timeouts.greeting, timeouts.command, timeouts.data, timeouts.block, timeouts.verdict) == (
        300,
        300,
        120,
        180,
        600,
    )
