"""Policy: what is to be fetched from a maildrop, and what may be deleted there."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeAlias

from .._wire.text import TRUTH, check_kind, check_whole_number

__all__ = ["Keep", "Policy"]

Keep: TypeAlias = timedelta | Literal["for ever", "until stored"]
"""How long a message stays on the server: that long from when it was first seen there, or as the words say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a run does.

    keep: how long messages stay on the server. None is deleted before it is stored, whatever its age.
    keep_at_most: how many messages may stay; keep_at_most_octets: how many octets of them, as the server announces
        them. Of the stored ones, those that were first seen longest ago then go before their time.
    max_message_size: the octets above which a message, by the server's word, is not fetched.
    oversize: what becomes of it: "leave", or "preview", which fetches its header and the first `preview_lines` of its
        body. It is not deleted on the strength of that.
    limit: how many messages are fetched in one run; the others are left for the next.
    order: in which they are fetched, by their numbers on the server. Previews come behind whole messages, a thousand at
        a time; what failed in an earlier run is fetched last, so that nothing waits behind it for ever.
    max_failures: after how many failures a message is skipped, as one that will fail again.
    when_all_new: what to do where the server has most likely given its messages new unique ids: the ledger knows of
        messages, and the server has none of them, but others; or, of those that have the unique id of a stored one, at
        least ten and half have another size. "ask" fetches nothing and raises MaildropRenumbered, unless headers (by
        TOP) show that it is only the sizes that have changed; "match" compares the headers of all new messages, and of
        all where unique ids were given anew, with those of what was stored and is gone or has another size, and fetches
        what is not known by its header, and what shares it with another new message; it takes headers to be different,
        and is for the time after such a move. "fetch" fetches everything, but what has the header of what had its
        unique id before. Where the server does not tell the unique ids of at least half of its messages, of ten at
        least, and ten or more that are stored are missing, but no more than twice as many, the run ends by
        NotSupported, but for "fetch": it may tell them the next time.
    delete_without_uid: whether messages that have no unique id are deleted as well, where `keep` is "until stored".
        They are fetched again by every run that comes before their deletion has succeeded.
    remember: how long it is remembered of a message that it was there, once it no longer is.

    Raises ValueError for numbers and durations below zero, a `max_failures` below one, and what is of another kind.
    """

    keep: Keep = "for ever"
    keep_at_most: int | None = None
    keep_at_most_octets: int | None = None
    max_message_size: int | None = None
    oversize: Literal["leave", "preview"] = "leave"
    preview_lines: int = 0
    limit: int | None = None
    order: Literal["oldest first", "newest first"] = "oldest first"
    max_failures: int = 3
    when_all_new: Literal["ask", "match", "fetch"] = "ask"
    delete_without_uid: bool = False
    remember: timedelta = timedelta(days=90)

    def __post_init__(self) -> None:
        for name in ("keep_at_most", "keep_at_most_octets", "max_message_size", "limit"):
            check_whole_number(name, getattr(self, name), 0, or_none=True)
        check_whole_number("preview_lines", self.preview_lines, 0)
        check_whole_number("max_failures", self.max_failures)
        check_kind("delete_without_uid", self.delete_without_uid, *TRUTH)
        for name in ("keep", "remember"):
            duration = getattr(self, name)
            if not isinstance(duration, timedelta):
                if not (isinstance(duration, str) and name in _WORDS):
                    raise ValueError(f"expected a timedelta as {name}, got {duration!r}")
            elif duration < timedelta(0):
                raise ValueError(f"expected a duration from zero on as {name}, got {duration}")
        for name, words in _WORDS.items():
            word = getattr(self, name)
            if not isinstance(word, timedelta) and word not in words:
                raise ValueError(f"expected {' or '.join(map(repr, words))} as {name}, got {word!r}")

    @property
    def deletes(self) -> bool:
        """Whether anything may be deleted by it."""
        return self.keep != "for ever" or self.keep_at_most is not None or self.keep_at_most_octets is not None


_WORDS = {
    "keep": ("for ever", "until stored"),
    "oversize": ("leave", "preview"),
    "order": ("oldest first", "newest first"),
    "when_all_new": ("ask", "match", "fetch"),
}
