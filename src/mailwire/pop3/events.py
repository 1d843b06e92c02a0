"""Events: what the POP3 machine found in the server's bytes, one at a time."""

from dataclasses import dataclass, field
from typing import NamedTuple

from ..sasl.work import ComputationDue
from .commands import Command
from .response import Response

__all__ = [
    "ComputationDue",
    "ConnectionClosed",
    "Event",
    "MessageData",
    "MessageEnd",
    "ResponseReceived",
    "ServerClosing",
]


# There is one for each command, and a tuple costs a third of what a frozen dataclass does.
class ResponseReceived(NamedTuple):
    """The `response` to `command`, whole with its listing.

    Where the command asked for a message and the response is +OK, the message follows as MessageData and MessageEnd.

    discarded: commands that had not left yet and that this response made illegal; they never will.
    """

    command: Command[object]
    response: Response
    discarded: tuple[Command[object], ...] = ()


@dataclass(frozen=True, slots=True)
class MessageData:
    """A block of the message that `command` asked for, of any size but 0, unstuffed."""

    command: Command[object]
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class MessageEnd:
    """The message is complete: its terminator was seen. It has so many `octets`."""

    command: Command[object]
    octets: int


@dataclass(frozen=True, slots=True)
class ServerClosing:
    """The server said -ERR though nothing was asked: an idle session is over, and nothing more is sent."""

    response: Response

    def __str__(self) -> str:
        return str(self.response)


@dataclass(frozen=True, slots=True)
class ConnectionClosed:
    """The server closed the connection while nothing was unanswered."""

    def __str__(self) -> str:
        return "without a word"


Event = ResponseReceived | MessageData | MessageEnd | ServerClosing | ConnectionClosed | ComputationDue
"""What `Connection.next_event` returns."""
