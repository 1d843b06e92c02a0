import base64
import json
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire.sasl import MechanismFailed
from mailwire.sasl.oauth import FAILURE_LIMIT, OAuthBearer, OAuthFailure, XOAuth2
from tests.sasl.secrecy import CANARY, assert_hidden

TOKEN = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="

# RFC 7628 4.3, and the page of Google about XOAUTH2.
FAILURE = (
    b'{"status":"invalid_token","scope":"example_scope",'
    b'"openid-configuration":"https://example.com/.well-known/openid-configuration"}'
)
GOOGLE_FAILURE = base64.b64decode(
    "eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiYmVhcmVyIG1hYyIsInNjb3BlIjoiaHR0cHM6Ly9tYWlsLmdvb2dsZS5jb20vIn0K"
)

CONTROLS = [chr(code) for code in (*range(0x20), 0x7F)]


def mechanisms(token: str = TOKEN) -> list[OAuthBearer | XOAuth2]:
    return [OAuthBearer("tim@example.org", token), XOAuth2("tim@example.org", token)]


# What is said


def test_oauthbearer_says_what_the_example_says() -> None:
    # RFC 7628 4.1
    mechanism = OAuthBearer("user@example.com", TOKEN, host="server.example.com", port=143)
    assert mechanism.initial_response() == base64.b64decode(
        "bixhPXVzZXJAZXhhbXBsZS5jb20sAWhvc3Q9c2VydmVyLmV4YW1wbGUuY29tAXBvcnQ9MTQz"
        "AWF1dGg9QmVhcmVyIHZGOWRmdDRxbVRjMk52YjNSbGNrQmhiSFJoZG1semRHRXVZMjl0Q2c9PQEB"
    )


def test_xoauth2_says_what_the_example_says() -> None:
    mechanism = XOAuth2("someuser@example.com", "ya29.vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg")
    assert mechanism.initial_response() == base64.b64decode(
        "dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB5YTI5LnZGOWRmdDRxbVRjMk52"
        "YjNSbGNrQmhkSFJoZG1semRHRXVZMjl0Q2cBAQ=="
    )


def test_fields_stand_between_control_a() -> None:
    for mechanism, message in (
        (OAuthBearer("", "t"), b"n,,\1auth=Bearer t\1\1"),
        (OAuthBearer("tim", "t"), b"n,a=tim,\1auth=Bearer t\1\1"),
        (OAuthBearer("tim", "t", authzid="kurt"), b"n,a=kurt,\1auth=Bearer t\1\1"),
        (OAuthBearer("", "t", authzid="kurt"), b"n,a=kurt,\1auth=Bearer t\1\1"),
        (OAuthBearer("a,b=c", "t"), b"n,a=a=2Cb=3Dc,\1auth=Bearer t\1\1"),
        (OAuthBearer("jürgen", "t"), "n,a=jürgen,\1auth=Bearer t\1\1".encode()),
        (OAuthBearer("tim", "t", host="::1"), b"n,a=tim,\1host=::1\1auth=Bearer t\1\1"),
        (OAuthBearer("tim", "t", port=65535), b"n,a=tim,\1port=65535\1auth=Bearer t\1\1"),
        (OAuthBearer("tim", "t", port=1), b"n,a=tim,\1port=1\1auth=Bearer t\1\1"),
        (XOAuth2("jürgen", "!~"), "user=jürgen\1auth=Bearer !~\1\1".encode()),
        (XOAuth2("a,b=c", "t"), b"user=a,b=c\1auth=Bearer t\1\1"),
    ):
        assert mechanism.initial_response() == message


@pytest.mark.parametrize("control", CONTROLS, ids=repr)
@pytest.mark.parametrize("form", ["{control}{text}", "{text}{control}", "a{control}{text}"])
def test_a_control_character_is_refused_in_every_field_and_nothing_is_quoted(control: str, form: str) -> None:
    text = form.format(control=control, text="other")
    secret = form.format(control=control, text=CANARY)
    for make, name in (
        (lambda: OAuthBearer("tim", secret), "the token"),
        (lambda: OAuthBearer(text, CANARY), "user"),
        (lambda: OAuthBearer("tim", CANARY, host=text), "the host"),
        (lambda: OAuthBearer("tim", CANARY, authzid=text), "authzid"),
        (lambda: XOAuth2("tim", secret), "the token"),
        (lambda: XOAuth2(text, CANARY), "user"),
    ):
        with pytest.raises(ValueError, match=f"^{name} must") as refusal:
            make()
        assert_hidden(CANARY, refusal.value)


@pytest.mark.parametrize("form", ["Bearer {}", " {}", "{} ", "{}ü", "{}\u2028", "ü{}"])
def test_a_token_that_is_not_visible_ascii_is_refused_and_not_quoted(form: str) -> None:
    for make in (lambda: OAuthBearer("tim", form.format(CANARY)), lambda: XOAuth2("tim", form.format(CANARY))):
        with pytest.raises(ValueError, match=r"^the token must be visible ASCII") as refusal:
            make()
        assert_hidden(CANARY, refusal.value)


def test_an_empty_token_is_refused() -> None:
    for make in (lambda: OAuthBearer("tim", ""), lambda: XOAuth2("tim", "")):
        with pytest.raises(ValueError, match=r"the token must be .* not empty"):
            make()


def test_xoauth2_needs_a_user() -> None:
    with pytest.raises(ValueError, match=r"^XOAUTH2 needs a user that is not empty$") as refusal:
        XOAuth2("", CANARY)
    assert_hidden(CANARY, refusal.value)


@pytest.mark.parametrize("host", ["müller.example", "a b", "mail.example.org\n", "fa\u00adss.example"])
def test_a_host_that_is_not_visible_ascii_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match=r"^the host must be visible ASCII") as refusal:
        OAuthBearer("tim", CANARY, host=host)
    assert_hidden(CANARY, refusal.value)


@pytest.mark.parametrize("port", [-1, 0, 65536, 10**20])
def test_a_port_out_of_range_is_refused(port: int) -> None:
    with pytest.raises(ValueError, match=f"^expected a port between 1 and 65535, got {port}$") as refusal:
        OAuthBearer("tim", CANARY, port=port)
    assert_hidden(CANARY, refusal.value)


# The exchange


def test_the_message_is_said_when_the_server_asks_for_it() -> None:
    for mechanism, same in zip(mechanisms(), mechanisms(), strict=True):
        assert mechanism.is_complete is False
        assert mechanism.respond(b"") == same.initial_response()
        assert (mechanism.is_complete, same.is_complete) == (True, True)


def test_the_message_is_not_said_to_a_server_that_asks_something_else() -> None:
    for mechanism in mechanisms():
        with pytest.raises(MechanismFailed, match="expects an empty challenge before its message"):
            mechanism.respond(b"OAUTHBEARER supported")
        assert not mechanism.is_complete


def test_there_is_no_failure_before_the_server_tells_of_one() -> None:
    for mechanism in mechanisms():
        assert mechanism.failure is None
        mechanism.initial_response()
        assert mechanism.failure is None


def test_oauthbearer_answers_a_failure_with_control_a() -> None:
    # RFC 7628 4.3: "AQ=="
    mechanism = OAuthBearer("tim", TOKEN)
    mechanism.initial_response()
    assert mechanism.respond(FAILURE) == base64.b64decode("AQ==")
    assert mechanism.failure == OAuthFailure(
        status="invalid_token",
        scope="example_scope",
        openid_configuration="https://example.com/.well-known/openid-configuration",
        raw=FAILURE.decode(),
    )


def test_xoauth2_answers_a_failure_with_nothing() -> None:
    mechanism = XOAuth2("tim", TOKEN)
    mechanism.initial_response()
    assert mechanism.respond(GOOGLE_FAILURE) == b""
    assert mechanism.failure == OAuthFailure(
        status="401",
        schemes="bearer mac",
        scope="https://mail.google.com/",
        raw=r'{"status":"401","schemes":"bearer mac","scope":"https://mail.google.com/"}\x0a',
    )


@pytest.mark.parametrize("challenge", [FAILURE, b"", b"no JSON"])
def test_success_behind_a_failure_is_no_success(challenge: bytes) -> None:
    for mechanism in mechanisms():
        mechanism.initial_response()
        mechanism.respond(challenge)
        assert mechanism.failure is not None
        assert not mechanism.is_complete


def test_nothing_is_answered_behind_a_failure() -> None:
    for mechanism in mechanisms():
        mechanism.initial_response()
        mechanism.respond(FAILURE)
        failure = mechanism.failure
        with pytest.raises(MechanismFailed, match="expects no challenge behind the failure"):
            mechanism.respond(b"")
        assert mechanism.failure == failure


@given(st.lists(st.binary() | st.sampled_from([b"", FAILURE, GOOGLE_FAILURE]), max_size=4))
def test_any_challenge_is_answered_or_fails(challenges: list[bytes]) -> None:
    for mechanism in mechanisms():
        for challenge in challenges:
            try:
                assert mechanism.respond(challenge) in (mechanism._answer_to_failure, mechanism._message)
            except MechanismFailed:
                continue


# Failures


@pytest.mark.parametrize(
    "challenge",
    [
        b"",
        b"null",
        b"true",
        b"1",
        b'"invalid_token"',
        b"[]",
        b'[{"status":"401"}]',
        b"{",
        b"{}",
        b'{"status"}',
        b"{'status':'401'}",
        b'{"status":"401"} x',
        b"\xff\xfe",
        b'{"status":"\xff"}',
        b'\xef\xbb\xbf{"status":"401"}',
        '{"status":"401"}'.encode("utf-16"),
        b'{"status":' + b"9" * 4_050 + b"9e9" + b"9" * 20 + b"x}",
        b"[" * 4_000,
        b"[" * 4_000 + b"]" * 50,
        b'{"status":"401","a":' + b"[" * 32 + b"]" * 32 + b"}",
        b'{"a":' * 700,
        b'{"status":"401","a":"' + b"a" * FAILURE_LIMIT + b'"}',
        b"[" * 5_000_000,
        b"9" * 5_000_000,
    ],
    ids=lambda challenge: f"{challenge[:20]!r}-{len(challenge)}",
)
def test_what_is_no_small_object_is_kept_as_text_alone(challenge: bytes) -> None:
    failure = OAuthFailure.parse(challenge)
    assert failure == OAuthFailure(raw=failure.raw)
    assert len(failure.raw) <= 4 * FAILURE_LIMIT


@pytest.mark.parametrize("challenge", [b'{"status":"401","a":' + b"[" * 31 + b"]" * 31 + b"}", b'{"status":401}'])
def test_what_is_a_small_object_is_read(challenge: bytes) -> None:
    assert OAuthFailure.parse(challenge).status == "401"


def test_an_object_as_long_as_the_limit_is_read() -> None:
    frame = '{"status":"401","a":""}'
    challenge = frame.replace('""', '"' + "a" * (FAILURE_LIMIT - len(frame)) + '"').encode()
    assert len(challenge) == FAILURE_LIMIT == 4_096
    assert OAuthFailure.parse(challenge) == OAuthFailure(status="401", raw=challenge.decode())
    assert OAuthFailure.parse(challenge + b" ").status == ""


@pytest.mark.parametrize("value", [None, True, False, 1.5, float("nan"), [], ["401"], {"a": "401"}])
def test_a_member_that_is_no_text_says_nothing(value: object) -> None:
    challenge = json.dumps(dict.fromkeys(["status", "scope", "schemes", "openid-configuration"], value)).encode()
    assert OAuthFailure.parse(challenge) == OAuthFailure(raw=challenge.decode())


def test_a_number_as_long_as_fits_is_shown() -> None:
    digits = "9" * (FAILURE_LIMIT - len('{"status":}'))
    assert OAuthFailure.parse(f'{{"status":{digits}}}'.encode()).status == digits


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31m\r\n", r"\x1b[31m\x0d\x0a"),
        ("\x85\u2028\u202e", r"\x85\u2028\u202e"),
        ("\ud800", r"\ud800"),
        ("Größe", "Größe"),
    ],
    ids=ascii,
)
def test_what_the_server_says_is_one_line_of_printable_text(text: str, shown: str) -> None:
    members = dict.fromkeys(["status", "scope", "schemes", "openid-configuration"], text)
    failure = OAuthFailure.parse(json.dumps(members).encode())
    assert failure == OAuthFailure(shown, shown, shown, shown, raw=json.dumps(members))
    raw = OAuthFailure.parse(text.encode("utf-8", "surrogatepass")).raw
    assert raw.isprintable()


@given(
    st.binary()
    | st.recursive(st.none() | st.text(), lambda inner: st.dictionaries(st.text(), inner)).map(
        lambda value: json.dumps(value).encode()
    )
)
def test_any_failure_is_read_as_printable_text(challenge: bytes) -> None:
    failure = OAuthFailure.parse(challenge)
    for text in (failure.status, failure.scope, failure.schemes, failure.openid_configuration, failure.raw):
        assert len(text.splitlines()) <= 1
        assert not any(ord(character) < 0x20 for character in text)


def test_failures_are_values() -> None:
    assert OAuthFailure.parse(FAILURE) == OAuthFailure.parse(FAILURE) != OAuthFailure.parse(GOOGLE_FAILURE)
    with pytest.raises(AttributeError):
        OAuthFailure().__setattr__("status", "200")


# Secrets


def test_a_server_that_sends_back_the_token_does_not_have_it_shown() -> None:
    for mechanism in mechanisms(CANARY):
        mechanism.respond(mechanism.initial_response())
        failure = cast(OAuthFailure, mechanism.failure)
        assert failure.raw.endswith(r"auth=Bearer ****\x01\x01")
        assert_hidden(CANARY, failure)
    for mechanism in mechanisms(CANARY):
        mechanism.initial_response()
        mechanism.respond(json.dumps({"status": CANARY, "scope": f"a {CANARY} b"}).encode())
        failure = cast(OAuthFailure, mechanism.failure)
        assert (failure.status, failure.scope) == ("****", "a **** b")


@pytest.mark.parametrize("before", ["", "x", "xy", "user=tim\1auth=Bearer "])
def test_nor_does_one_that_sends_it_back_in_another_spelling(before: str) -> None:
    encoded = base64.b64encode(f"{before}{CANARY}".encode()).decode()
    for spelling in (encoded, CANARY.encode().hex(), CANARY.encode().hex().upper()):
        for mechanism in mechanisms(CANARY):
            mechanism.initial_response()
            mechanism.respond(json.dumps({"status": "400", "scope": f"no such token: {spelling}"}).encode())
            assert mechanism.failure is not None
            assert "no such token" in mechanism.failure.scope
            assert_hidden(CANARY, mechanism.failure)


# What PHP, .NET and Go write of a text that holds "/" and "+".
@pytest.mark.parametrize(("character", "quoted"), [("/", r"\/"), ("+", r"\u002B"), ("+", r"\u002b"), ("e", r"\u0065")])
def test_nor_does_one_that_quotes_it_in_json_as_few_do(character: str, quoted: str) -> None:
    token = f"EwB4A8l6BAAU/kXjU0lPm+rZ9q=={CANARY}"
    said = json.dumps({"status": "401", "scope": f"no such token: {token}"}).replace(character, quoted)
    for mechanism in mechanisms(token):
        mechanism.initial_response()
        mechanism.respond(said.encode())
        assert mechanism.failure == OAuthFailure("401", "no such token: ****", raw="****")


@pytest.mark.parametrize("layers", [1, 2, 3, 4])
@pytest.mark.parametrize("member", ["scope", "error"])
def test_nor_does_one_that_quotes_it_within_what_is_quoted(member: str, layers: int) -> None:
    token = "ya29.a0/Ab+c=d~x"
    said = token.replace("/", r"\/")
    for _ in range(layers - 1):
        said = json.dumps(said)[1:-1]
    for mechanism in mechanisms(token):
        mechanism.initial_response()
        mechanism.respond(json.dumps({"status": "401", member: said}).encode())
        shown = OAuthFailure("401", "****" if member == "scope" else "", raw="****")
        assert mechanism.failure == shown


def test_of_a_token_that_is_said_back_at_the_limit_no_part_is_shown() -> None:
    for mechanism in mechanisms(CANARY):
        mechanism.initial_response()
        mechanism.respond(b" " * (FAILURE_LIMIT - 5) + CANARY.encode())
        assert mechanism.failure == OAuthFailure(raw=" " * (FAILURE_LIMIT - 5) + "****")


def test_their_secret_is_the_token() -> None:
    for mechanism in mechanisms():
        assert mechanism.secrets == (TOKEN.encode(),)


def test_they_never_show_their_token() -> None:
    for mechanism in mechanisms(CANARY):
        assert_hidden(CANARY, mechanism)
        mechanism.initial_response()
        mechanism.respond(b"")
        with pytest.raises(MechanismFailed) as failed:
            mechanism.respond(b"")
        assert_hidden(CANARY, failed.value)


def test_their_names_are_registered_and_they_expose_the_token() -> None:
    assert OAuthBearer.name == "OAUTHBEARER"
    assert XOAuth2.name == "XOAUTH2"
    assert OAuthBearer.exposes_password
    assert XOAuth2.exposes_password
