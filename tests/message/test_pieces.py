import base64
import binascii

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire import InvalidMessage
from mailwire.message.pieces import (
    BLOCK_SIZE,
    Base64,
    Buffer,
    EncodedText,
    Lines,
    QuotedPrintable,
    Rewrapped,
    SoftBroken,
    cut,
)

OCTETS = bytes(range(256)) * 8 * 1024  # two megabytes


class Parts:
    """Octets in the pieces that are given."""

    def __init__(self, *parts: bytes) -> None:
        self._parts = parts
        self.given: list[bytes] = []

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def __iter__(self):  # type: ignore[no-untyped-def]
        for part in self._parts:
            self.given.append(part)
            yield part


@pytest.mark.parametrize("size", [0, 1, BLOCK_SIZE, BLOCK_SIZE + 1, 3 * BLOCK_SIZE])
def test_octets_are_cut_into_blocks(size: int) -> None:
    octets = OCTETS[:size]
    blocks = list(cut(octets))
    assert b"".join(blocks) == octets
    assert all(0 < len(block) <= BLOCK_SIZE for block in blocks)
    assert size == 0 or size > BLOCK_SIZE or blocks[0] is octets


@pytest.mark.parametrize("held", [bytearray(OCTETS), memoryview(OCTETS), memoryview(OCTETS).cast("I")])
def test_what_a_buffer_holds_is_copied_block_by_block(held: bytearray | memoryview) -> None:
    buffer = Buffer.of(held)
    assert isinstance(buffer, Buffer)
    assert len(buffer) == len(OCTETS)
    for _ in range(2):
        pieces = list(buffer)
        assert b"".join(pieces) == OCTETS
        assert all(0 < len(piece) <= BLOCK_SIZE for piece in pieces)


def test_what_is_small_or_scattered_is_copied_at_once() -> None:
    assert Buffer.of(bytearray(b"abc")) == b"abc"
    assert Buffer.of(memoryview(OCTETS)[::2]) == OCTETS[::2]
    assert Buffer.of(bytearray(OCTETS[:BLOCK_SIZE])) == OCTETS[:BLOCK_SIZE]


def test_a_bytearray_can_be_resized_while_and_after_it_is_used() -> None:
    held = bytearray(OCTETS)
    pieces = iter(Buffer(held))
    next(pieces)
    del held[BLOCK_SIZE * 2 :]
    assert len(b"".join(pieces)) == BLOCK_SIZE
    held.clear()


@pytest.mark.parametrize("text", ["", "a", "ascii\n" * 100_000, "äöü€😀\n" * 100_000])
def test_a_text_is_encoded_piece_by_piece(text: str) -> None:
    encoded = EncodedText(text)
    pieces = list(encoded)
    assert b"".join(pieces) == text.encode()
    assert all(0 < len(piece) <= BLOCK_SIZE for piece in pieces)
    assert len(encoded) == len(text)


def test_octets_that_a_text_holds_as_surrogates_come_out_as_they_were() -> None:
    text = OCTETS.decode("ascii", "surrogateescape")
    assert b"".join(EncodedText(text, "ascii", "surrogateescape")) == OCTETS


@pytest.mark.parametrize(
    ("bad", "name"), [(EncodedText("a\ud800"), "UTF-8"), (EncodedText("ä", "ascii", "surrogateescape"), "ASCII")]
)
def test_what_cannot_be_encoded_is_no_message(bad: EncodedText, name: str) -> None:
    with pytest.raises(InvalidMessage, match=f"the text of the message cannot be written in {name}: "):
        list(bad)


@given(st.lists(st.binary(max_size=200), max_size=8))
def test_octets_in_any_pieces_are_the_same_in_base64(parts: list[bytes]) -> None:
    octets = b"".join(parts)
    expected = base64.encodebytes(octets).replace(b"\n", b"\r\n")
    encoded = Base64(Parts(*parts))
    assert b"".join(encoded) == expected
    assert len(expected) - 80 <= len(encoded) <= len(expected)


@given(st.lists(st.binary(max_size=200), max_size=8), st.sampled_from([b"", b"\n", b" \r\n\t"]))
def test_base64_in_any_pieces_is_put_in_lines(parts: list[bytes], between: bytes) -> None:
    encoded = base64.b64encode(b"".join(parts))
    pieces = [encoded[start : start + 50] + between for start in range(0, len(encoded), 50)]
    rewrapped = Rewrapped(Parts(*pieces))
    assert b"".join(rewrapped) == base64.encodebytes(b"".join(parts)).replace(b"\n", b"\r\n")
    assert len(rewrapped) == sum(map(len, pieces))


def test_a_large_body_is_encoded_in_blocks() -> None:
    for encoded in (Base64(Buffer(bytearray(OCTETS))), Rewrapped(EncodedText(base64.b64encode(OCTETS).decode()))):
        pieces = list(encoded)
        assert b"".join(pieces) == base64.encodebytes(OCTETS).replace(b"\n", b"\r\n")
        assert all(0 < len(piece) <= BLOCK_SIZE for piece in pieces)


def test_no_more_is_read_than_is_asked_for() -> None:
    for made in (Base64, Rewrapped):
        source = Parts(b"a" * 570, b"b" * 760)
        assert next(iter(made(source)))
        assert source.given == [b"a" * 570]


def test_it_is_known_how_long_whole_lines_of_base64_are() -> None:
    encoded = Base64(Parts(b"a" * 57 * 100))
    assert len(encoded) == len(b"".join(encoded)) == 7_800


TEXTS = st.lists(
    st.sampled_from(
        [
            *(
                b"\r",
                b"\n",
                b"\r\n",
                b"=",
                b".",
                b" ",
                b"\t",
                b"x" * 74,
                b"x" * 75,
                b"x" * 1200,
                b"\xe4" * 30,
                b"=3D" * 500,
            )
        ]
    )
    | st.binary(max_size=5).map(lambda octets: octets.replace(b"\0", b"")),
    max_size=12,
)


def in_lines(text: bytes) -> bytes:
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")


@given(TEXTS)
def test_the_lines_of_a_text_in_any_pieces_end_in_crlf(parts: list[bytes]) -> None:
    lines = Lines(Parts(*parts))
    assert b"".join(lines) == in_lines(b"".join(parts))
    assert not any(piece.endswith(b"\r") for piece in lines)
    assert len(lines) == sum(map(len, parts))


@given(TEXTS)
def test_a_text_in_any_pieces_is_the_same_in_quoted_printable(parts: list[bytes]) -> None:
    encoded = QuotedPrintable(Lines(Parts(*parts)))
    octets = b"".join(encoded)
    assert binascii.a2b_qp(octets) == in_lines(b"".join(parts))
    assert octets.isascii()
    assert in_lines(octets) == octets
    # The standard library makes a line somewhat longer to encode a blank at its end.
    assert max(map(len, octets.split(b"\r\n"))) <= 78
    assert not any(line == b"=" or line.endswith((b" ", b"\t")) for line in octets.split(b"\r\n"))
    assert len(encoded) == sum(map(len, parts))


@given(TEXTS)
def test_quoted_printable_in_any_pieces_is_broken_into_lines(parts: list[bytes]) -> None:
    text = in_lines(b"".join(parts))
    encoded = SoftBroken(Lines(Parts(*parts)))
    octets = b"".join(encoded)
    assert max(map(len, octets.split(b"\r\n"))) <= 998
    if max(map(len, text.split(b"\r\n"))) <= 998:
        assert octets == text
    assert len(encoded) == sum(map(len, parts))


@given(st.binary(min_size=1500, max_size=2000).map(lambda octets: octets.translate(None, b"\r\n\0")), st.data())
def test_what_was_encoded_is_the_same_behind_soft_line_breaks(octets: bytes, data: st.DataObject) -> None:
    quoted = binascii.b2a_qp(octets).replace(b"=\n", b"")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(quoted)), max_size=5)))
    parts = [quoted[start:end] for start, end in zip([0, *cuts], [*cuts, len(quoted)], strict=True)]
    broken = b"".join(SoftBroken(Lines(Parts(*parts))))
    assert broken.replace(b"=\r\n", b"") == quoted
    assert binascii.a2b_qp(broken) == octets
    if len(quoted) > 998 and not cuts:
        assert max(map(len, broken.split(b"\r\n"))) <= 76


@pytest.mark.parametrize(
    ("line", "broken"),
    [
        (b"x" * 998, b"x" * 998),
        (b"x" * 999, b"=\r\n".join([b"x" * 70] * 14 + [b"x" * 19])),
        (b"x" * 69 + b"=C3" + b"x" * 998, b"x" * 69 + b"=C3=\r\n" + b"=\r\n".join([b"x" * 70] * 14 + [b"x" * 18])),
        (b"x" * 68 + b"=C3" + b"x" * 998, b"x" * 68 + b"=C3=\r\n" + b"=\r\n".join([b"x" * 70] * 14 + [b"x" * 18])),
        (b"x" * 67 + b"=C3" + b"x" * 998, b"x" * 67 + b"=C3=\r\n" + b"=\r\n".join([b"x" * 70] * 14 + [b"x" * 18])),
        (b"x" * 1052, b"=\r\n".join([b"x" * 70] * 15 + [b"x" * 2])),
        (b"x" * 1051, b"=\r\n".join([b"x" * 70] * 14 + [b"x" * 71])),
    ],
)
def test_a_line_is_broken_behind_70_characters_and_never_within_an_octet(line: bytes, broken: bytes) -> None:
    for before, behind in ((b"", b""), (b"a\r\n", b"\r\nb"), (b"a\r\n", b"\r\n" + b"y" * 998)):
        assert b"".join(SoftBroken(Lines(Parts(before + line + behind)))) == before + broken + behind


def test_lines_that_are_whole_are_not_kept_and_the_last_is_joined_with_the_rest_of_it() -> None:
    source = Parts(b"a\r\nb\r\n" + b"x" * 500, b"y" * 499 + b"\r\n")
    first, *others = SoftBroken(Lines(source))
    assert first == b"a\r\nb\r\n"
    assert b"".join(others) == b"=\r\n".join(
        [*[b"x" * 70] * 7, b"x" * 10 + b"y" * 60, *[b"y" * 70] * 6, b"y" * 19 + b"\r\n"]
    )
    assert next(iter(SoftBroken(Lines(source)))) == first


def test_a_nul_is_in_no_text() -> None:
    with pytest.raises(InvalidMessage, match="holds a NUL at octet 4"):
        list(Lines(Parts(b"abc", b"d\0")))


def test_a_large_text_is_encoded_in_blocks() -> None:
    text = EncodedText("0123456789 ä\n" * 60_000 + "x" * 1_000_000)
    for encoded in (QuotedPrintable(Lines(text)), SoftBroken(Lines(text))):
        assert all(len(piece) <= BLOCK_SIZE for piece in encoded)
