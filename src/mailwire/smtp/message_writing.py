"""Message writing: what goes out behind the commands of a mail: its text behind DATA, or its chunks (RFC 3030).

A `Connection` has it of this; it is no class by itself.
"""

from .._wire.dots import MailText
from .._wire.text import octets_of
from ..errors import LocalProtocolError, NotSupported
from .commands import Bdat, BdatLast, Command, EndOfData
from .extensions import Extensions
from .group import Group, weight
from .group_kind import LAST_CHUNK, VERDICT, GroupKind
from .grouped_pipeline import GroupedPipeline
from .mail_data import Chunks, Text
from .rules import Begun
from .states import READY, TRANSACTION, State, transition

__all__ = ["MessageWriting"]


class MessageWriting:
    """The part of a connection that messages are written to."""

    state: State
    ahead: State
    begun: Begun
    extensions: Extensions | None
    is_lmtp: bool
    last_group: Group | None
    queued_chunks: int
    takes_groups: bool

    _chunks: Chunks | None
    _is_binary: bool
    _pipeline: GroupedPipeline
    _text: Text

    def send_data(self, block: bytes | bytearray | memoryview) -> None:
        """Write a block of the message: any line ends, dots as they are. Blocks of 64 to 256 KiB serve best. What can
        be changed is copied.

        Raises LocalProtocolError unless DATA was answered 354 and the message is not ended yet, and where it is a
        Transaction's; ValueError for a NUL, and for a block of no octets' kind: then nothing was changed.
        """
        self.begun.refuse("a message")
        self._write_text(octets_of("a block", block))

    def _write_text(self, block: bytes) -> None:
        self._pipeline.write(self._open_text().feed(block))

    def end_data(self, block: bytes | bytearray | memoryview = b"") -> EndOfData:
        """End the message, behind `block`. From the moment that `data_to_send()` returns its last dot, the server may
        have the mail.

        The message's reply comes as the answer to the `EndOfData` returned. The next message's commands may be sent
        behind it. Raises what `send_data` raises.
        """
        self.begun.refuse("the end of a message")
        return self._end_text(octets_of("a block", block))

    def _end_text(self, block: bytes) -> EndOfData:
        text = self._open_text()
        last = text.end_with(block)
        if self.takes_groups and not self.is_lmtp:
            self._queue_end(VERDICT, text.end, last, text.octets)
        else:
            self._pipeline.queue(text.end, last, 0)
            self.ahead = READY
        return text.end

    def _end_whole_text(self, message: MailText) -> Group:
        # All of the text in one, as whole lines, for a connection that takes groups and is not one of LMTP.
        text = self._open_text()
        last = text.whole(message)
        return self._queue_end(VERDICT, text.end, last, text.octets)

    def _queue_end(
        self, kind: GroupKind, end: BdatLast | EndOfData, last: bytes, octets: int, chunk: bytes = b""
    ) -> Group:
        # The end of a message by itself (`Group.ending`).
        group = self.last_group = Group.ending(kind, end, last, octets, chunk)
        self._pipeline.queue_group(group)
        self.ahead = READY
        return group

    def send_chunk(self, block: bytes | bytearray | memoryview, *, last: bool = False) -> Bdat | None:
        """Queue a piece of the message as a chunk of its own (RFC 3030), with the last if it is the `last`.

        The command for it is returned, with its exact length: line ends are mended, unless MAIL said that the message
        is binary (BODY=BINARYMIME). It is None if the block is nothing yet, only the first half of a line end. From
        the moment that `data_to_send()` returns the last chunk, the server may have the mail. Chunks of 64 to 256 KiB
        serve best; `queued_chunks` tells how many have not left.

        Raises LocalProtocolError where no chunk may stand, and where it is a Transaction's; NotSupported unless the
        server announced CHUNKING, ValueError for a NUL in text and a block of no octets' kind; in any case nothing was
        changed.
        """
        self.begun.refuse("a chunk")
        return self._queue_chunk(octets_of("a block", block), last=last)

    def _queue_chunk(self, block: bytes, *, last: bool) -> Bdat | None:
        row = transition(self.ahead, BdatLast if last else Bdat)
        if row is None:
            raise LocalProtocolError(f"no chunk can be sent now: {self._situation()}")
        if self.extensions is None or "CHUNKING" not in self.extensions.names:
            raise NotSupported("the server does not offer CHUNKING", extension="CHUNKING")
        command: Bdat | None
        chunk: bytes
        if last and self._chunks is None and type(block) is MailText and block.endswith(b"\n"):
            command, chunk = BdatLast(len(block)), block  # nothing more is to be done
        else:
            if self._chunks is None:
                self._chunks = Chunks(is_binary=self._is_binary)
            command, chunk = self._chunks.cut(block, last=last)
        if command is not None:
            if not (isinstance(command, BdatLast) and self._queue_only_chunk(command, chunk)):
                line = command.encode()
                self._pipeline.queue(command, line, weight(line, len(chunk)), chunk)
            self.queued_chunks += 1
            self.ahead = row.ahead
        return command

    def _queue_only_chunk(self, command: BdatLast, chunk: bytes) -> bool:
        # With its envelope, or by itself behind that; False if there are others, or it is to be answered several times.
        if not self.takes_groups or self.is_lmtp or self.ahead is not TRANSACTION:
            return False
        pipeline = self._pipeline
        group = pipeline.add_chunk(command, chunk)
        if group is None:
            if pipeline.awaits_answer or pipeline.has_queued:
                return False  # its envelope is not answered yet
            self._queue_end(LAST_CHUNK, command, command.encode(), len(chunk), chunk)
        else:
            self.last_group = group
        return True

    def _queue_whole_chunk(self, message: MailText) -> Group:
        # All of the message in one, behind an envelope that is answered; else as `_end_whole_text`.
        if self.ahead is not TRANSACTION:
            raise LocalProtocolError(f"no chunk can be sent now: {self._situation()}")
        command = BdatLast(len(message))
        self.queued_chunks += 1
        return self._queue_end(LAST_CHUNK, command, command.encode(), len(message), message)

    def _open_text(self) -> Text:
        if self._text.is_ended:
            raise LocalProtocolError(f"no message can be written now: {self._situation()}")
        return self._text

    def _situation(self) -> str:
        text = f"the connection is in state {self.state.name} ({self.state.value})"
        waiting: list[Command[object]] = [*self._pipeline.in_flight, *self._pipeline.queued]
        return f"{text}, with {waiting[-1]} not answered yet" if waiting else text
