"""Transaction: the decisions of one mail transaction (RFC 5321 3.3), on top of a Connection and without I/O.

1. MAIL, every RCPT and DATA are queued at once: with PIPELINING they leave as one group, without it one by one. What
   happens is the same. Where recipients are very many, the next thousand is queued when few are left that wait, so that
   no call takes long.
2. The mail goes to the recipients that were accepted. Where none was, DATA is not sent; where it had left already and
   is answered 354, a lone dot follows, which the server refuses (RFC 2920 3.1).
3. A lone dot never goes out while a recipient stands accepted: it would send a blank mail. The connection is given up
   instead (`must_close`).
4. All or nothing (`on_refused="abort"`): DATA waits for every reply to RCPT, and is not sent if one is a refusal.
5. Chunks (RFC 3030) go out once every RCPT is answered and one recipient stands, unless the caller is "eager". In LMTP
   they wait even then: servers differ in whether a last chunk that is for nobody has a reply. A refused chunk ends the
   message: no chunk and no DATA follows in this transaction.
6. What was refused leaves the session with RSET, so that the next transaction begins clean. It says of itself that
   nothing more depends on it (`Rset.is_afterwards`).
7. A transaction may begin `behind` the end of the one before (RFC 2920 3.1), while that is not answered. Behind chunks
   it begins with RSET: should one of them be refused, MAIL would be out of place (RFC 3030 2).
8. Nobody else says anything of its mail (`rules`). Who wants that ended, discards what has not left or says RSET: the
   transaction then says nothing more, but RSET where that is due.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final, Literal

from .._wire.dots import MailText
from .._wire.text import octets_of
from ..errors import LocalProtocolError
from .commands import Bdat, BdatLast, Command, Data, EndOfData, Mail, Rcpt, Rset
from .connection import Connection
from .events import GroupsAnswered, ReplyReceived
from .group import Group
from .group_kind import DATA, ENVELOPE, LAST_CHUNK, VERDICT
from .opening import Opening, check_mail
from .options import MailOptions, RecipientOptions
from .outcome import Outcome
from .parameters import NO_PARAMETERS, Parameters
from .paths import Mailbox
from .reply import Reply
from .states import CLOSED, READY, State

if TYPE_CHECKING:
    from .parcel import Parcel

__all__ = ["CHUNK_SIZE", "Transaction"]

CHUNK_SIZE: Final = 128 * 1024
"""A chunk has at least so many octets, but for the last one: small blocks are gathered."""

# A server that answers so, does not know BDAT after all. It may take what follows, the chunk, for commands.
_UNKNOWN_COMMAND: Final = frozenset({500, 501, 502, 504})

# So many recipients are named at a time, some milliseconds' work, and the next when fewer than so many commands are not
# answered: more than may be in a window, which so never waits for a recipient to be named.
_AT_A_TIME: Final = 1000
_FEW: Final = 500

# Where commands go as a group, none is awaited by itself. It stays empty.
_NONE: Final[deque[Command[object]]] = deque()


class Transaction(Outcome):
    """One mail from `sender` (None: the null reverse-path) to `recipients`.

    parameters: what the message itself needs as parameters of MAIL: BODY, SMTPUTF8.
    size: how many octets the message has, which MAIL then says (SIZE, RFC 1870).
    options: what is wished for the mail; recipient_options: what is wished for each recipient, in their order.
    on_refused: "send" the mail to those recipients that are accepted, or "abort" it if one is not.
    chunking: False sends the message behind DATA; True in chunks; "eager" in chunks that do not wait for a reply to
        MAIL or RCPT, which saves a round trip and may send the message in vain. In LMTP "eager" is as True.
    chunk_size: small blocks are gathered, until a chunk has at least so many octets; the last one may have less.
    behind: the transaction before this one, if that is still to be answered: its message has been ended.

    Make it in state READY; that queues the commands, or the first thousand of very many. Then drive the connection as
    always, hand every ReplyReceived and GroupsAnswered to `receive` before the next event is taken, and whenever
    `wants_data` says so, write the next block of the message with `send_data` or end it with `end_data`; until
    `finished`. `receipt()` may be asked at any time, also after the connection is lost.

    Raises LocalProtocolError if no transaction can begin now; ValueError for what no command can hold, and for a value
    of another kind than is said here, as a text where a Mailbox belongs; NotSupported for what the server does not
    offer, and for an address beyond ASCII without SMTPUTF8 among the parameters (RFC 6531); SecurityError where
    REQUIRETLS is wished for without TLS. Nothing was queued then.
    """

    def __init__(
        self,
        connection: Connection,
        sender: Mailbox | None,
        recipients: Sequence[Mailbox],
        *,
        parameters: Mapping[str, str | None] = NO_PARAMETERS,
        size: int | None = None,
        options: MailOptions | None = None,
        recipient_options: Sequence[RecipientOptions | None] = (),
        on_refused: Literal["send", "abort"] = "send",
        chunking: bool | Literal["eager"] = False,
        chunk_size: int = CHUNK_SIZE,
        behind: "Transaction | None" = None,
    ) -> None:
        check_mail(sender, recipients, size, options, recipient_options, on_refused, chunking, chunk_size)
        if behind is None:
            connection.check_at_rest()
        elif behind._connection is not connection:
            raise LocalProtocolError("no mail transaction can begin behind one of another connection")
        elif not (connection.ahead is READY and behind.is_ended):
            raise LocalProtocolError("no mail transaction can begin behind one that is not ended, or not the last")
        if not recipients:
            raise LocalProtocolError("a mail transaction needs at least one recipient")
        if recipient_options and len(recipient_options) != len(recipients):
            raise ValueError(f"expected options for {len(recipients)} recipients, got {len(recipient_options)}")
        if type(parameters) is not Parameters:
            parameters = Parameters(parameters)
        alike = parameters, options, on_refused, chunking, size is not None
        opening = connection.opening_for(alike)
        recipients = tuple(recipients)
        opening.check_addresses(sender, recipients)
        begins_anew = behind is not None and behind.chunking is not False
        self._begin(connection, opening, sender, recipients, begins_anew=begins_anew, chunk_size=chunk_size)
        if connection.takes_envelopes and len(recipients) <= _AT_A_TIME and not any(recipient_options):
            self._group = Group(opening, sender, recipients, size, begins_anew)
            connection.send_group(self._group)
        else:
            wishes = recipient_options if any(recipient_options) else ()
            self._extensions = opening.extensions_for(wishes, connection.offered)
            self._naming = opening.naming(recipients, wishes)
            self._unnamed = len(recipients)
            self._is_open = False
            for command in opening.beginning(sender, size, begins_anew=begins_anew):
                self._send(command)
            self._name_more()
        connection.begun.add(self, is_first=behind is None)

    @classmethod
    def _of_parcel(cls, parcel: "Parcel") -> "Transaction":
        """Return the transaction of a mail that was begun as a `parcel`. It goes on from there; the parcel is over."""
        transaction = cls.__new__(cls)
        names = parcel.connection, parcel.opening, parcel.sender, parcel.recipients
        transaction._begin(*names, begins_anew=parcel.begins_anew, chunk_size=CHUNK_SIZE)
        group = parcel.group
        if group is not None and group.kind.is_step:
            # One at a time, a transaction awaits commands.
            parcel.connection._pipeline.unfold()
            for step in (group, *reversed(parcel.steps)):
                for command in step.commands:
                    transaction._await(command)
        else:
            transaction._group = group
        transaction._answered, transaction._said = parcel.answered, parcel.said
        transaction._accepted = sum(len(each.recipients) for each in parcel.answered)
        transaction._is_open = parcel.wants_message
        transaction._end, transaction._octets = parcel.end, parcel.octets
        transaction.is_ended = parcel.end is not None
        parcel.connection.begun.add(transaction, is_first=False)
        return transaction

    def _begin(
        self,
        connection: Connection,
        opening: Opening,
        sender: Mailbox | None,
        recipients: tuple[Mailbox, ...],
        *,
        begins_anew: bool,
        chunk_size: int,
    ) -> None:
        self.chunking: bool | Literal["eager"] = opening.chunking
        self.must_close: bool = False
        """The connection cannot be used again, nor be left by QUIT."""
        self.is_ended: bool = False
        """The message has been ended: another transaction may begin behind this one."""
        self._connection = connection
        self._sender = sender
        self._recipients = recipients
        self._aborts = opening.aborts
        self._extensions = opening.extensions
        self._begins_anew = begins_anew
        self._is_open = opening.is_eager  # the message may be written
        self._accepted = self._octets = 0
        self._answered, self._said, self._heard_so_far, self._end = (), b"", None, None
        self._chunk_size = chunk_size
        self._unanswered = _NONE
        self._group = None

    _unanswered: deque[Command[object]]  # of this transaction, in their order; behind...
    _group: Group | None  # ...this, if it is not answered

    # Most of what there is to be known of a transaction, most transactions never come to.

    _gathered: list[bytes] | None = None  # blocks that are to become a chunk
    _gathered_octets = 0
    _is_reset = False  # or somebody else has taken care of it
    _is_withdrawn = False
    _naming: Iterator[Rcpt] | None = None  # the commands that name those who are yet to be named...
    _unnamed = 0  # ...so many

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
        return not connection.queued_chunks and connection.state is not CLOSED

    @property
    def finished(self) -> bool:
        """Whether nothing more will come of it."""
        if self._connection.state is CLOSED:
            return True
        return not (self._is_open or self._unanswered) and self._group is None

    @property
    def says_more(self) -> bool:
        """Whether more of the mail is to be said, or may be: nobody else says anything of it."""
        return not (self.is_ended or self._is_withdrawn or self._is_reset or self.sender_refusal)

    def leave(self) -> None:
        """Take note that the mail was ended by hand: say nothing more of it, nor RSET."""
        self._is_withdrawn = self._is_reset = True
        self._say_no_more()

    def withdraw(self, discarded: frozenset[int]) -> None:
        """Take note that commands were discarded, which have these ids; if any is its own, say nothing more, but RSET
        where that is due."""
        group = self._group
        if group is not None and not discarded.isdisjoint(map(id, group.commands)):
            self._unfold()
        if discarded.isdisjoint(map(id, self._unanswered)):
            return
        self._is_withdrawn = True
        self._say_no_more()
        self._forget(discarded)
        self._rest()

    # Writing the message

    def send_data(self, block: bytes | bytearray | memoryview) -> None:
        """Write a block of the message: any line ends, dots as they are. Blocks of 64 to 256 KiB serve best. What can
        be changed is copied.

        Raises LocalProtocolError unless the message may be written, ValueError for a block of no octets' kind: then
        nothing was changed; and for a NUL in text; in chunks, where blocks are gathered, that may be one in an earlier
        block. The connection can only be cut then.
        """
        self._check_open()
        if type(block) is not bytes:
            block = octets_of("a block", block)
        if self.chunking is False:
            self._connection._write_text(block)
            return
        if self._gathered_octets >= self._chunk_size:
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

    def send_whole(self, message: bytes | bytearray | memoryview) -> None:
        """Write `message`, which is all of it, and end it: `send_data` and `end_data` in one step."""
        if not self._is_open:
            self._check_open()
        if type(message) is not MailText:
            message = octets_of("a message", message)
        if self.chunking is False:
            self._end_text(message)
        else:
            self._queue_chunk(message, last=True)

    # What was heard

    def receive(self, event: ReplyReceived | GroupsAnswered) -> bool:
        """Take the reply to one of this transaction's commands, or those to all in a group, and decide what follows.

        Returns whether it was one: the replies to other commands change nothing here.
        """
        if isinstance(event, GroupsAnswered):
            return self._receive_together(event)
        self.last_answer: ReplyReceived | None = event
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
            self._forget(frozenset(map(id, event.discarded)))
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
        if self._naming is not None and len(self._unanswered) < _FEW:
            self._name_more()
        if not self._unanswered and not self._is_open:
            self._rest()
        return True

    # Private

    def _rest(self) -> None:
        # It waits for nothing: say RSET, if that is due; else it is finished.
        if self._unanswered:
            return
        if self._must_reset:
            self._reset()
        elif self._group is None:
            self._connection.begun.take_finished()

    @property
    def _must_reset(self) -> bool:
        connection = self._connection
        if self._is_reset or connection.is_awaited:
            return False  # whoever is behind has taken care of it
        if connection.state is READY:
            # Behind a refused MAIL, a recipient that was accepted or a chunk leaves the server in a state that nobody
            # knows (RFC 3030 2).
            heard = self._heard
            return bool(self.sender_refusal and (self._accepted or heard.chunk or heard.verdicts))
        return connection.state in (State.TRANSACTION, State.CHUNKS, State.SPOILED)

    def _say_no_more(self) -> None:
        self._naming, self._is_open = None, False

    def _name_more(self) -> None:
        # Name the next recipients, if that can still be; behind the last of them the message goes on.
        if self._connection.ahead is not State.TRANSACTION:
            self._say_no_more()
            return
        for command in islice(self._naming or (), _AT_A_TIME):
            self._send(command)
            self._unnamed -= 1
        if not self._unnamed:
            self._naming = None
            if self.chunking is False and not self._aborts:
                self._send(Data())
            self._is_open = self.chunking == "eager"

    def _reset(self) -> None:
        self._is_reset = True
        self._send(Rset(is_afterwards=True))

    def _check_open(self) -> None:
        if not self._is_open:
            raise LocalProtocolError("the message cannot be written now: `wants_data` says when")

    def _send(self, command: Command[object]) -> None:
        self._connection._say(command)
        self._await(command)

    def _send_chunk(self, *, last: bool) -> None:
        gathered, self._gathered, self._gathered_octets = self._gathered or (), None, 0
        self._queue_chunk(_joined(gathered), last=last)

    def _queue_chunk(self, chunk: bytes, *, last: bool) -> None:
        command = self._connection._queue_chunk(chunk, last=last)
        if command is None:
            return
        self._octets += command.octets
        if isinstance(command, BdatLast):
            self._ends_with(command)
        else:
            self._await(command)

    def _end_text(self, message: bytes = b"") -> None:
        end = self._connection._end_text(message)
        self._octets = self._connection.data_octets
        self._ends_with(end)

    def _ends_with(self, end: BdatLast | EndOfData) -> None:
        self._end, self.is_ended = end, True
        self._is_open = False
        # It ends the group that there is, or is a group by itself, or stands alone.
        if self._group is not None and self._group.end is end:
            return
        group = self._connection.last_group
        if group is not None and group.end is end:
            self._group = group
        else:
            self._await(end)

    def _await(self, command: Command[object]) -> None:
        if self._unanswered is _NONE:
            self._unanswered = deque()
        self._unanswered.append(command)

    def _unfold(self) -> None:
        if self._group is not None:
            self._unanswered = deque((*self._group.commands, *self._unanswered))
            self._group = None

    def _receive_together(self, event: GroupsAnswered) -> bool:
        group = self._group
        if group is None or group.answer is None or group not in event.groups:
            return False
        self._group = None
        self._answered += (group,)
        self._said += group.answer
        kind = group.kind
        if kind is not VERDICT and kind is not LAST_CHUNK:
            self._accepted = len(self._recipients)
        if kind is DATA:
            self._is_open = True
        elif kind is ENVELOPE:
            if self._is_withdrawn:
                self._connection.begun.take_finished()
            elif self.chunking is not False:
                self._is_open = not self.is_ended
            else:
                self._send(Data())  # all or nothing: it is all
        else:
            # RSET is due behind a refusal alone; and the state may be that behind the mails that follow.
            self._connection.begun.take_finished()
        return True

    def _forget(self, discarded: frozenset[int]) -> None:
        self._unanswered = deque(command for command in self._unanswered if id(command) not in discarded)

    def _recipients_answered(self) -> None:
        if self._is_withdrawn:
            return
        if not self._goes_on:
            self._is_open = False
            self._forget(frozenset(map(id, self._connection._discard(self._unanswered))))
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
            if self.sender_refusal:
                # What a server holds for begun that goes on behind a refused MAIL, nobody knows. RSET leaves with the
                # dot, for the next mail may leave with it as well (RFC 2920 3.1).
                self._reset()

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


def _joined(blocks: Sequence[bytes]) -> bytes:
    # What was mended in pieces is mended as a whole, and not searched for line ends again.
    if len(blocks) == 1:
        return blocks[0]
    whole = b"".join(blocks)
    return MailText.vouch(whole) if blocks and all(type(block) is MailText for block in blocks) else whole
