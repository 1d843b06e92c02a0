"""Recognition: whether a message on the server may be the one that a record of the ledger is of.

By its unique id it is, until its size shows otherwise; its header can show it as well, where that was retrieved. Where
other messages have come to have the unique ids that were known, what is known of each is put aside, under a name that
no message has (`naming`).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from .ledger import Record, State
from .naming import Listed

__all__ = [
    "aside_by_uid",
    "by_fingerprint",
    "is_the_stored",
    "may_be_the_stored",
    "may_have_size",
    "put_aside",
    "was_another",
]


def is_the_stored(record: Record, entry: Listed) -> bool:
    """Return whether `entry` is the stored message that `record` is of, for certain enough to delete it."""
    # By the unique id it is; the size is what a second message with the same one would differ in.
    return record.is_stored and record.size == entry.size


def may_be_the_stored(record: Record, entry: Listed) -> bool:
    """Return whether nothing speaks against it that `entry` is the stored message that `record` is of: a size that the
    server does not tell, which is 0, does not. One that it tells for the first time does: to be deleted, a message must
    have been stored under it."""
    return record.is_stored and (not entry.size or record.size == entry.size)


def may_have_size(record: Record, entry: Listed) -> bool:
    """Return whether `entry` has the size of the message that `record` is of, or either is not told."""
    return record.size == entry.size or not (record.size and entry.size)


def was_another(record: Record, entry: Listed) -> bool:
    """Return whether the message that `record` is of was seen, and not stored, and was not `entry`."""
    return record.state is State.SEEN and not may_have_size(record, entry)


def put_aside(record: Record, now: datetime) -> Record:
    """Return the record of a message whose unique id another may have by now, or come to have; it needs a fingerprint,
    by which it can be known again."""
    return replace(record.gone(now), uid=f"{record.uid}{_mark(record)}")


def aside_by_uid(records: Iterable[Record]) -> Mapping[str, Mapping[str, Record]]:
    """Return those of `records` that `put_aside` has made, by the uids that they were of, and by their fingerprints."""
    aside: defaultdict[str, dict[str, Record]] = defaultdict(dict)
    for record in records:
        uid = record.uid.removesuffix(_mark(record))
        if uid != record.uid:
            aside[uid][record.fingerprint] = record
    return aside


def by_fingerprint(*records: Record) -> Mapping[str, Record]:
    """Return the records of what was stored, by their fingerprints, where they have one."""
    return {record.fingerprint: record for record in records if record.fingerprint and record.state is not State.SEEN}


def _mark(record: Record) -> str:
    # No unique id has a blank (RFC 1939 7), and of those that share one, none is the 0th.
    return f" {record.fingerprint} 0"
