"""Stories: what a transcript says of both sides, read from its octets by rules of their own, which are not mailwire's.

What the client wants is read from what it says: whom it writes to, what it retrieves. So is what must come of it: each
reply belongs to the command that it answers. A transcript needs nothing besides; its comments may say more:

    # client: in-a-row                  mails begin behind the end of the one before
    # client: chunking                  messages leave in chunks, those of the transcript; chunking=eager: at once
    # client: on_refused=abort          the mail is for all or for nobody
    # client: in flights                with PIPELINING, what is said in a turn waits for the answers to all before it
    # wants: STAT; RETR 1               what the client wants besides, and does not come to say
    # error: RemoteProtocolError        how it ends, where it does not end well, nor by the server's closing
"""

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from tests.replay import Transcript, parse

__all__ = ["STORIES", "Story"]

_FOLDER: Final = Path(__file__).parent


@dataclass(frozen=True)
class Story:
    """A transcript by its `name`, and the text of it."""

    name: str
    text: str

    @cached_property
    def transcript(self) -> Transcript:
        return parse(self.text)

    @property
    def is_pop3(self) -> bool:
        return self.name.startswith("pop3-")

    @cached_property
    def options(self) -> frozenset[str]:
        """What the comments say of the client."""
        return frozenset(self._comments("client", ","))

    @property
    def wants(self) -> list[str]:
        return self._comments("wants", ";")

    @property
    def error(self) -> str:
        return "".join(self._comments("error", ";"))

    def __str__(self) -> str:
        return self.name

    def _comments(self, key: str, separator: str) -> list[str]:
        found = re.findall(rf"^# {key}: (.*)$", self.text, re.MULTILINE)
        return [word.strip() for line in found for word in line.split(separator)]


STORIES: Final = tuple(Story(path.stem, path.read_text("utf-8")) for path in sorted(_FOLDER.glob("*.txt")))
