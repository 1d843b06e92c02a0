"""Calls: what the client of a transcript is asked to do, and how that is tried."""

from abc import ABC, abstractmethod
from typing import Generic, Protocol, TypeVar

from mailwire.testing import Step
from tests.transcripts.places import DIRECT, Way, said_before
from tests.transcripts.story import Story

__all__ = ["Calls"]


class Heard(Protocol):
    """What came of the calls: among it, what the peer has heard."""

    heard: bytes


Outcome = TypeVar("Outcome", bound=Heard)


class Calls(ABC, Generic[Outcome]):
    """The calls of one transcript."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self._server = story.transcript.server
        self._departure: int | None = None  # what the server has said when the client goes before the end

    @property
    def end(self) -> int:
        """How much the server says until the client has gone, or all is said."""
        return len(self._server) if self._departure is None else self._departure

    def said_before(self, said: int) -> bytes:
        """What the client says when the server has said so many octets."""
        return said_before(self.story.transcript, said if self._departure is None or said < self.end else said - 1)

    async def attempt(
        self, script: tuple[Step, ...], is_encrypted: bool, said: int, where: object, way: Way = DIRECT
    ) -> bytes:
        """Make the calls to a peer with this script, and judge what comes of them; return what the peer has heard.

        said: how much the server says of the transcript.
        """
        outcome = await self._play(script, is_encrypted, way)
        self._judge(outcome, said, where)
        return outcome.heard

    @abstractmethod
    async def _play(self, script: tuple[Step, ...], is_encrypted: bool, way: Way) -> Outcome:
        """Make the calls, up to the one with which the connection is lost."""

    @abstractmethod
    def _judge(self, outcome: Outcome, said: int, where: object) -> None:
        """Assert that this is what must come of them."""
