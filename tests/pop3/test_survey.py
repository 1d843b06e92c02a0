"""The join of STAT, LIST and UIDL; and that a million messages are no trouble."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mailwire
from mailwire.pop3 import (
    Connection,
    DropListing,
    Entry,
    Finding,
    FindingKind,
    List,
    Listing,
    Pass,
    Response,
    ResponseReceived,
    ScanListing,
    Uidl,
    UniqueIdListing,
    survey,
)
from tests.counting import calls
from tests.extent import sampled
from tests.pop3.sessions import CANARY, ask, greeted, tell

K = FindingKind


def joined(scan: bytes | None, uids: bytes | None, drop: bytes | None = None) -> Listing:
    return survey(
        None if scan is None else ScanListing.parse(Response(True, b"", scan)),
        None if uids is None else UniqueIdListing.parse(Response(True, b"", uids)),
        None if drop is None else DropListing.parse(Response(True, drop)),
    )


def kinds(listing: Listing) -> list[tuple[FindingKind, int | None]]:
    return [(finding.kind, finding.number) for finding in listing.findings]


def test_three_answers_make_one_listing() -> None:
    listing = joined(b"1 555\r\n2 533\r\n", b"1 one\r\n2 two\r\n", b"2 1088")
    assert list(listing) == [Entry(1, "one", 555), Entry(2, "two", 533)]
    assert listing.findings == ()
    assert listing.finding_counts == {}
    assert listing.octets == 1088
    assert list(listing.unidentified) == []


def test_what_was_accessed_before_is_part_of_a_listing() -> None:
    scan = ScanListing.parse(Response(True, b"", b"1 10\r\n2 20\r\n"))
    assert survey(scan).last_accessed is None
    listing = survey(scan, last_accessed=1)
    assert listing.last_accessed == 1
    assert [entry.number for entry in listing if entry.number > (listing.last_accessed or 0)] == [2]
    assert listing == survey(scan, last_accessed=1)
    assert listing != survey(scan)


@pytest.mark.parametrize(
    ("marked", "gaps"), [([], []), ([1, 3], []), ([2], []), ([5], [6]), ([3, 5, 2], [6]), ([4], [5])]
)
def test_what_is_marked_is_there_and_not_listed(marked: list[int], gaps: list[int]) -> None:
    scan = ScanListing.parse(Response(True, b"", b"1 10\r\n2 20\r\n3 30\r\n"))
    uids = UniqueIdListing.parse(Response(True, b"", b"1 a\r\n2 b\r\n3 c\r\n"))
    listing = survey(scan, uids, marked=marked)
    assert kinds(listing) == [(K.GAP, number) for number in gaps]
    assert listing.is_complete is not bool(gaps)


def test_of_a_maildrop_in_which_all_is_marked_nothing_is_complete() -> None:
    empty = ScanListing.parse(Response(True))
    uids = UniqueIdListing.parse(Response(True))
    assert survey(empty, uids).is_complete
    assert not survey(empty, uids, marked=[1]).is_complete


def test_an_entry_is_a_value() -> None:
    entry = Entry(1, "one", 555)
    assert (entry.number, entry.uid, entry.size, entry.shares_uid) == (1, "one", 555, False)
    assert repr(entry) == "Entry(number=1, uid='one', size=555, shares_uid=False)"
    assert mailwire.Entry is Entry
    with pytest.raises(AttributeError):
        entry.number = 2  # type: ignore[misc]


def test_a_listing_is_a_sequence_of_entries_made_when_they_are_asked_for() -> None:
    listing = joined(b"1 10\r\n2 20\r\n4 40\r\n", b"1 a\r\n2 b\r\n4 d\r\n")
    one, two, four = Entry(1, "a", 10), Entry(2, "b", 20), Entry(4, "d", 40)
    assert len(listing) == 3
    assert (listing[0], listing[1], listing[2], listing[-1], listing[-3]) == (one, two, four, four, one)
    assert (listing[:2], listing[::-1], listing[5:]) == ([one, two], [four, two, one], [])
    for place in (3, -4):
        with pytest.raises(IndexError):
            listing[place]
    assert (listing.numbered(4), listing.numbered(3), listing.numbered(5), listing.numbered(0)) == (
        four,
        None,
        None,
        None,
    )
    assert two in listing
    assert list(reversed(listing)) == [four, two, one]
    assert listing.index(four) == 2


def test_messages_are_found_by_their_unique_ids() -> None:
    listing = survey(None, UniqueIdListing.parse(Response(True, b"", b"1 b\r\n2 a\r\n3 b\r\n4\r\n")))
    assert listing.identified("a") == [Entry(2, "a", 0)]
    assert listing.identified("b") == [Entry(1, "b", 0, True), Entry(3, "b", 0, True)]
    assert listing.identified("c") == listing.identified("") == listing.identified("\u00fc") == []


def test_listings_are_compared_by_their_entries_and_findings() -> None:
    def made(size: int = 10, blank: bytes = b"") -> Listing:
        return joined(b"1 %d\r\n" % size + blank, b"1 a\r\n")

    assert made() == made()
    assert made() != made(11)
    assert made() != made(blank=b"\r\n")
    assert made() != joined(b"1 10\r\n2 20\r\n", b"1 a\r\n2 b\r\n")
    assert made() != [Entry(1, "a", 10)]


def test_a_short_listing_is_shown_and_a_long_one_counted() -> None:
    assert repr(joined(b"1 10\r\n", b"1 a\r\n")) == f"Listing([{Entry(1, 'a', 10)!r}])"
    lines = [b"%d 5\r\n" % number for number in range(1, 22)]
    shown = [Entry(number, "5", 5, shares_uid=True) for number in range(1, 21)]
    assert repr(joined(b"".join(lines[:-1]), b"".join(lines[:-1]))) == f"Listing({shown})"
    assert repr(joined(b"".join(lines), b"".join(lines))) == "Listing(21 messages)"


def test_an_empty_maildrop_is_an_empty_listing() -> None:
    listing = joined(b"", b"", b"0 0")
    assert (list(listing), listing.findings, listing.octets) == ([], (), 0)


def test_without_uidl_no_message_has_a_unique_id() -> None:
    listing = joined(b"1 555\r\n2 533\r\n", None)
    assert list(listing) == [Entry(1, None, 555), Entry(2, None, 533)]
    assert listing.findings == (Finding(K.NO_UIDL),)
    assert list(listing.unidentified) == [1, 2]


def test_without_list_no_message_has_a_size() -> None:
    listing = joined(None, b"1 a\r\n2 b\r\n")
    assert list(listing) == [Entry(1, "a", 0), Entry(2, "b", 0)]
    assert listing.findings == (Finding(K.NO_LIST),)
    assert kinds(joined(None, None)) == [(K.NO_UIDL, None), (K.NO_LIST, None)]
    assert list(joined(None, None)) == []


def test_a_message_that_either_listing_names_is_there() -> None:
    # Mail arrives and expires between the questions.
    listing = joined(b"1 10\r\n2 20\r\n3 30\r\n", b"2 b\r\n3 c\r\n4 d\r\n5\r\n", b"3 60")
    assert list(listing) == [
        Entry(1, None, 10),
        Entry(2, "b", 20),
        Entry(3, "c", 30),
        Entry(4, "d", 0),
        Entry(5, None, 0),
    ]
    assert kinds(listing) == [
        (K.NO_UID, 5),
        (K.NOT_IN_UIDL, 1),
        (K.NOT_IN_LIST, 4),
        (K.NOT_IN_LIST, 5),
        (K.UNCOUNTED, None),
    ]
    assert listing.findings[-1].said == b"3"
    assert list(listing.unidentified) == [1, 5]


def test_bad_lines_spoil_their_entries_and_no_other() -> None:
    listing = joined(
        b"1 10\r\n2 -20\r\nthree\r\n4  40\r\n\r\n5 50 octets\r\n",
        b"1 a\r\n2 b\r\n3 c 4 d\r\n5 \xff\r\n6 " + b"u" * 71 + b"\r\n",
    )
    assert list(listing) == [
        Entry(1, "a", 10),
        Entry(2, "b", 0),
        Entry(3, None, 0),
        Entry(4, None, 40),
        Entry(5, None, 50),
        Entry(6, None, 0),
    ]
    assert set(kinds(listing)) == {
        (K.BAD_SIZE, 2),
        (K.BAD_NUMBER, None),
        (K.SPACING, 4),
        (K.BLANK_LINE, None),
        (K.GLUED, 3),
        (K.NOT_IN_UIDL, 4),
        (K.BAD_UID, 5),
        (K.LONG_UID, 6),
        (K.NOT_IN_LIST, 3),
        (K.NOT_IN_LIST, 6),
    }


def test_messages_that_share_a_unique_id_are_marked_so_that_none_is_deleted_by_it() -> None:
    uids = b"1 same\r\n2 other\r\n3 same\r\n4\r\n5\r\n6 same\r\n7 Same\r\n"
    listing = joined(b"".join(b"%d 5\r\n" % number for number in range(1, 8)), uids)
    assert [entry.number for entry in listing if entry.shares_uid] == [1, 3, 6]
    assert [entry.shares_uid for entry in listing] == [listing[place].shares_uid for place in range(7)]
    assert [entry.uid for entry in listing] == ["same", "other", "same", None, None, "same", "Same"]
    assert kinds(listing)[2:] == [(K.SHARED_UID, 1), (K.SHARED_UID, 3), (K.SHARED_UID, 6)]
    assert listing.findings[-1].said == b"same"


@pytest.mark.parametrize(
    ("uids", "shared"),
    [
        # Ascending, and what looks like it.
        ([b"a", b"b", b"c"], []),
        ([b"a", b"b", b"b"], [2, 3]),
        ([b"b", b"b", b"c"], [1, 2]),
        ([b"a", b"c", b"b"], []),
        ([b"b", b"c", b"b"], [1, 3]),
        ([b"9", b"10", b"11"], []),
        ([b"b"], []),
    ],
)
def test_a_shared_unique_id_is_found_wherever_it_stands(uids: list[bytes], shared: list[int]) -> None:
    body = b"".join(b"%d %b\r\n" % entry for entry in enumerate(uids, 1))
    for place in range(len(body)):
        reader = Uidl().reader()
        reader.feed(body[:place])
        reader.feed(body[place:])
        assert [entry.number for entry in survey(None, reader.finish()) if entry.shares_uid] == shared


@given(st.lists(st.sampled_from([b"a", b"b", b"c", b"", b"\xe9", b"dd", b"e e"]), max_size=8))
@settings(deadline=None)
def test_exactly_those_that_share_a_unique_id_are_marked(uids: list[bytes]) -> None:
    listing = joined(None, b"".join(b"%d %b\r\n" % entry for entry in enumerate(uids, 1)))
    told = [entry.uid for entry in listing]
    assert [entry.shares_uid for entry in listing] == [uid is not None and told.count(uid) > 1 for uid in told]


def test_shared_unique_ids_are_found_among_many() -> None:
    uids = [b"%d" % (number * 7919 % 100_003) for number in range(70_000)]
    uids[123] = uids[69_000]
    listing = joined(None, b"".join(b"%d %b\r\n" % entry for entry in enumerate(uids, 1)))
    assert [entry.number for entry in listing if entry.shares_uid] == [124, 69_001]


def test_each_of_those_that_share_a_unique_id_is_noted() -> None:
    listing = joined(None, b"1 same\r\n2 same\r\n3 same\r\n")
    assert listing.findings[1:] == tuple(Finding(K.SHARED_UID, number, b"same") for number in (1, 2, 3))


def test_what_stat_says_instead_of_numbers_is_kept() -> None:
    listing = joined(b"", b"", b"no mail")
    assert listing.findings == (Finding(K.BAD_COUNT, None, b"no mail"), Finding(K.BAD_OCTETS, None, b"no mail"))


def test_numbers_that_are_left_out_are_noted() -> None:
    listing = joined(b"2 5\r\n3 5\r\n7 5\r\n8 5\r\n", b"2 b\r\n3 c\r\n7 g\r\n8 h\r\n")
    assert [entry.number for entry in listing] == [2, 3, 7, 8]
    assert kinds(listing) == [(K.GAP, 2), (K.GAP, 7)]


@pytest.mark.parametrize(
    ("drop", "wrong"),
    [
        (b"2 1088", []),
        (b"2 5", []),  # sizes are hints
        (b"3 1088", [K.UNLISTED]),
        (b"1 555", [K.UNCOUNTED]),
        (b"2 -5", [K.BAD_OCTETS]),
        (b"no idea", [K.BAD_COUNT, K.BAD_OCTETS]),
    ],
)
def test_what_stat_says_is_compared(drop: bytes, wrong: list[FindingKind]) -> None:
    assert kinds(joined(b"1 555\r\n2 533\r\n", b"1 a\r\n2 b\r\n", drop)) == [(kind, None) for kind in wrong]


def test_a_listing_is_complete_if_nothing_of_it_is_lost() -> None:
    assert joined(b"1 555\r\n2 -1\r\n\r\n3  7\r\n", b"1\r\n2 \xe9\r\n", b"2 ?").is_complete
    assert joined(b"", None).is_complete
    assert not joined(b"1 555\r\n3 7\r\n", None).is_complete
    assert not joined(b"1 555\r\n2 7\r\n", b"1 a 2 b\r\n").is_complete
    assert not joined(b"1 555\r\nx 5\r\n", None).is_complete
    assert not joined(b"1 555\r\n", b"0 a\r\n").is_complete
    assert not joined(b"1 555\r\n", None, b"2 600").is_complete


def test_every_unique_id_is_known_if_the_listing_is_complete_and_each_message_has_one() -> None:
    assert joined(b"", None).has_every_uid
    assert joined(b"1 5\r\n2 6\r\n", b"1 a\r\n2 a\r\n", b"2 11").has_every_uid
    assert not joined(b"1 5\r\n2 6\r\n", b"1 a\r\n2\r\n").has_every_uid
    assert not joined(b"1 5\r\n", None).has_every_uid
    assert not joined(b"1 5\r\n", b"1 a\r\n", b"2 11").has_every_uid


def test_a_server_is_asked_again_about_what_it_said_badly() -> None:
    scan = ScanListing.parse(Response(True, b"", b"1 10\r\n2 20\r\n3 30\r\n"))
    uids = UniqueIdListing.parse(Response(True, b"", b"1 a2 b\r\n3\r\n"))
    answers = [
        Uidl(number).parse(Response(True, b"%d uid-%d" % (number, number)))
        for number in survey(scan, uids).unidentified
    ]
    listing = survey(scan, uids.amended(answers))
    assert list(listing) == [Entry(1, "uid-1", 10), Entry(2, "uid-2", 20), Entry(3, "uid-3", 30)]


NUMBERS = st.integers(1, 9).map(lambda number: b"%d" % number) | st.sampled_from([b"0", b"-1", b"x", b""])
LINES = st.lists(st.builds(lambda number, rest: number + b" " + rest + b"\r\n", NUMBERS, st.binary(max_size=4))).map(
    b"".join
)


@given(st.none() | LINES, st.none() | LINES, st.none() | st.binary(max_size=12))
@settings(deadline=None)
def test_whatever_is_said_makes_a_listing_in_ascending_order(
    scan: bytes | None, uids: bytes | None, drop: bytes | None
) -> None:
    listing = joined(scan, uids, drop)
    numbers = [entry.number for entry in listing]
    assert numbers == sorted(set(numbers))
    assert all(entry == listing.numbered(entry.number) == listing[place] for place, entry in enumerate(listing))
    assert list(listing.unidentified) == [entry.number for entry in listing if entry.uid is None]
    assert repr(listing).isascii()
    assert all(str(finding).isprintable() for finding in listing.findings)
    assert sum(listing.finding_counts.values()) >= len(listing.findings)


# Many messages


def pieces(line: Callable[[int], bytes], count: int) -> Iterator[bytes]:
    """A listing of `count` messages as it is read from a socket."""
    lines: list[bytes] = []
    for number in range(1, count + 1):
        lines.append(line(number))
        if len(lines) == 3000:
            yield b"".join(lines)
            lines.clear()
    yield b"".join(lines)


def ask_all(connection: Connection, command: List | Uidl, line: Callable[[int], bytes], count: int) -> object:
    assert ask(connection, command)
    assert tell(connection, b"+OK\r\n", *pieces(line, count)) == []
    event = tell(connection, b".\r\n")[0]
    assert isinstance(event, ResponseReceived)
    assert event.response.body == b""
    return event.response.reading


def ask_for_many(count: int, uid: Callable[[int], bytes]) -> Listing:
    """Let a machine hear of `count` messages."""
    connection = greeted()
    ask(connection, Pass(CANARY))
    tell(connection, b"+OK\r\n")
    scan = ask_all(connection, List(), lambda number: b"%d %d\r\n" % (number, 3000 + number % 7777), count)
    uids = ask_all(connection, Uidl(), uid, count)
    assert isinstance(scan, ScanListing)
    assert isinstance(uids, UniqueIdListing)
    return survey(scan, uids)


def calls_of_reading(uid: Callable[[int], bytes], count: int) -> int:
    """How many calls it takes to read the answer to UIDL about `count` messages, and to survey it."""
    told = list(pieces(uid, count))

    def read() -> None:
        reader = Uidl().reader()
        for piece in told:
            reader.feed(piece)
        survey(None, reader.finish())

    return calls(read)


REGULAR = {
    "ascending": lambda number: b"%d %08x65f0c0de\r\n" % (number, number),
    "in any order": lambda number: b"%d %08x65f0c0de\r\n" % (number, number * 2654435761 % 2**32),
}
IRREGULAR = {
    "several blanks": lambda number: b"%d  %08x\r\n" % (number, number),
    "no id": lambda number: b"%d\r\n" % number,
    "one and the same id": lambda number: b"%d same\r\n" % number,
    "out of order": lambda number: b"%d %08x\r\n" % (number + 1 if number % 2 else number - 1, number),
    "no number": lambda number: b"x %08x\r\n" % number,
    "glued": lambda number: b"%d a %d b\r\n" % (number, number + 1),
}


def test_the_work_grows_with_the_messages_and_is_less_than_a_call_for_each() -> None:
    counts = [calls_of_reading(REGULAR["ascending"], count) for count in (10_000, 100_000, 1_000_000)]
    assert counts[0] < 10_000 / 10
    assert counts[2] / counts[1] < 10.2
    assert counts[1] / counts[0] < 10.2


@pytest.mark.parametrize("uid", [REGULAR["in any order"], *IRREGULAR.values()], ids=["in any order", *IRREGULAR])
def test_the_work_grows_with_the_messages_also_where_every_line_is_odd(uid: Callable[[int], bytes]) -> None:
    counts = [calls_of_reading(uid, count) for count in (3_000, 30_000)]
    assert counts[1] / counts[0] < 10.5


MEMORY = """
import re, sys
from tests.pop3.test_survey import REGULAR, ask_for_many

def peak():
    with open("/proc/self/status") as status:
        return int(re.search("VmHWM:\\\\s+(\\\\d+) kB", status.read())[1])

ask_for_many(1000, REGULAR[sys.argv[1]])
before = peak()
count = int(sys.argv[2])
listing = ask_for_many(count, lambda number: REGULAR[sys.argv[1]](number)[:-2] + b"abcd\\r\\n")
assert len(listing[7].uid) == 20 and sum(1 for entry in listing) == count and not listing.findings
print(peak() - before)
"""


@sampled("size", (200_000, 16), (1_000_000, 64))  # messages, mebibytes
@pytest.mark.parametrize("uid", REGULAR)
def test_a_million_messages_take_at_most_64_mebibytes(uid: str, size: tuple[int, int]) -> None:
    count, limit = size
    command = [sys.executable, "-c", MEMORY, uid, str(count)]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert int(result.stdout) <= limit * 1024
