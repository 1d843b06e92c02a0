import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire.smtp.xtext import encode_unitext, encode_utf8_xtext, encode_xtext

texts = st.text(st.sampled_from("a+=\\{} é€😀\x7f\r\n\0") | st.characters(exclude_categories=["Cs"]), max_size=20)


def decode_xtext(xtext: str) -> str:
    """Decode by the grammar of RFC 3461 4."""
    octets = b""
    while xtext:
        if xtext[0] == "+":
            assert re.fullmatch("[0-9A-F]{2}", xtext[1:3])
            octets, xtext = octets + bytes.fromhex(xtext[1:3]), xtext[3:]
        else:
            assert "!" <= xtext[0] <= "~"
            assert xtext[0] != "="
            octets, xtext = octets + xtext[0].encode(), xtext[1:]
    return octets.decode()


def decode_embedded(text: str, *, beyond_ascii: bool) -> str:
    """Decode by the grammar of RFC 6533 3."""
    decoded = ""
    while text:
        if text[0] == "\\":
            found = re.match(r"\\x\{([1-9A-F][0-9A-F]{1,5}|0[1-9A-F])\}", text)
            if found is None:  # the grammar has no way to write NUL; we let it through to whoever refuses it
                found = re.match(r"\\x\{(0?[0-9A-F])\}", text)
            assert found
            decoded, text = decoded + chr(int(found[1], 16)), text[found.end() :]
        else:
            assert (beyond_ascii and ord(text[0]) >= 0x80) or "!" <= text[0] <= "~"
            assert text[0] not in "+="
            decoded, text = decoded + text[0], text[1:]
    return decoded


@pytest.mark.parametrize(
    ("text", "xtext"),
    [
        ("", ""),
        ("e=mc2@example.org", "e+3Dmc2@example.org"),
        ("a+b", "a+2Bb"),
        ("a b", "a+20b"),
        ("\\", "\\"),
        ("é", "+C3+A9"),
        ("<>", "<>"),
    ],
)
def test_what_does_not_stand_for_itself_is_two_digits(text: str, xtext: str) -> None:
    assert encode_xtext(text) == xtext


@pytest.mark.parametrize(
    ("text", "ascii_form", "unicode_form"),
    [
        ("jürgen@example.org", r"j\x{FC}rgen@example.org", "jürgen@example.org"),
        ("a+b=c@é", r"a\x{2B}b\x{3D}c@\x{E9}", r"a\x{2B}b\x{3D}c@é"),
        ("a\\b c", r"a\x{5C}b\x{20}c", r"a\x{5C}b\x{20}c"),
        ("😀", r"\x{1F600}", "😀"),
    ],
)
def test_an_address_beyond_ascii_has_two_forms(text: str, ascii_form: str, unicode_form: str) -> None:
    assert encode_utf8_xtext(text) == ascii_form
    assert encode_unitext(text) == unicode_form


@given(texts)
def test_whatever_was_encoded_is_read_back(text: str) -> None:
    assert decode_xtext(encode_xtext(text)) == text
    assert decode_embedded(encode_utf8_xtext(text), beyond_ascii=False) == text
    assert decode_embedded(encode_unitext(text), beyond_ascii=True) == text
    for encoded in (encode_xtext(text), encode_utf8_xtext(text), encode_unitext(text)):
        assert not set(encoded) & set(" =\r\n\0\x7f")
