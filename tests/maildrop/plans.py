"""Listings and ledgers, and what is planned for them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from mailwire.maildrop import Plan, Policy, Record, SkipReason, plan_deletions, plan_retrieval
from tests.maildrop.records import NOON

__all__ = ["DAY", "KNOWN", "THREE", "Entry", "deleted", "fetched", "ledger", "plan", "skipped"]

DAY = timedelta(days=1)


class Entry(NamedTuple):
    number: int
    uid: str | None
    size: int = 100


def ledger(*records: Record) -> dict[str, Record]:
    return {each.uid: each for each in records}


def plan(
    entries: Sequence[Entry], records: Mapping[str, Record] | None = None, policy: Policy | None = None, **rest: Any
) -> Plan:
    return plan_retrieval(entries, records or {}, NOON, policy or Policy(), **rest)


def fetched(plan: Plan) -> list[int]:
    return [fetch.entry.number for fetch in plan.fetch]


def skipped(plan: Plan) -> dict[int, SkipReason]:
    return {entry.number: reason for reason, entries in plan.skip.items() for entry in entries}


def deleted(
    entries: Sequence[Entry], records: Mapping[str, Record], policy: Policy, stored_numbers: Iterable[int] = ()
) -> list[int]:
    planned = plan_deletions(entries, records, NOON, policy, stored_numbers=frozenset(stored_numbers))
    return [deletion.entry.number for deletion in planned]


THREE = [Entry(1, "a"), Entry(2, "b"), Entry(3, "c")]
KNOWN: Any = {"size": 100}
