import copy
import pickle
import ssl
from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest

from mailwire import Endpoint, Password, Timeouts

SECRET = "s3cret-Zß"


# Made of its parts


@pytest.mark.parametrize(
    ("protocol", "tls", "port", "url"),
    [
        ("smtp", "implicit", 465, "smtps://example.org:465"),
        ("smtp", "starttls", 587, "smtp+starttls://example.org:587"),
        ("smtp", "none", 25, "smtp://example.org:25"),
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


@pytest.mark.parametrize("port", [-1, 65536, 10**20])
def test_a_port_that_is_none_is_refused(port: int) -> None:
    with pytest.raises(ValueError, match="a port is a number from 1 to 65535, got"):
        Endpoint("example.org", port)


@pytest.mark.parametrize(
    "settings", [{"tls": "STARTTLS"}, {"tls": "maybe"}, {"tls": None}, {"protocol": "imap"}, {"protocol": "SMTP"}]
)
@pytest.mark.parametrize("port", [0, 25])
def test_words_that_nobody_knows_are_refused(settings: dict[str, Any], port: int) -> None:
    with pytest.raises(ValueError, match="expected protocol 'smtp' or 'pop3' and tls 'implicit', 'starttls' or 'none'"):
        Endpoint("example.org", port, **settings)


@pytest.mark.parametrize(
    "host",
    [
        *("example.org", "EXAMPLE.org", "localhost", "a", "a-b.c_d.e", "example.org.", "xn--fa-hia.de", "1and1.com"),
        *("192.0.2.1", "::1", "2001:db8::1", "fe80::1%eth0", "x" * 63 + ".org", ".".join(["x" * 49] * 5)),
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


def test_a_name_of_our_own_is_checked() -> None:
    assert Endpoint("example.org", local_hostname="client.example.org").local_hostname == "client.example.org"
    assert Endpoint("example.org", local_hostname="[192.0.2.1]").local_hostname == "[192.0.2.1]"


@pytest.mark.parametrize(
    "name", ["", "a b", "a\r\nMAIL FROM:<x@y>", "a\n", "a\0", "a<", "-", "x" * 254, "[192.0.2]", "klient.exämple.org"]
)
def test_a_name_of_our_own_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"domain|address literal|ASCII"):
        Endpoint("example.org", local_hostname=name)


@pytest.mark.parametrize("control", ["\r", "\n", "\0"])
@pytest.mark.parametrize("field", ["user", "password", "authzid"])
def test_credentials_that_hold_a_line_end_or_nul_are_refused(field: str, control: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        Endpoint("example.org", auth=Password(**{"user": "bob", "password": SECRET, field: f"{SECRET}{control}x"}))
    assert SECRET not in str(caught.value)


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


def test_an_address_with_a_scope_is_shown_as_it_is() -> None:
    assert str(Endpoint("fe80::1%eth0")) == "smtps://[fe80::1%eth0]:465"
    assert str(Endpoint("192.0.2.1")) == "smtps://192.0.2.1:465"


@pytest.mark.parametrize("url", ["smtps://[::1]", "SMTPS://[::1]:465", "Smtps://[::1]:"])
def test_an_ipv6_address_stands_in_brackets(url: str) -> None:
    endpoint = Endpoint.parse(url)
    assert endpoint == Endpoint("::1")
    assert str(endpoint) == "smtps://[::1]:465"


def test_settings_add_to_a_url() -> None:
    context = ssl.create_default_context()
    endpoint = Endpoint.parse("smtp://example.org", tls_context=context, allow_cleartext_auth=True)
    assert endpoint.tls_context is context
    assert endpoint.allow_cleartext_auth


def test_credentials_that_are_given_go_before_those_of_the_url() -> None:
    assert Endpoint.parse("smtps://bob:x@example.org", auth=Password("ann", "y")).auth == Password("ann", "y")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("", "begins with one of smtps://, smtp"),
        ("://example.org", "begins with one of"),
        ("smtp:example.org", "begins with one of"),
        ("http://example.org", "begins with one of"),
        ("lmtp://example.org", "begins with one of"),
        ("smtps://bob:s3cret@[::1", "with a port up to 65535"),
        ("smtps://bob:s3cret@[fe80::zz]", "with a port up to 65535|expected a host name"),
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
        ("smtps://bob:s3/cret@example.org", "with a port up to 65535"),
        ("smtps://bob:12/s3cret@example.org", "nothing behind the host and port of"),
        ("smtps://bob:s3#cret@example.org", "with a port up to 65535|nothing behind"),
        ("smtps://bob:s3?cret@example.org", "with a port up to 65535|nothing behind"),
        ("smtps://bob:s3[cret@example.org", "with a port up to 65535"),
        ("smtps://example.org:65536", "with a port up to 65535"),
        ("smtps://example.org:x", "with a port up to 65535"),
        ("smtps://example.org:-1", "with a port up to 65535"),
        ("smtps://example.org/path", "nothing behind the host and port of smtps://example.org"),
        ("smtps://example.org?x=y", "nothing behind the host and port"),
        ("smtps://example.org#x", "nothing behind the host and port"),
        ("smtps://:s3cret@example.org", "expected a user name before the password"),
        ("smtps://@example.org", "expected a user name before the password"),
        ("smtps://", "expected a host name"),
        ("smtps://bob:s3cret@", "expected a host name"),
        ("smtps://bob:s3cret@exa%6dple.org", "expected a host name"),
    ],
)
def test_a_url_that_is_none_is_refused_and_its_password_not_shown(url: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected) as caught:
        Endpoint.parse(url)
    error: BaseException | None = caught.value
    while error is not None:
        assert "s3" not in str(error)
        assert "cret" not in str(error)
        error = error.__cause__
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("port", ["0", "00"])
def test_port_0_of_a_url_is_none(port: str) -> None:
    with pytest.raises(ValueError, match="port"):
        Endpoint.parse(f"smtps://example.org:{port}")


@pytest.mark.parametrize("encoded", ["%FF", "%C3", "%ED%A0%80"])
@pytest.mark.parametrize("url", ["smtps://{}:x@example.org", "smtps://bob:{}@example.org"])
def test_octets_that_are_no_utf_8_are_refused_and_not_guessed_at(url: str, encoded: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Endpoint.parse(url.format(encoded))


@pytest.mark.parametrize("control", ["%0D", "%0A", "%00"])
@pytest.mark.parametrize("url", ["smtps://b{}b:x@example.org", "smtps://bob:x{}@example.org"])
def test_an_encoded_line_end_or_nul_is_refused(url: str, control: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Endpoint.parse(url.format(control))


# Used


@pytest.mark.parametrize(
    ("settings", "exposed"),
    [
        ({"tls": "none"}, False),
        ({"tls": "none", "auth": Password("bob", SECRET)}, True),
        ({"tls": "none", "auth": Password("bob", SECRET), "allow_cleartext_auth": True}, False),
        ({"tls": "starttls", "auth": Password("bob", SECRET)}, False),
        ({"tls": "implicit", "auth": Password("bob", SECRET)}, False),
    ],
)
def test_credentials_are_exposed_without_tls_unless_that_was_asked_for(settings: dict[str, Any], exposed: bool) -> None:
    assert Endpoint("example.org", **settings).is_exposed is exposed


def test_a_copy_may_have_other_settings() -> None:
    endpoint = Endpoint("example.org", tls="starttls", auth=Password("bob", SECRET))
    copy = endpoint.replace(tls="none", port=25)
    assert copy == Endpoint("example.org", 25, tls="none", auth=Password("bob", SECRET))
    assert endpoint.tls == "starttls"
    with pytest.raises(ValueError, match="tls"):
        endpoint.replace(tls="maybe")


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


def test_every_phase_has_a_deadline() -> None:
    assert all(getattr(Timeouts(), field.name) > 0 for field in fields(Timeouts))
