from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire.sasl.fields import check_texts, encode_field, encode_saslname, gs2_header, text_problem
from tests.sasl.secrecy import CANARY, assert_hidden

CONTROLS = [chr(code) for code in (*range(0x20), 0x7F)]


@pytest.mark.parametrize("text", ["", "tim", "X", "jürgen", "пароль 🔑", "a,b=c", "\x80\u200b\u2028"])
def test_a_field_is_utf_8(text: str) -> None:
    assert encode_field("user", text) == encode_field("user", text, allows_controls=False) == text.encode()


@pytest.mark.parametrize("form", ["\0{}", "{}\0", "a\0{}"])
@pytest.mark.parametrize(("allows_controls", "what"), [(True, "a NUL"), (False, "a control character")])
def test_a_nul_is_refused_everywhere(form: str, allows_controls: bool, what: str) -> None:
    with pytest.raises(ValueError, match=f"^user must not hold {what}$") as refusal:
        encode_field("user", form.format(CANARY), allows_controls=allows_controls)
    assert_hidden(CANARY, refusal.value)


@pytest.mark.parametrize("control", CONTROLS[1:], ids=repr)
@pytest.mark.parametrize("form", ["{control}{text}", "{text}{control}", "a{control}{text}"])
def test_a_control_character_is_refused_where_it_is_not_allowed(control: str, form: str) -> None:
    text = form.format(control=control, text=CANARY)
    assert encode_field("user", text) == text.encode()
    with pytest.raises(ValueError, match=r"^user must not hold a control character$") as refusal:
        encode_field("user", text, allows_controls=False)
    assert_hidden(CANARY, refusal.value)


@pytest.mark.parametrize("code", [0xD800, 0xDCFF, 0xDFFF], ids=hex)
def test_a_surrogate_is_refused_and_the_text_stays_hidden(code: int) -> None:
    with pytest.raises(ValueError, match=r"^user must not hold a surrogate") as refusal:
        encode_field("user", CANARY + chr(code))
    assert type(refusal.value) is ValueError
    assert refusal.value.__context__ is None
    assert_hidden(CANARY, refusal.value)


@pytest.mark.parametrize(
    ("text", "saslname"),
    [
        ("", b""),
        ("user", b"user"),
        ("a,b=c", b"a=2Cb=3Dc"),
        ("=2C", b"=3D2C"),
        (",,==", b"=2C=2C=3D=3D"),
        ("jürgen", "jürgen".encode()),
    ],
)
def test_commas_and_equals_signs_of_a_name_are_escaped(text: str, saslname: bytes) -> None:
    assert encode_saslname("user", text) == saslname


@pytest.mark.parametrize(("text", "allows_controls"), [("a\0", True), ("a\x01", False)])
def test_a_name_is_a_field(text: str, allows_controls: bool) -> None:
    with pytest.raises(ValueError, match=r"^user must not hold"):
        encode_saslname("user", text, allows_controls=allows_controls)


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_a_name_can_be_read_back(text: str) -> None:
    saslname = encode_saslname("user", text).decode()
    assert "," not in saslname
    assert saslname.replace("=2C", ",").replace("=3D", "=") == text


@pytest.mark.parametrize(
    ("flag", "authzid", "header"),
    [
        (b"n", b"", b"n,,"),
        (b"y", b"", b"y,,"),
        (b"n", b"user@example.com", b"n,a=user@example.com,"),
        (b"p=tls-unique", b"a=2Cb", b"p=tls-unique,a=a=2Cb,"),
    ],
)
def test_the_header_is_the_flag_and_the_identity(flag: bytes, authzid: bytes, header: bytes) -> None:
    assert gs2_header(flag, authzid) == header


def test_what_should_be_text_is_named_and_not_quoted() -> None:
    owner = SimpleNamespace(user="tim", password=b"correct horse", authzid=None)
    check_texts(owner, "user")
    with pytest.raises(ValueError, match=r"^expected the password to be text, got bytes$"):
        check_texts(owner, "user", "password", "authzid")
    with pytest.raises(ValueError, match=r"^expected the authzid to be text, got NoneType$"):
        check_texts(owner, "authzid")


def test_the_first_that_is_no_text_is_the_problem() -> None:
    assert text_problem() is None
    assert text_problem(user="tim", authzid="") is None
    assert text_problem(user="tim", password=b"correct horse", authzid=None) == (
        "expected the password to be text, got bytes"
    )
