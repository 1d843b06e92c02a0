"""Inspection: what a session has shown of a server, read off its transcript."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final

from ..aio.tls import TLSInfo
from ..transcript import Transcript, TranscriptEntry

__all__ = ["Announcement", "Inspection", "read"]

_ASKING: Final = frozenset({"EHLO", "LHLO", "CAPA"})
_SECURING: Final = frozenset({"STARTTLS", "STLS"})
_LOGGING_IN: Final = frozenset({"AUTH", "PASS", "APOP"})

# How the server asks for more of an exchange; what the client says to that is no command (RFC 4954 4, RFC 5034 4).
_CHALLENGES: Final = (["334"], ["+"])


@dataclass(frozen=True, slots=True)
class Announcement:
    """What a server says that it can do, in one phase of a session.

    phase: "in the clear", "under TLS" or "logged in".
    keywords: each with its parameters behind it, as they came.
    """

    phase: str
    keywords: tuple[str, ...]

    def has(self, keyword: str) -> bool:
        """Whether a keyword is among them."""
        return self.words(keyword) is not None

    def words(self, keyword: str) -> Sequence[str] | None:
        """Return the parameters of a keyword; None if it is not among them."""
        return next((words[1:] for words in map(str.split, self.keywords) if words[0].upper() == keyword), None)


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was seen of a server.

    server: its URL; protocol: "smtp", "lmtp" or "pop3"; is_implicit: whether TLS was spoken from the first byte;
        is_local: whether it was spoken to over a Unix socket.
    greeting: its first words; None if there were none.
    announcements: what it can do, phase by phase.
    tls: what was negotiated; None without TLS.
    mechanism: by which it was logged in; None if it was not.
    round_trips: seconds from a command to the answer, in their order.
    seconds: how long it took until all was ready.
    """

    server: str
    protocol: str
    is_implicit: bool
    is_local: bool
    greeting: str | None
    announcements: tuple[Announcement, ...]
    tls: TLSInfo | None
    mechanism: str | None
    round_trips: tuple[float, ...]
    seconds: float

    @property
    def offer(self) -> Announcement:
        """What it has announced last; nothing, if it has announced nothing."""
        return self.announcements[-1] if self.announcements else Announcement("in the clear", ())

    @property
    def clear_offer(self) -> Announcement | None:
        """What it has announced in the clear; None if it was spoken to under TLS alone."""
        return next((each for each in self.announcements if each.phase == "in the clear"), None)

    def mechanisms(self, announcement: Announcement) -> tuple[str, ...]:
        """The mechanisms by which one may log in, as it says in `announcement`."""
        words = announcement.words("SASL" if self.protocol == "pop3" else "AUTH") or ()
        also = ("USER",) if self.protocol == "pop3" and announcement.has("USER") else ()
        return (*(word.upper() for word in words), *also)

    def days_left(self, now: datetime) -> int | None:
        """For how many days the certificate is valid still; None where that is not known."""
        if self.tls is None or self.tls.not_after is None:
            return None
        return (self.tls.not_after - now).days


def read(
    transcript: Transcript,
    *,
    server: str,
    protocol: str,
    is_implicit: bool,
    is_local: bool,
    tls: TLSInfo | None,
    mechanism: str | None,
) -> Inspection:
    """Return what `transcript`, which has all of a session, shows."""
    entries = list(transcript)
    first = next((entry for entry in entries if entry.direction == "S"), None)
    return Inspection(
        server,
        protocol,
        is_implicit,
        is_local,
        None if first is None else first.lines()[0].removeprefix("S: "),
        tuple(_announcements(entries, is_implicit)),
        tls,
        mechanism,
        tuple(
            answer.time - command.time
            for command, answer in pairwise(entries)
            if (command.direction, answer.direction) == ("C", "S")
        ),
        entries[-1].time - entries[0].time if entries else 0,
    )


def _announcements(entries: Iterable[TranscriptEntry], is_implicit: bool) -> Iterator[Announcement]:
    phase = "under TLS" if is_implicit else "in the clear"
    is_challenged = False
    for command, answer in pairwise(entries):
        lines = answer.lines()
        if command.direction != "C" or answer.direction != "S":
            continue
        verb = "AUTH" if is_challenged else command.lines()[0].removeprefix("C: ").split()[0].upper()
        is_challenged = verb == "AUTH" and lines[0].split()[1:2] in _CHALLENGES
        if not _is_success(lines[0]):
            continue
        if verb in _ASKING:
            # Behind "S: 250-" and "S: 250 " in SMTP, behind "S: " in POP3, where a dot ends them.
            texts = (line[7:] if verb != "CAPA" else line[3:] for line in lines[1:])
            yield Announcement(phase, tuple(text for text in texts if text.strip() not in ("", ".")))
        elif verb in _SECURING:
            phase = "under TLS"
        elif verb in _LOGGING_IN:
            phase = "logged in"


def _is_success(line: str) -> bool:
    return line.startswith(("S: 2", "S: +OK"))
