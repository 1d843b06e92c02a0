"""Calls: what the client of a transcript is asked to do, and how that is tried."""

from abc import ABC, abstractmethod
from typing import Generic, Protocol, TypeVar

from mailwire.testing import Step
from tests.transcripts.places import DIRECT, Way

__all__ = ["Calls"]


class Heard(Protocol):
    """What came of the calls: among it, what the peer has heard."""

    heard: bytes


Outcome = TypeVar("Outcome", bound=Heard)


class Calls(ABC, Generic[Outcome]):
    """The calls of one transcript."""

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
