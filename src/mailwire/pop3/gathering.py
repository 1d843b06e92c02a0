"""Gathering: the body of an answer that is no message, on its way to the response it belongs to."""

from dataclasses import replace

from .._wire.lines import LineBuffer
from .._wire.trace import Traceable
from ..errors import LimitExceeded
from .commands import Command
from .limits import Limits
from .response import SHOWN_LIMIT, LongResponse, Response

__all__ = ["Gathering"]


class Gathering:
    """Collects the body of the answer to `command`, or has it read as it comes, if the command has a reader."""

    def __init__(self, command: Command[object], limits: Limits, buffer: LineBuffer) -> None:
        self._command = command
        self._limits = limits
        self._buffer = buffer
        self._reader = command.reader(limits, buffer.masked)
        self._octets = 0
        self._blocks: list[bytes] = []  # all of it; of what is read as it comes, no more than is shown

    def feed(self, block: bytes) -> str | None:
        """Take the next octets; return what is wrong if they are too many."""
        self._octets += len(block)
        if self._reader is None:
            self._blocks.append(block)
            limit = self._command.body_limit
            if self._octets <= limit:
                return None
            beginning = self._buffer.quote_beginning(self._blocks[0])
            return f"the answer to {self._command} is longer than {limit} octets, it begins with {beginning}"
        if self._octets <= SHOWN_LIMIT:
            self._blocks.append(block)
        limit = self._limits.listing_octets
        if self._octets > limit:
            return f"the answer to {self._command} is longer than {limit} octets"
        try:
            self._reader.feed(block)
        except LimitExceeded as error:
            return f"the answer to {self._command} is beyond measure: {error}"
        return None

    def finish(self, status: Response) -> tuple[Response, Traceable]:
        """Return the response of which `status` is the first line, and what a transcript shows of it."""
        whole = replace(status, body=b"".join(self._blocks))
        if self._reader is None:
            return whole, whole
        shown = whole if self._octets <= SHOWN_LIMIT else LongResponse(status, self._octets)
        return replace(status, reading=self._reader.finish()), shown
