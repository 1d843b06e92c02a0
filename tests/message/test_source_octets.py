from collections.abc import Callable, Iterator

import pytest

from mailwire.errors import InvalidMessage
from mailwire.message import source_octets
from mailwire.message.pieces import BLOCK_SIZE
from mailwire.message.source_octets import forget_begun, octets_in, remember_begun, show_portion, was_begun

MEBIBYTE = 2**20


def shown_of(pieces: Iterator[bytes]) -> tuple[list[int], bool]:
    """Show a portion of the pieces; return the octets of each, and whether there may be more."""
    shown: list[bytes] = []
    more = show_portion(pieces, shown.append)
    return list(map(len, shown)), more


def test_sixteen_mebibytes_at_a_time_are_shown() -> None:
    pieces = iter([bytes(MEBIBYTE)] * 18)
    assert shown_of(pieces) == ([MEBIBYTE] * 16, True)
    assert shown_of(pieces) == ([MEBIBYTE] * 2, False)
    assert shown_of(pieces) == ([], False)


def test_a_portion_that_lacks_an_octet_is_none_yet() -> None:
    pieces = iter([bytes(16 * MEBIBYTE - 1), b"a", b"b"])
    assert shown_of(pieces) == ([16 * MEBIBYTE - 1, 1], True)
    assert shown_of(pieces) == ([1], False)


@pytest.mark.parametrize("kind", [bytes, bytearray, lambda octets: memoryview(octets)])
@pytest.mark.parametrize("size", [0, 1, BLOCK_SIZE, BLOCK_SIZE + 1])
def test_octets_of_any_kind_come_as_bytes(kind: Callable[[bytes], object], size: int) -> None:
    octets = b"a" * size
    pieces = list(octets_in(kind(octets)))
    assert {type(piece) for piece in pieces} == {bytes}
    assert b"".join(pieces) == octets


def test_what_is_no_octets_is_no_message() -> None:
    with pytest.raises(InvalidMessage) as caught:
        octets_in("text")
    assert str(caught.value) == "expected the octets of a message in bytes, got str"


def test_what_was_begun_is_remembered_as_long_as_it_is_there() -> None:
    class Given:
        pass

    given, other = Given(), Given()
    remember_begun(given)
    assert (was_begun(given), was_begun(other)) == (True, False)
    forget_begun(given)
    forget_begun(other)
    assert not was_begun(given)
    remember_begun(given)
    number = id(given)
    del given
    assert number not in source_octets._begun


def test_python_s_own_iterators_are_not_kept_to_be_remembered() -> None:
    given = iter([b"x"])
    remember_begun(given)
    assert not was_begun(given)
