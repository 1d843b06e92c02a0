"""Accounts of the mail host, and their Maildirs."""

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["DOMAIN", "Mailbox"]

DOMAIN = "example.test"

_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One account: what it takes to log in and to send to it, and where its messages lie.

    settings: what holds for it alone of Dovecot's settings, by their names. Postfix keeps to no quota.
    """

    user: str
    password: str = field(repr=False)
    maildir: Path
    settings: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def address(self) -> str:
        return f"{self.user}@{DOMAIN}"

    def put(self, numbered: Iterable[tuple[int, bytes]]) -> None:
        """Store messages, whose lines end in LF, as if they had been delivered in the order of their numbers."""
        owner = self.maildir.parents[1].stat()
        folders = [self.maildir / name for name in ("tmp", "new", "cur")]
        for folder in (self.maildir.parent, self.maildir, *folders):
            folder.mkdir(exist_ok=True)
            os.chown(folder, owner.st_uid, owner.st_gid)
        # Whole and in its owner's hands before it is there: a session of one who was killed may still be at work.
        for number, content in numbered:
            file = self.maildir / "tmp" / f"{1_700_000_000 + number}.M{number}P1.test"
            file.write_bytes(content)
            os.chown(file, owner.st_uid, owner.st_gid)
            file.rename(self.maildir / "new" / file.name)

    def messages(self) -> list[Path]:
        """Return the files of the messages delivered so far, in the order of their arrival."""
        # A POP3 session moves messages from new/ to cur/. Looking in that order misses none, and the part of the name
        # before the colon, which stays, tells those that were seen twice.
        found = {}
        for folder in "new", "cur":
            for path in (self.maildir / folder).glob("*"):
                found[path.name.partition(":")[0]] = path
        return [found[name] for name in sorted(found, key=_arrival)]

    def wait_for_messages(self, count: int, timeout: float = 60.0) -> list[Path]:
        """Wait until that many messages were delivered, for at most `timeout` seconds; return their files.

        Raises `TimeoutError` if there are fewer by then, `AssertionError` if there are more.
        """
        deadline = time.monotonic() + timeout
        while len(messages := self.messages()) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(messages)} of {count} messages for {self.address} after {timeout:g} s")
            time.sleep(_POLL_SECONDS)
        assert len(messages) == count, f"{len(messages)} messages for {self.address}, expected {count}"
        return messages


# Postfix names a message SECONDS.V<device>I<inode>M<microseconds>.<host>, Dovecot's LMTP server names it
# SECONDS.M<microseconds>P<process>.<host>, and Dovecot numbers messages in that order.
def _arrival(name: str) -> tuple[int, int]:
    seconds, middle, _host = name.split(".", 2)
    return int(seconds), int(middle.partition("M")[2].partition("P")[0])
