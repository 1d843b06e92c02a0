"""Resent blocks: the fields that a message was given each time it was sent on (RFC 5322 3.6.6).

"Each new set of resent fields is prepended to the message; that is, the most recent set of resent fields appears
earlier in the message." Between two sets there usually are trace fields. Where there are none, a set is known by what
it has: no field twice, a Resent-From, and somebody to whom the message was resent.
"""

from collections.abc import Sequence
from typing import Final, TypeVar

from ..errors import InvalidMessage

__all__ = ["newest_resent_block"]

V = TypeVar("V")

_UNCLEAR: Final = (
    "the message was resent more than once, and it is not clear which Resent- fields belong together: "
    "give the sender and the recipients explicitly"
)

_PREFIX: Final = "resent-"
_DESTINATIONS: Final = frozenset({"resent-to", "resent-cc", "resent-bcc"})
# Fields that say who it is from and for. Which set the others belong to, does not matter.
_DECISIVE: Final = _DESTINATIONS | {"resent-from", "resent-sender"}
# The fields of the message itself, which no set stands between (RFC 5322 3.6.1 to 3.6.5).
_ORIGINAL: Final = frozenset(
    {
        *("date", "from", "sender", "reply-to", "to", "cc", "bcc", "message-id", "in-reply-to", "references"),
        *("subject", "comments", "keywords"),
    }
)
# No honest message is resent a hundred times; what follows takes time in proportion to the square of it.
_FIELDS_LIMIT: Final = 500


def newest_resent_block(fields: Sequence[tuple[str, V]]) -> list[tuple[str, V]] | None:
    """Return the newest set of Resent- fields among `fields`, None if there is none.

    Raises InvalidMessage where it is not clear what belongs to it, or which is newest: the mail might go to those of an
    older one.
    """
    run: list[tuple[str, V]] = []
    is_over = is_appended = False
    for name, value in fields:
        if not name.lower().startswith(_PREFIX):
            is_over = bool(run)
            is_appended = is_appended or (is_over and name.lower() in _ORIGINAL)
        elif is_appended:
            raise InvalidMessage(_UNCLEAR)
        elif not is_over:
            run.append((name, value))
    if not run:
        return None
    names = [name.lower() for name, _ in run]
    if len(names) == len(set(names)):
        return run
    if len(names) > _FIELDS_LIMIT:
        raise InvalidMessage(f"the message has more than {_FIELDS_LIMIT} Resent- fields in a row")
    ends = _ends_of_first(names)
    if len({sum(name in _DECISIVE for name in names[:end]) for end in ends}) != 1:
        raise InvalidMessage(_UNCLEAR)
    return run[: ends[0]]


def _ends_of_first(names: Sequence[str]) -> list[int]:
    # Where the first set may end so that the rest makes sets as well.
    ends: list[int] = []
    makes_sets = [False] * len(names) + [True]  # from here on
    for start in reversed(range(len(names))):
        possible = range(start + 1, _repetition(names, start) + 1)
        ends = [end for end in possible if makes_sets[end] and _is_set(names[start:end])]
        makes_sets[start] = bool(ends)
    return ends


def _repetition(names: Sequence[str], start: int) -> int:
    seen = set[str]()
    for place in range(start, len(names)):
        if names[place] in seen:
            return place
        seen.add(names[place])
    return len(names)


def _is_set(names: Sequence[str]) -> bool:
    return "resent-from" in names and not _DESTINATIONS.isdisjoint(names)
