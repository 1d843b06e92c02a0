"""Group: the commands of a mail transaction as one thing (RFC 2920 3.1). They leave together; and where each is
answered as is to be expected, they are answered together, in one step.

1. A group is its commands and nothing else. Whatever does not go as expected unfolds it into them, where it stands, and
   each is answered by itself.
2. What is expected, its kind says (`group_kind`).
3. Commands and replies are made of a group when somebody looks at them.
4. Where the server does not pipeline, each command is a group by itself, a step: it leaves when the one before it is
   answered.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from .._wire.trace import Elided, Several, Traceable
from .commands import BdatLast, Command, Data, EndOfData, Mail, Rcpt, Rset
from .group_kind import (
    CHUNK,
    DATA,
    DONE_ALONE,
    GO_AHEAD,
    RECIPIENT,
    RESET,
    SENDER,
    VERDICT,
    GroupKind,
    expected,
)
from .opening import Opening
from .paths import Mailbox
from .reply import Reply

__all__ = ["Group", "Replies", "weight"]

# So many octets of a chunk take one of the window's: 8 KiB of commands or 1 MiB of chunks. A server reads a chunk to
# its end before it answers, so chunks cannot make both sides wait; what the window bounds is what is sent in vain
# behind a refusal, and held in memory.
_CHUNK_WEIGHT: Final = 128


def weight(line: bytes, chunk_octets: int = 0) -> int:
    """Return how many of a window's octets `line` takes, and the chunk of so many octets behind it."""
    return len(line) + chunk_octets // _CHUNK_WEIGHT


_GO_ON_ALONE: Final = expected(GO_AHEAD, 1)
_RSET: Final = Rset().encode()


class Replies(bytes, Several):
    """The replies to a group, as they came: each is one line."""

    __slots__ = ()

    def read(self) -> tuple[Reply, ...]:
        """Return them."""
        return tuple([Reply(int(line[:3]), (line[4:],)) for line in self[:-2].split(b"\r\n")])

    def parts(self) -> Sequence[Traceable]:
        return self.read()


class Group(Several):
    """The commands of a mail transaction from `sender` to `recipients` that leave together: the envelope, as `opening`
    has it, and DATA if that is to follow at once.

    announced: how many octets MAIL says that the message has, None if it does not.
    begins_anew: RSET goes before MAIL.
    """

    __slots__ = (
        "_announced",
        "_begins_anew",
        "_commands",
        "_opening",
        "_sender",
        "answer",
        "awaited",
        "chunk",
        "cost",
        "end",
        "ends_group",
        "is_binary",
        "kind",
        "message_octets",
        "pattern",
        "recipients",
        "size",
        "text",
    )

    stands_alone = False

    message_octets: int

    def __init__(
        self,
        opening: Opening,
        sender: Mailbox | None,
        recipients: tuple[Mailbox, ...],
        announced: int | None = None,
        begins_anew: bool = False,
    ) -> None:
        wording = opening.wording_for(sender, recipients, begins_anew)
        head, tail = wording.head, wording.tail
        self.kind: GroupKind = opening.kind
        """What they are."""
        self.recipients: Sequence[Mailbox] = recipients
        self.awaited: type[Command[object]] = Rset if begins_anew else Mail
        """The kind of the first command."""
        self.ends_group: bool = opening.has_data
        """Whether what follows must wait for the answers."""
        self.is_binary: bool = opening.is_binary
        """Whether the message is announced as binary."""
        self.size: int = wording.command_count
        """How many commands there are."""
        self.pattern: re.Pattern[bytes] = wording.pattern
        """What the replies look like, if all goes as is to be expected."""
        self.text: bytes = head + tail if announced is None else b"%b%d%b" % (head, announced, tail)
        """What leaves for them, without a chunk. What has left is not kept."""
        self.cost: int = len(self.text)
        """What it takes of a window's octets."""
        self.chunk: bytes = b""
        self.end: BdatLast | EndOfData | None = None
        """The command that ends the message, if that is in it. There are so many `message_octets` then."""
        self.answer: bytes | None = None
        """The replies, as they came; None before, and where they are not those that were to be expected."""
        self._opening = opening
        self._sender = sender
        self._announced = announced
        self._begins_anew = begins_anew
        self._commands: tuple[Command[object], ...] = ()

    @classmethod
    def ending(
        cls, kind: GroupKind, end: BdatLast | EndOfData, text: bytes, message_octets: int, chunk: bytes = b""
    ) -> "Group":
        """Return the group that is the end of a message alone: a LAST_CHUNK, or the VERDICT on mail data."""
        group = cls.__new__(cls)
        group.kind = kind
        group.recipients = ()
        group.pattern = DONE_ALONE
        group.awaited = type(end)
        group.ends_group = False
        group.size = 1
        group.text = text
        group.cost = 0 if kind is VERDICT else weight(text, len(chunk))
        group.chunk = chunk
        group.end = end
        group.message_octets = message_octets
        group.answer = None
        group._commands = (end,)
        return group

    @classmethod
    def in_steps(
        cls,
        opening: Opening,
        sender: Mailbox | None,
        recipients: tuple[Mailbox, ...],
        announced: int | None,
        begins_anew: bool,
    ) -> "list[Group]":
        """Return the same commands in steps, each as a group by itself, for a server that does not pipeline."""
        wording = opening.wording_for(sender, recipients, begins_anew)
        head, lines = wording.head, wording.lines
        steps: list[Group] = []
        if begins_anew:
            steps.append(cls._step(RESET, Rset, _RSET, DONE_ALONE, (), (Rset(),)))
            head = head.removeprefix(_RSET)
        text = head + lines[0] if announced is None else b"%b%d%b" % (head, announced, lines[0])
        mail = cls._step(SENDER, Mail, text, DONE_ALONE)
        mail._opening, mail._sender, mail._announced, mail._begins_anew = opening, sender, announced, False
        steps.append(mail)
        for recipient, line in zip(recipients, lines[1:], strict=False):  # DATA is behind them
            steps.append(cls._step(RECIPIENT, Rcpt, line, DONE_ALONE, (recipient,)))
        if opening.has_data:
            steps.append(cls._step(GO_AHEAD, Data, lines[-1], _GO_ON_ALONE, (), (Data(),)))
        steps[0].is_binary = opening.is_binary
        return steps

    @classmethod
    def _step(
        cls,
        kind: GroupKind,
        awaited: type[Command[object]],
        text: bytes,
        pattern: re.Pattern[bytes],
        recipients: Sequence[Mailbox] = (),
        commands: tuple[Command[object], ...] = (),
    ) -> "Group":
        group = cls.__new__(cls)
        group.kind = kind
        group.recipients = recipients
        group.pattern = pattern
        group.awaited = awaited
        group.ends_group = True
        group.size = 1
        group.text = text
        group.cost = len(text)
        group.chunk = b""
        group.end = None
        group.answer = None
        group._commands = commands
        return group

    def add_chunk(self, command: BdatLast, chunk: bytes) -> None:
        """Let the one chunk of the message follow the envelope."""
        self.kind = CHUNK
        self.size = size = self.size + 1
        self.pattern = expected(CHUNK, size)
        self.text = text = self.text + command.encode()
        self.message_octets = octets = len(chunk)
        self.cost = weight(text, octets)
        self.chunk = chunk
        self.end = command
        self._commands = ()
        command.left_behind_others = True

    @property
    def commands(self) -> tuple[Command[object], ...]:
        """The commands, in their order; each time the same."""
        if not self._commands:
            begin: Sequence[Command[object]] = ()
            if self.kind is not RECIPIENT:
                begin = self._opening.beginning(self._sender, self._announced, begins_anew=self._begins_anew)
            data = (Data(),) if self.kind is DATA else ()
            end = () if self.end is None else (self.end,)
            self._commands = (*begin, *map(Rcpt, self.recipients), *data, *end)
        return self._commands

    def unfolded(self) -> Iterator[tuple[Command[object], bytes, int, bytes, int]]:
        """Return each command as a pipeline holds it: with what leaves for it, what that takes of a window's octets,
        its chunk, and 1."""
        for command in self.commands:
            if isinstance(command, EndOfData):
                yield command, self.text, 0, b"", 1
            else:
                line = command.encode()
                chunk, octets = (self.chunk, self.message_octets) if command is self.end else (b"", 0)
                yield command, line, weight(line, octets), chunk, 1

    def parts(self) -> Sequence[Traceable]:
        said: list[Traceable] = list(self.commands)
        if self.end is not None:
            said.insert(-1 if self.kind is VERDICT else len(said), Elided(self.message_octets))
        return said
