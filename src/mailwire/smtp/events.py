"""Events: what the SMTP machine found in the server's bytes, one at a time."""

from dataclasses import dataclass
from typing import NamedTuple

from ..sasl.work import ComputationDue
from .commands import Command
from .group import Group
from .reply import Reply

__all__ = ["ComputationDue", "ConnectionClosed", "Event", "GroupsAnswered", "ReplyReceived", "ServerClosing"]


# There is one for each command, and a tuple costs a third of what a frozen dataclass does.
class ReplyReceived(NamedTuple):
    """The final `reply` to `command`, or the 3yz on which the client goes on.

    is_early: the reply is a verdict on the message that came before the end of it; the connection is closed.
    discarded: commands that had not left yet and that this reply made illegal; they never will.
    """

    command: Command[object]
    reply: Reply
    is_early: bool = False
    discarded: tuple[Command[object], ...] = ()


class GroupsAnswered(NamedTuple):
    """These `groups` of commands, the oldest first, were all answered as was to be expected (`Connection.groups`).

    Behind the one that ends a mail there may be those of the mails that were begun behind it: each transaction takes
    the event, in their order. What was said to a group is its `answer`.
    """

    groups: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class ServerClosing:
    """The server said 421 though nothing was asked (RFC 5321 3.8): it is about to close, and nothing more is sent."""

    reply: Reply

    def __str__(self) -> str:
        return str(self.reply)


@dataclass(frozen=True, slots=True)
class ConnectionClosed:
    """The server closed the connection while nothing was unanswered."""

    def __str__(self) -> str:
        return "without a word"


Event = ReplyReceived | GroupsAnswered | ServerClosing | ConnectionClosed | ComputationDue
"""What `Connection.next_event` returns."""
