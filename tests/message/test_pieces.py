import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire import InvalidMessage
from mailwire.message.pieces import BLOCK_SIZE, Base64, Buffer, EncodedText, Rewrapped, cut

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


@pytest.mark.parametrize("bad", [EncodedText("a\ud800"), EncodedText("ä", "ascii", "surrogateescape")])
def test_what_cannot_be_encoded_is_no_message(bad: EncodedText) -> None:
    with pytest.raises(InvalidMessage, match="the text of the message cannot be written"):
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
