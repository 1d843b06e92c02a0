from itertools import product

import pytest

from mailwire._wire.dots import MailText
from mailwire.smtp.commands import Bdat, BdatLast
from mailwire.smtp.mail_data import Chunks, Text, Verdicts


def test_text_is_counted_without_its_last_dot() -> None:
    text = Text()
    wire = text.feed(b".a\n") + text.feed(b"b")
    assert not text.is_ended
    wire += text.end_with(b"")
    assert wire == b"..a\r\nb\r\n.\r\n"
    assert text.is_ended
    assert text.octets == len(wire) - 3


@pytest.mark.parametrize("kind", [bytes, MailText])
@pytest.mark.parametrize(
    ("blocks", "wire"),
    [
        ([b"a\r\n"], b"a\r\n.\r\n"),
        ([b".a\r\n..\r\n"], b"..a\r\n...\r\n.\r\n"),
        ([b"a"], b"a\r\n.\r\n"),
        ([b""], b".\r\n"),
        ([b"a\r\n", b".b\r\n"], b"a\r\n..b\r\n.\r\n"),
        ([b"a", b".b\r\n"], b"a.b\r\n.\r\n"),
    ],
)
def test_a_message_ends_alike_whether_its_line_ends_are_vouched_for_or_not(
    kind: type[bytes], blocks: list[bytes], wire: bytes
) -> None:
    text = Text()
    made = [*map(kind, blocks)]
    assert b"".join(map(text.feed, made[:-1])) + text.end_with(made[-1]) == wire
    assert text.octets == len(wire) - 3


@pytest.mark.parametrize("block", [b"a\nb\n", b"a\rb\n", b"\n"])
def test_line_ends_that_nobody_vouches_for_are_mended_in_the_last_block_too(block: bytes) -> None:
    mended = block.replace(b"\r", b"\n").replace(b"\n", b"\r\n")
    text = Text()
    assert text.end_with(block) == mended + b".\r\n"
    assert cut([block]) == [(len(mended), True, mended)]


def test_a_line_end_that_was_begun_is_ended_though_the_next_block_is_vouched_for() -> None:
    assert cut([b"a\r", MailText(b"b\r\n")]) == [(1, False, b"a"), (5, True, b"\r\nb\r\n")]


def cut(blocks: list[bytes], *, is_binary: bool = False) -> list[tuple[int, bool, bytes]]:
    chunks = Chunks(is_binary=is_binary)
    found = []
    for number, block in enumerate(blocks, 1):
        command, chunk = chunks.cut(block, last=number == len(blocks))
        if command is None:
            assert chunk == b""
            continue
        found.append((command.octets, isinstance(command, BdatLast), chunk))
    return found


@pytest.mark.parametrize(
    ("blocks", "chunks"),
    [
        ([b"a\r\n", b"b\r\n"], [(3, False, b"a\r\n"), (3, True, b"b\r\n")]),
        ([b"a\nb"], [(6, True, b"a\r\nb\r\n")]),
        ([b"a\r", b"\n", b""], [(1, False, b"a"), (2, False, b"\r\n"), (0, True, b"")]),
        ([b"a\r", b"b", b""], [(1, False, b"a"), (3, False, b"\r\nb"), (2, True, b"\r\n")]),
        ([b"\r", b""], [(2, True, b"\r\n")]),
        ([b".\r\n.", b"."], [(4, False, b".\r\n."), (3, True, b".\r\n")]),
        ([b""], [(0, True, b"")]),
        ([b"", b"a\r\n", b""], [(3, False, b"a\r\n"), (0, True, b"")]),
    ],
)
def test_a_chunk_says_its_exact_length_with_line_ends_mended_and_dots_as_they_are(
    blocks: list[bytes], chunks: list[tuple[int, bool, bytes]]
) -> None:
    assert cut(blocks) == chunks


def test_a_binary_message_is_sent_as_it_is() -> None:
    assert cut([b"a\r", b"\0\n", b"b"], is_binary=True) == [
        (2, False, b"a\r"),
        (2, False, b"\0\n"),
        (1, True, b"b"),
    ]


def test_a_nul_in_text_is_refused_and_changes_nothing() -> None:
    chunks = Chunks(is_binary=False)
    chunks.cut(b"a\r", last=False)
    with pytest.raises(ValueError, match="NUL"):
        chunks.cut(b"\n\0", last=False)
    assert chunks.cut(b"\nb\n", last=True)[1] == b"\r\nb\r\n"


def test_a_message_is_the_same_in_chunks_as_behind_data() -> None:
    for size in range(6):
        for octets in product(b"a.\r\n", repeat=size):
            message = bytes(octets)
            text = Text()
            wire = text.feed(message) + text.end_with(b"")
            assert wire.endswith(b".\r\n")
            plain = (b"\r\n" + wire[:-3])[2:].replace(b"\r\n.", b"\r\n")
            plain = plain[1:] if plain.startswith(b".") else plain
            for place in range(size + 1):
                pieces = cut([message[:place], message[place:]])
                assert b"".join(chunk for _, _, chunk in pieces) == plain
                assert [octets for octets, _, _ in pieces] == [len(chunk) for _, _, chunk in pieces]
                assert [last for _, last, _ in pieces] == [False] * (len(pieces) - 1) + [True]


def test_the_commands_say_how_much_and_whether_it_is_the_last() -> None:
    assert Bdat(86).encode() == b"BDAT 86\r\n"
    assert BdatLast(0).encode() == b"BDAT 0 LAST\r\n"
    assert str(BdatLast(86)) == "BDAT 86 LAST"
    assert not Bdat.ends_group
    assert not BdatLast.ends_group


@pytest.mark.parametrize("standing", range(4))
def test_there_is_a_verdict_for_each_who_stands_and_one_if_nobody_does(standing: int) -> None:
    verdicts = Verdicts()
    verdicts.standing = standing
    for _ in range(2):  # the next message begins anew
        assert [verdicts.is_last() for _ in range(max(1, standing))] == [False] * (standing - 1) + [True]
