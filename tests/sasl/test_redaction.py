import base64
import json
import urllib.parse
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire.sasl.redaction import Redaction
from tests.sasl.secrecy import CANARY, assert_hidden

OCTETS = CANARY.encode()


def spellings(secret: bytes) -> Iterator[bytes]:
    """Every way in which `secret` may stand in a text; of base64 what is the same whatever stands around the secret."""
    yield secret
    yield secret.hex().encode()
    yield secret.hex().upper().encode()
    yield str(secret)[2:-1].encode()
    yield urllib.parse.quote(secret, safe="").encode()
    with suppress(UnicodeDecodeError):
        yield json.dumps(secret.decode())[1:-1].encode()
    for before in range(3):
        texts = [
            base64.b64encode(around * before + secret + around * behind)
            for around in (b"\0", b"\xff", b"U")
            for behind in range(3)
        ]
        yield bytes(letters[0] for letters in zip(*texts, strict=False) if len(set(letters)) == 1)


@pytest.mark.parametrize(
    ("said", "masked"),
    [
        (OCTETS, b"****"),
        (b"535 no such password: " + OCTETS, b"535 no such password: ****"),
        (b"a" + OCTETS + b"b" + OCTETS, b"a****b****"),
        (OCTETS.hex().encode(), b"****"),
        (OCTETS.hex().upper().encode(), b"****"),
        (b"0x" + OCTETS.hex().encode() + b"!", b"0x****!"),
        # In base64 it shares its first and its last character with what stands before and behind.
        (base64.b64encode(OCTETS), b"****Q=="),
        (base64.b64encode(b"\0ti" + OCTETS + b"!!"), b"AHRp****SEh"),
        (base64.b64encode(b"\0tim" + OCTETS), b"AHRpbW****U="),
        (base64.b64encode(b"\0tim\0" + OCTETS), b"AHRpbQB****"),
        # Quoted it is another text only where there is something to quote.
        (urllib.parse.quote(OCTETS).encode(), b"****"),
        (b"nothing of it: canary", b"nothing of it: canary"),
        (b"", b""),
    ],
)
def test_a_secret_is_masked_in_every_spelling(said: bytes, masked: bytes) -> None:
    assert Redaction([OCTETS]).mask(said) == masked


@pytest.mark.parametrize(
    "said",
    [b'p\xc3\xa4ss "w\\rd\x1b', rb'p\xc3\xa4ss "w\\rd\x1b', rb"p\u00e4ss \"w\\rd\u001b", b"p%C3%A4ss%20%22w%5Crd%1B"],
    ids=["raw", "C", "JSON", "URL"],
)
def test_a_secret_that_has_something_to_quote_is_masked_where_it_is_quoted(said: bytes) -> None:
    redaction = Redaction(['päss "w\\rd\x1b'.encode()])
    assert redaction.mask(b"<" + said + b">") == b"<****>"


def test_what_json_need_not_quote_may_stand_there_as_it_is() -> None:
    assert Redaction(['pä"ss'.encode()]).mask('<pä\\"ss>'.encode()) == b"<****>"


@pytest.mark.parametrize(
    "said",
    [rb"pa\/ss+w\u00f6rd\ud83d\ude00!", "pa/ss\\u002Bwörd😀!".encode(), "\\u0070a/ss+w\\xc3\\xb6rd😀!".encode()],
)
def test_a_text_that_has_a_secret_quoted_as_few_do_is_masked_whole(said: bytes) -> None:
    redaction = Redaction(["pa/ss+wörd😀!".encode()])
    assert redaction.is_needed(said)
    assert redaction.mask(b"no such password: " + said) == b"****"
    assert redaction.mask(b"no such password: " + said[:-1]) == b"no such password: " + said[:-1]


@pytest.mark.parametrize("layers", [1, 2, 3, 4])
def test_a_text_that_has_a_secret_quoted_several_times_is_masked_whole(layers: int) -> None:
    redaction = Redaction([b"pa/ss+word"])
    said = rb"pa\/ss\u002bword"
    for _ in range(layers - 1):
        said = json.dumps(said.decode())[1:-1].encode()
    assert redaction.is_needed(said)
    assert redaction.mask(b"no such password: " + said) == b"****"
    assert redaction.mask(b"no such password: " + said[:-1]) == b"no such password: " + said[:-1]


def test_what_the_server_was_told_in_base64_is_masked_where_that_is_quoted() -> None:
    line = base64.b64encode(b"\0tim\0" + b"\xff" * 12)
    assert b"/" in line
    assert Redaction([line]).mask(b"AUTH PLAIN " + line.replace(b"/", rb"\/")) == b"****"


def test_of_a_secret_that_fills_its_base64_no_letter_is_left() -> None:
    assert Redaction([b"secreW"]).mask(b"c2VjcmVX") == b"****"


def test_a_solidus_is_quoted_in_a_url_or_is_not() -> None:
    redaction = Redaction([b"pa/ss word"])
    for said in (b"pa%2Fss%20word", b"pa/ss%20word", b"pa/ss word"):
        assert redaction.mask(b"<" + said + b">") == b"<****>"


def test_what_the_server_was_told_in_base64_is_a_secret_too() -> None:
    line = base64.b64encode(b"\0tim\0" + OCTETS)
    redaction = Redaction([OCTETS, line])
    assert redaction.mask(b"500 AUTH PLAIN " + line + b"?") == b"500 AUTH PLAIN ****?"
    assert redaction.mask(line.hex().encode()) == b"****"


def test_of_two_secrets_the_longer_is_masked_first() -> None:
    for secrets in ([b"secret", b"secret-and-more"], [b"secret-and-more", b"secret"]):
        assert Redaction(secrets).mask(b"secret-and-more, secret") == b"****, ****"


def test_a_secret_of_less_than_four_octets_is_not_masked() -> None:
    redaction = Redaction([b"", b"a", b"abc"])
    for said in (b"abc", b"abc".hex().encode(), base64.b64encode(b"abc")):
        assert redaction.mask(said) == said
        assert not redaction.is_needed(said)
    assert Redaction([b"abcd"]).mask(b"abcd") == b"****"


def test_a_redaction_tells_whether_it_is_needed() -> None:
    redaction = Redaction([OCTETS])
    for spelling in spellings(OCTETS):
        assert redaction.is_needed(b"<" + spelling + b">")
    assert not redaction.is_needed(OCTETS[:-1])
    assert not redaction.is_needed(OCTETS[1:])
    assert not Redaction([]).is_needed(OCTETS)


def test_a_redaction_never_shows_what_it_masks() -> None:
    assert_hidden(CANARY, Redaction([OCTETS]))


# An asterisk is what a mask is made of: beside one, it may be the rest of such a secret.
secrets = st.binary(min_size=4, max_size=12).filter(lambda secret: b"*" not in secret)
letters = st.sampled_from([b"a", b"b", b"A", b"6", b"1", b"Y", b"W", b"=", b"\0", b'"', b"\\", b"%", b"\xc3\xa4"])
short_secrets = st.lists(letters, min_size=4, max_size=6).map(b"".join)


@st.composite
def speeches(draw: st.DrawFn) -> tuple[list[bytes], bytes]:
    """Secrets, and a text in which some of their spellings stand."""
    known = draw(st.lists(secrets | short_secrets, min_size=1, max_size=3))
    said = [spelling for secret in known for spelling in spellings(secret)]
    whole = [base64.b64encode(before + secret) for secret in known for before in (b"", b"x", b"xy")]
    pieces = draw(st.lists(st.sampled_from([*said, *whole]) | letters | st.binary(max_size=4), max_size=12))
    return known, b"".join(pieces)


@given(speeches())
def test_after_the_mask_no_spelling_of_a_secret_is_left(speech: tuple[list[bytes], bytes]) -> None:
    known, said = speech
    redaction = Redaction(known)
    masked = redaction.mask(said)
    assert not redaction.is_needed(masked)
    for secret in known:
        for spelling in spellings(secret):
            assert spelling not in masked
    assert redaction.is_needed(said) == (masked != said)


@given(st.lists(secrets, max_size=3), st.binary(max_size=60))
def test_a_text_without_a_secret_stays_as_it_is(known: list[bytes], said: bytes) -> None:
    redaction = Redaction(known)
    if b"\\" not in said and not any(spelling in said for secret in known for spelling in spellings(secret)):
        assert redaction.mask(said) == said
