import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailwire.pop3 import Capabilities, Expire, LoginDelay, Response

# RFC 2449 6, and what servers of all ages make of it.
DOVECOT = b"CAPA\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nPIPELINING\r\nAUTH-RESP-CODE\r\nSTLS\r\nUSER\r\nSASL PLAIN LOGIN\r\n"
EXAMPLE = (
    b"TOP\r\nUSER\r\nSASL CRAM-MD5 KERBEROS_V4\r\nRESP-CODES\r\nLOGIN-DELAY 900\r\nPIPELINING\r\nEXPIRE 60\r\nUIDL\r\n"
    b"IMPLEMENTATION Shlemazle-Plotz-v302\r\n"
)


def announced(body: bytes) -> Capabilities:
    return Capabilities.parse(Response(True, b"Capability list follows", body))


def test_a_capability_is_a_word_and_its_parameters() -> None:
    capabilities = announced(EXAMPLE)
    assert capabilities["SASL"] == ("CRAM-MD5", "KERBEROS_V4")
    assert capabilities["PIPELINING"] == ()
    assert capabilities["IMPLEMENTATION"] == ("Shlemazle-Plotz-v302",)
    assert capabilities.number("LOGIN-DELAY") == 900
    assert capabilities.number("EXPIRE") == 60
    assert capabilities.number("UIDL") is None
    assert len(capabilities) == 9
    assert list(announced(DOVECOT))[:3] == ["CAPA", "TOP", "UIDL"]


def test_case_does_not_count() -> None:
    capabilities = announced(b"Pipelining\r\nsasl plain Login\r\n")
    assert "PIPELINING" in capabilities
    assert "pipelining" in capabilities
    assert capabilities["Sasl"] == ("plain", "Login")
    assert capabilities.mechanisms == ("PLAIN", "LOGIN")


def test_the_mechanisms_keep_the_servers_order_and_are_none_where_none_is_told() -> None:
    assert announced(DOVECOT).mechanisms == ("PLAIN", "LOGIN")
    assert announced(b"SASL\r\n").mechanisms == ()
    assert announced(b"USER\r\n").mechanisms == ()
    assert Capabilities().mechanisms == ()


def test_a_capability_that_is_told_twice_has_the_parameters_of_both() -> None:
    assert announced(b"SASL PLAIN\r\nSASL LOGIN PLAIN\r\nSASL=SCRAM-SHA-1\r\n").mechanisms == (
        "PLAIN",
        "LOGIN",
        "SCRAM-SHA-1",
    )


@pytest.mark.parametrize(
    "junk", [b"", b" ", b"\t", b"\0", b"-", b"=PLAIN", b"\xff\xfe", "登录".encode("gbk"), b"+OK", b"..", b"\x1b[2J"]
)
def test_a_line_that_cannot_be_read_is_an_offer_not_made(junk: bytes) -> None:
    assert dict(announced(b"TOP\r\n" + junk + b"\r\nUIDL\r\n")) == {"TOP": (), "UIDL": ()}


@pytest.mark.parametrize("delay", [b"", b"abc", b"-1", b"1_0", "١٢٣".encode(), b"9" * 5000])
def test_a_parameter_that_is_no_number_is_not_read_as_one(delay: bytes) -> None:
    assert announced(b"LOGIN-DELAY " + delay + b"\r\n").number("LOGIN-DELAY") is None


def test_an_empty_listing_announces_nothing() -> None:
    assert dict(announced(b"")) == {}
    assert repr(announced(b"")) == "Capabilities({})"


def test_the_text_of_the_first_line_announces_nothing() -> None:
    assert dict(Capabilities.parse(Response(True, b"PIPELINING STLS", b"TOP\r\n"))) == {"TOP": ()}


@given(st.binary(max_size=200) | st.lists(st.binary(max_size=10)).map(b"\r\n".join))
@settings(deadline=None)
def test_whatever_is_announced_can_be_read_and_printed(body: bytes) -> None:
    capabilities = announced(body)
    assert repr(capabilities).isprintable()
    assert all(name == name.upper() and name.isascii() for name in capabilities)
    assert all(word in "".join(capabilities["SASL"]).upper() for word in capabilities.mechanisms)
    assert (capabilities.implementation or "").isprintable()
    assert capabilities.login_delay is None or capabilities.login_delay.seconds >= 0
    assert capabilities.expire is None or (capabilities.expire.days or 0) >= 0


def test_what_is_announced_can_be_asked_by_name() -> None:
    offered = announced(
        b"TOP\r\nUSER\r\nUIDL\r\nSTLS\r\nPIPELINING\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nUTF8 USER\r\nLANG\r\n"
    )
    for capabilities, is_offered in ((offered, True), (announced(b"SASL PLAIN\r\n"), False)):
        assert [
            *(capabilities.top, capabilities.user, capabilities.uidl, capabilities.stls, capabilities.pipelining),
            *(capabilities.resp_codes, capabilities.auth_resp_code, capabilities.utf8, capabilities.utf8_user),
            capabilities.lang,
        ] == [is_offered] * 10
    assert (announced(b"UTF8\r\n").utf8, announced(b"UTF8\r\n").utf8_user) == (True, False)


def test_a_misspelt_capability_is_an_offer_not_made() -> None:
    # pop.km.ru.
    capabilities = announced(b"TOP\r\n\r\nRESP-CODE\r\n  \r\nPIPELINED\r\nIMPLEMENTATION fast_pop\r\n")
    assert not capabilities.resp_codes
    assert not capabilities.pipelining
    assert capabilities.top
    assert capabilities.implementation == "fast_pop"


@pytest.mark.parametrize(
    ("line", "delay"),
    [
        (b"LOGIN-DELAY 300", LoginDelay(300)),
        (b"login-delay 900 user", LoginDelay(900, is_per_user=True)),
        (b"LOGIN-DELAY 0", LoginDelay(0)),
        (b"LOGIN-DELAY 60\r\nLOGIN-DELAY 300", LoginDelay(300)),
        (b"LOGIN-DELAY", None),
        (b"LOGIN-DELAY USER", None),
        (b"LOGIN-DELAY -1", None),
        (b"LOGIN-DELAY 1_0", None),
        (b"LOGIN-DELAY 9999999999", None),
        (b"LOGIN-DELAY " + "١٢٣".encode(), None),
        (b"TOP", None),
    ],
)
def test_the_time_between_logins_is_told_in_seconds(line: bytes, delay: LoginDelay | None) -> None:
    assert announced(line + b"\r\n").login_delay == delay


@pytest.mark.parametrize(
    ("line", "expire"),
    [
        (b"EXPIRE 60", Expire(60)),
        (b"EXPIRE 0", Expire(0)),
        (b"EXPIRE NEVER", Expire(None)),
        (b"expire never", Expire(None)),
        # Zimbra, before the login.
        (b"EXPIRE 31 USER", Expire(31, is_per_user=True)),
        (b"EXPIRE NEVER USER", Expire(None, is_per_user=True)),
        (b"EXPIRE 31\r\nEXPIRE NEVER\r\nEXPIRE 7", Expire(7)),
        (b"EXPIRE", None),
        (b"EXPIRE USER", None),
        (b"EXPIRE -1", None),
        (b"TOP", None),
    ],
)
def test_how_long_mail_is_kept_is_told_in_days(line: bytes, expire: Expire | None) -> None:
    assert announced(line + b"\r\n").expire == expire


def test_what_a_server_calls_itself_is_made_printable() -> None:
    assert announced(b"IMPLEMENTATION Shlemazle-Plotz v302 \x1b[2J\xe9\r\n").implementation == (
        "Shlemazle-Plotz v302 \\x1b[2J\\xe9"
    )
    assert announced("IMPLEMENTATION schön\r\n".encode()).implementation == "schön"
    assert announced(b"IMPLEMENTATION\r\n").implementation is None
    assert announced(b"TOP\r\n").implementation is None
