"""Transaction: the decisions of one mail transaction (RFC 5321 3.3), on top of a Connection and without I/O.

1. MAIL, every RCPT and DATA are queued at once: with PIPELINING they leave as one group, without it one by one. What
   happens is the same.
2. The mail goes to the recipients that were accepted. Where none was, DATA is not sent; where it had left already and
   is answered 354, a lone dot follows, which the server refuses (RFC 2920 3.1).
3. A lone dot never goes out while a recipient stands accepted: it would send a blank mail. The connection is given up
   instead (`must_close`).
4. All or nothing (`on_refused="abort"`): DATA waits for every reply to RCPT, and is not sent if one is a refusal.
5. Chunks (RFC 3030) go out once every RCPT is answered and one recipient stands, unless the caller is "eager". A
   refused chunk ends the message: no chunk and no DATA follows in this transaction.
6. What was refused leaves the session with RSET, so that the next transaction begins clean.
7. A transaction may begin `behind` the end of the one before (RFC 2920 3.1), while that is not answered. Behind chunks
   it begins with RSET: should one of them be refused, MAIL would be out of place (RFC 3030 2).
"""

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Final, Literal

from .._wire.dots import MailText
from ..errors import LocalProtocolError
from .commands import Bdat, BdatLast, Command, Data, EndOfData, Mail, Rcpt, Rset
from .connection import Connection
from .delivery import Delivery, Heard
from .events import GroupAnswered, ReplyReceived
from .group import GroupKind
from .opening import Opening
from .options import MailOptions, RecipientOptions
from .outcome import receipt_of_taken, recipient_receipts, refusal_in, take_down
from .parameters import NO_PARAMETERS, Parameters
from .paths import Mailbox
from .receipt import NO_TIMINGS, Receipt
from .reply import Reply
from .states import State

__all__ = ["CHUNK_SIZE", "Transaction"]

CHUNK_SIZE: Final = 128 * 1024
"""A chunk has at least so many octets, but for the last one: small blocks are gathered."""

# A server that answers so, does not know BDAT after all. It may take what follows, the chunk, for commands.
_UNKNOWN_COMMAND: Final = frozenset({500, 501, 502, 504})


class Transaction:
    """One mail from `sender` (None: the null reverse-path) to `recipients`.

    parameters: what the message itself needs as parameters of MAIL: SIZE, BODY, SMTPUTF8.
    options: what is wished for the mail; recipient_options: what is wished for each recipient, in their order.
    on_refused: "send" the mail to those recipients that are accepted, or "abort" it if one is not.
    chunking: False sends the message behind DATA; True in chunks; "eager" in chunks that do not wait for a reply to
        MAIL or RCPT, which saves a round trip and may send the message in vain.
    behind: the transaction before this one, if that is still to be answered: its message has been ended.

    Make it in state READY; that queues the commands. Then drive the connection as always, hand every ReplyReceived to
    `receive`, and whenever `wants_data` says so, write the next block of the message with `send_data` or end it with
    `end_data`; until `finished`. `receipt()` may be asked at any time, also after the connection is lost.

    Raises LocalProtocolError if no transaction can begin now, ValueError for what no command can hold, NotSupported
    for what the server does not offer, SecurityError where REQUIRETLS is wished for without TLS; nothing was queued.
    """

    def __init__(
        self,
        connection: Connection,
        sender: Mailbox | None,
        recipients: Sequence[Mailbox],
        *,
        parameters: Mapping[str, str | None] = NO_PARAMETERS,
        options: MailOptions | None = None,
        recipient_options: Sequence[RecipientOptions | None] = (),
        on_refused: Literal["send", "abort"] = "send",
        chunking: bool | Literal["eager"] = False,
        behind: "Transaction | None" = None,
    ) -> None:
        _check_beginning(connection, behind)
        recipients = tuple(recipients)
        begins_anew = behind is not None and behind.chunking is not False
        opening = Opening.of(
            connection,
            sender,
            recipients,
            Parameters.of(parameters),
            options,
            recipient_options,
            on_refused,
            chunking,
            begins_anew=begins_anew,
        )

        self.chunking: bool | Literal["eager"] = chunking
        self._connection = connection
        self._sender = sender
        self._recipients = recipients
        self._aborts = on_refused == "abort"
        self._extensions = opening.extensions
        self._begins_anew = begins_anew
        self._is_open = chunking == "eager"  # the message may be written
        self._unanswered: deque[Command[object]] = deque()  # of this transaction, in their order; behind...
        self._group = opening.group  # ...this, if it is not answered
        if opening.group is not None:
            connection.send_group(opening.group)
        for command in opening.commands:
            self._send(command)

    # Most of what there is to be known of a transaction, most transactions never come to.

    must_close: bool = False
    """The connection cannot be used again, nor be left by QUIT."""

    is_ended: bool = False
    """The message has been ended: another transaction may begin behind this one."""

    _accepted = 0  # of the recipients
    _answered: tuple[GroupAnswered, ...] = ()  # groups, of whose replies nothing was made yet
    _heard_so_far: Heard | None = None  # what was made of replies
    _end: EndOfData | BdatLast | None = None
    _octets = 0  # of the message, as queued in chunks, or once it was ended
    _gathered: list[bytes] | None = None  # blocks that are to become a chunk
    _gathered_octets = 0
    _is_reset = False

    # What is to be done

    @property
    def wants_data(self) -> bool:
        """Whether the next block of the message, or its end, is to be written now."""
        connection = self._connection
        if not self._is_open:
            return False
        if self.chunking is False:
            return connection.accepts_data
        # One chunk at a time waits for the window: a message is not gathered in memory.
        return not connection.queued_chunks and connection.state is not State.CLOSED

    @property
    def finished(self) -> bool:
        """Whether nothing more will come of it."""
        if self._connection.state is State.CLOSED:
            return True
        return not (self._is_open or self._unanswered) and self._group is None

    # Why it failed

    @property
    def sender_refusal(self) -> Reply | None:
        """The reply that refused MAIL."""
        return refusal_in(self._heard.mail)

    @property
    def recipients_refusal(self) -> Reply | None:
        """The last refusal of a recipient, where that decided: all were refused, or one where it was all or none."""
        replies = self._heard.recipients
        if self.sender_refusal or len(replies) < len(self._recipients) or self._goes_on:
            return None
        return next(reply for reply in reversed(replies) if not reply.is_completion)

    @property
    def data_refusal(self) -> Reply | None:
        """The reply that refused DATA, a chunk, or the message for all who were left to receive it."""
        heard = self._heard
        if refusal := refusal_in(heard.data) or heard.chunk:
            return refusal
        due = max(1, self._accepted) if self._connection.is_lmtp and not heard.is_early else 1
        if len(heard.verdicts) < due or any(reply.is_completion for reply in heard.verdicts):
            return None
        return heard.verdicts[-1]

    # Writing the message

    def send_data(self, block: bytes) -> None:
        """Write a block of the message: any line ends, dots as they are. Blocks of 64 to 256 KiB serve best.

        Raises LocalProtocolError unless the message may be written, ValueError for a NUL in text; in chunks, where
        blocks are gathered, that may be one in an earlier block. The connection can only be cut then.
        """
        self._check_open()
        if self.chunking is False:
            self._connection.send_data(block)
            return
        if self._gathered_octets >= CHUNK_SIZE:
            self._send_chunk(last=False)
        self._gathered = self._gathered or []
        self._gathered.append(block)
        self._gathered_octets += len(block)

    def end_data(self) -> None:
        """End the message. From the moment that the connection hands out the end, the server may have the mail.

        Raises LocalProtocolError and ValueError as `send_data` does.
        """
        self._check_open()
        if self.chunking is False:
            self._end_text()
        else:
            self._send_chunk(last=True)

    def send_whole(self, message: bytes) -> None:
        """Write `message`, which is all of it, and end it: `send_data` and `end_data` in one step."""
        self._check_open()
        if self.chunking is False:
            self._end_text(message)
        else:
            self._queue_chunk(message, last=True)

    # What was heard

    def receive(self, event: ReplyReceived | GroupAnswered) -> bool:
        """Take the reply to one of this transaction's commands, or those to all in a group, and decide what follows.

        Returns whether it was one: the replies to other commands change nothing here.
        """
        if isinstance(event, GroupAnswered):
            return self._receive_together(event)
        command, reply = event.command, event.reply
        if event.is_early:
            if not self._is_open and self._end is not command:
                return False
            self._unfold()
        else:
            if self._group is not None and self._group.commands[0] is command:
                self._unfold()
            unanswered = self._unanswered
            if self._group is not None or not unanswered or unanswered[0] is not command:
                return False
            # In LMTP the end of the message has several replies: it stays until the last.
            if not self._connection.is_lmtp or self._connection.awaited is not command:
                unanswered.popleft()
        if event.discarded:
            self._forget(event.discarded)
        kind = type(command)  # of its own making: nothing derived from these
        if kind is Rcpt:
            replies = self._heard.recipients
            replies.append(reply)
            if reply.code < 300:
                self._accepted += 1
            if len(replies) == len(self._recipients) and not self.sender_refusal:
                self._recipients_answered()
        elif kind is Mail:
            self._heard.mail = reply
            self._is_open = self._is_open and reply.is_completion
        elif kind is Data:
            self._data_answered(reply)
        elif kind is EndOfData or kind is BdatLast:
            self._verdict_heard(reply, is_early=event.is_early)
        elif kind is Bdat:
            if not reply.is_completion:
                self._chunk_refused(reply)
        elif not reply.is_completion:  # of Rset
            self._give_up()
        if not self._unanswered and not self._is_open and self._must_reset:
            self._is_reset = True
            self._send(Rset())
        return True

    def receipt(self, timings: Mapping[str, float] = NO_TIMINGS) -> Receipt:
        """Return what is known now. `timings`: the seconds that each phase took, which the caller has measured."""
        if self._heard_so_far is None and self._answered and self._answered[-1].group.end is not None:
            write = partial(
                receipt_of_taken,
                self._sender,
                self._recipients,
                [replies for _, replies in self._answered],
                self._begins_anew,
                self._octets,
                self._extensions,
                timings,
            )
            return Receipt.to_write(Delivery.ACCEPTED, write)
        heard, connection = self._heard, self._connection
        in_doubt = self._end is not None and self._end.has_left
        words = heard.words(len(self._recipients), in_doubt=in_doubt, lmtp=connection.is_lmtp)
        reply = heard.verdicts[-1] if heard.verdicts else None
        if reply is None or reply.code >= 400 or self._accepted < len(self._recipients):
            reply = None if self.recipients_refusal else self.sender_refusal or self.data_refusal or reply
        return Receipt(
            heard.word(words, all_or_nothing=self._aborts),
            str(self._sender or ""),
            recipient_receipts(self._recipients, heard, words, lmtp=connection.is_lmtp),
            reply,
            connection.data_octets if self._is_writing_text else self._octets,
            tuple(dict.fromkeys(self._extensions)),
            timings,
        )

    # Private

    @property
    def _heard(self) -> Heard:
        heard = self._heard_so_far
        if heard is None:
            heard = self._heard_so_far = Heard()
        if self._answered:
            answered, self._answered = self._answered, ()
            for group, replies in answered:
                for command, reply in zip(group.commands, replies.read(), strict=True):
                    take_down(heard, command, reply)
        return heard

    @property
    def _goes_on(self) -> bool:
        # Behind the replies to RCPT.
        return self._accepted == len(self._recipients) if self._aborts else self._accepted > 0

    @property
    def _is_writing_text(self) -> bool:
        return self._end is None and self._heard.data is not None and self._heard.data.is_intermediate

    @property
    def _must_reset(self) -> bool:
        connection = self._connection
        if self._is_reset or connection.is_awaited:
            return False  # whoever is behind has taken care of it
        if connection.state is State.READY:
            # Behind a refused MAIL, a recipient that was accepted or a chunk that was not leaves the server in a state
            # that nobody knows (RFC 3030 2).
            heard = self._heard
            return bool(self.sender_refusal and (self._accepted or heard.chunk or heard.verdicts))
        return connection.state in (State.TRANSACTION, State.CHUNKS, State.SPOILED)

    def _check_open(self) -> None:
        if not self._is_open:
            raise LocalProtocolError("the message cannot be written now: `wants_data` says when")

    def _send(self, command: Command[object]) -> None:
        self._connection.send(command)
        self._unanswered.append(command)

    def _send_chunk(self, *, last: bool) -> None:
        gathered, self._gathered, self._gathered_octets = self._gathered or (), None, 0
        self._queue_chunk(_joined(gathered), last=last)

    def _queue_chunk(self, chunk: bytes, *, last: bool) -> None:
        command = self._connection.send_chunk(chunk, last=last)
        if command is None:
            return
        self._octets += command.octets
        if isinstance(command, BdatLast):
            self._end, self.is_ended = command, True
            self._is_open = False
        self._await(command)

    def _end_text(self, message: bytes = b"") -> None:
        self._end, self.is_ended = self._connection.end_data(message), True
        self._octets = self._connection.data_octets
        self._is_open = False
        self._await(self._end)

    def _await(self, command: Bdat | EndOfData) -> None:
        # The command ends the group that there is, or is a group by itself, or stands alone.
        if self._group is not None and self._group.end is command:
            return
        group = self._connection.last_queued_group
        if group is not None and group.end is command:
            self._group = group
        else:
            self._unanswered.append(command)

    def _unfold(self) -> None:
        if self._group is not None:
            self._unanswered.extendleft(reversed(self._group.commands))
            self._group = None

    def _receive_together(self, event: GroupAnswered) -> bool:
        group = event.group
        if group is not self._group:
            return False
        self._group = None
        self._answered += (event,)
        if group.kind is GroupKind.ENVELOPE or group.kind is GroupKind.DATA:
            self._accepted = len(self._recipients)
            if group.kind is GroupKind.DATA:
                self._is_open = True
            elif self.chunking is not False:
                self._is_open = not self.is_ended
            else:
                self._send(Data())  # all or nothing: it is all
        elif group.kind is GroupKind.CHUNK:
            self._accepted = len(self._recipients)
        return True

    def _forget(self, discarded: Collection[Command[object]]) -> None:
        gone = {id(command) for command in discarded}
        self._unanswered = deque(command for command in self._unanswered if id(command) not in gone)

    def _recipients_answered(self) -> None:
        if not self._goes_on:
            self._is_open = False
            self._forget(self._connection.discard_queued(self._unanswered))
        elif self.chunking is not False:
            self._is_open = self._end is None and self._heard.chunk is None
        elif self._aborts:
            self._send(Data())

    def _data_answered(self, reply: Reply) -> None:
        self._heard.data = reply
        if not reply.is_intermediate:
            return
        if self._goes_on and not self.sender_refusal:
            self._is_open = True
        elif self._accepted or self._connection.is_lmtp:
            # The server awaits a message that is for nobody. A recipient accepted behind a refused MAIL is one that a
            # dot might reach all the same; and LMTP has no reply to a message that is for nobody.
            self._give_up()
        else:
            self._end_text()

    def _chunk_refused(self, reply: Reply) -> None:
        self._heard.chunk = self._heard.chunk or reply
        self._is_open = False
        # How often LMTP answers the last chunk behind a refused one, its standard does not say.
        if reply.code in _UNKNOWN_COMMAND or (self._connection.is_lmtp and self._end in self._unanswered):
            self._give_up()

    def _verdict_heard(self, reply: Reply, *, is_early: bool) -> None:
        self._heard.verdicts.append(reply)
        self._heard.is_early = is_early
        self._is_open = False
        # What was refused before cannot be taken in the end: this server has lost count.
        lost_count = reply.is_completion and (self._heard.chunk or (self.sender_refusal and self._accepted))
        if lost_count or (isinstance(self._end, BdatLast) and reply.code in _UNKNOWN_COMMAND):
            self._give_up()

    def _give_up(self) -> None:
        self.must_close = True
        self._is_open = False
        self._connection.give_up()


def _check_beginning(connection: Connection, behind: Transaction | None) -> None:
    if behind is None:
        begins = connection.state is State.READY and not connection.is_awaited
    else:
        begins = behind.is_ended and behind._connection is connection and connection.ahead is State.READY
    if not begins:
        raise LocalProtocolError(f"no mail transaction can begin in state {connection.state.name}")


def _joined(blocks: Sequence[bytes]) -> bytes:
    # What was mended in pieces is mended as a whole, and not searched for line ends again.
    if len(blocks) == 1:
        return blocks[0]
    whole = b"".join(blocks)
    return MailText.vouch(whole) if blocks and all(type(block) is MailText for block in blocks) else whole
