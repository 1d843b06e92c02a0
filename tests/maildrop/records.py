"""What the tests of the ledgers and of the policy speak of."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from mailwire.maildrop import Record, State

__all__ = ["NOON", "RECORDS", "record"]

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def record(uid: str, state: State = State.STORED, age: timedelta = timedelta(0), **rest: Any) -> Record:
    """Return the record of a message that was first seen at noon, or so long before, and has been so since."""
    return Record(uid, state, NOON - age, NOON - age, **rest)


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_TIMES = st.datetimes(datetime(1970, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC))

RECORDS = st.builds(
    Record,
    uid=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80),
    state=st.sampled_from(State),
    first_seen=_TIMES,
    since=_TIMES,
    size=st.integers(0, 2**63 - 1),
    failures=st.integers(0, 2**63 - 1),
    reason=_TEXT,
    fingerprint=_TEXT,
)
