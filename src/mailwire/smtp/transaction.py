"""Transaction: the decisions of one mail transaction (RFC 5321 3.3), on top of a Connection and without I/O.

1. MAIL, every RCPT and DATA are queued at once: with PIPELINING they leave as one group, without it one by one. What
   happens is the same.
2. The mail goes to the recipients that were accepted. Where none was, DATA is not sent; where it had left already and
   is answered 354, a lone dot follows, which the server refuses (RFC 2920 3.1).
3. A lone dot never goes out while a recipient stands accepted: it would send a blank mail. The connection is given up
   instead (`must_close`).
4. What was refused before the end of data leaves the session with RSET, so that the next transaction begins clean.
"""

from collections.abc import Mapping, Sequence

from ..errors import LocalProtocolError
from .commands import Data, EndOfData, Mail, Rcpt, Rset
from .connection import Connection
from .events import ReplyReceived
from .paths import Mailbox
from .receipt import Delivery, Receipt, RecipientReceipt
from .reply import Reply
from .states import State

__all__ = ["Transaction"]


class Transaction:
    """One mail from `sender` (None: the null reverse-path) to `recipients`, with the ESMTP `parameters` of MAIL.

    Make it in state READY; that queues the commands. Then drive the connection as always, hand every ReplyReceived to
    `receive`, and write the message with the connection's `send_data` and `end_data` when `wants_data` says so, until
    `finished`. `receipt()` may be asked at any time, also after the connection is lost.

    Raises LocalProtocolError if no transaction can begin now, ValueError for what no command can hold.
    """

    def __init__(
        self,
        connection: Connection,
        sender: Mailbox | None,
        recipients: Sequence[Mailbox],
        *,
        parameters: Mapping[str, str | None] | None = None,
    ) -> None:
        commands = [Mail(sender, parameters or {}), *(Rcpt(recipient) for recipient in recipients), Data()]
        if not recipients:
            raise LocalProtocolError("a mail transaction needs at least one recipient")
        if connection.state is not State.READY or connection.awaited is not None:
            raise LocalProtocolError(f"no mail transaction can begin in state {connection.state.name}")
        self.must_close = False  # the connection cannot be used again, nor be left by QUIT
        self._connection = connection
        self._sender = sender
        self._recipients = tuple(recipients)
        self._mail_reply: Reply | None = None
        self._rcpt_replies: list[Reply] = []
        self._accepted = 0  # of the recipients
        self._octets = 0  # of the message, once it was answered
        self._data_reply: Reply | None = None
        self._final_reply: Reply | None = None
        self._in_doubt = False  # the whole message went out, and the reply to it tells nothing about it
        for command in commands:
            connection.send(command)

    @property
    def wants_data(self) -> bool:
        """Whether the message is to be written now."""
        return self._connection.accepts_data and not self.must_close

    @property
    def finished(self) -> bool:
        """Whether nothing more will come of it."""
        connection = self._connection
        return self.must_close or connection.state is State.CLOSED or connection.awaited is None

    @property
    def sender_refusal(self) -> Reply | None:
        """The reply that refused MAIL."""
        return _refusal(self._mail_reply)

    @property
    def recipients_refusal(self) -> Reply | None:
        """The last reply to RCPT, where every recipient was refused."""
        if self.sender_refusal or self._accepted or len(self._rcpt_replies) < len(self._recipients):
            return None
        return self._rcpt_replies[-1]

    @property
    def data_refusal(self) -> Reply | None:
        """The reply that refused DATA or the message."""
        return _refusal(self._data_reply) or _refusal(self._final_reply)

    def receive(self, event: ReplyReceived) -> None:
        """Take the reply to one of this transaction's commands, and decide what follows."""
        command, reply = event.command, event.reply
        if isinstance(command, Mail):
            self._mail_reply = reply
        elif isinstance(command, Rcpt):
            self._rcpt_replies.append(reply)
            self._accepted += reply.is_completion
            if self.recipients_refusal:
                self._connection.discard_queued()
        elif isinstance(command, Data):
            self._data_reply = reply
            if reply.is_intermediate and (self.sender_refusal or self.recipients_refusal):
                self._decline_data()
        elif isinstance(command, EndOfData):
            self._final_reply = reply
            self._octets = self._connection.data_octets
            self._in_doubt = reply.code == 421 and not event.is_early
        elif isinstance(command, Rset) and not reply.is_completion:
            self.must_close = True
        if self.finished and self._connection.state is State.TRANSACTION and not self.must_close:
            self._connection.send(Rset())

    def receipt(self) -> Receipt:
        """Return what is known now."""
        verdict = self._verdict()
        return Receipt(
            delivery=verdict,
            sender=str(self._sender or ""),
            recipients=tuple(
                self._recipient_receipt(place, recipient, verdict) for place, recipient in enumerate(self._recipients)
            ),
            reply=None if self.recipients_refusal else self.sender_refusal or self.data_refusal or self._final_reply,
            octets=self._connection.data_octets if self._is_writing else self._octets,
        )

    @property
    def _is_writing(self) -> bool:
        # The message was asked for, and is not answered.
        return self._data_reply is not None and self._data_reply.is_intermediate and self._final_reply is None

    def _decline_data(self) -> None:
        # The server awaits a message that is for nobody. A recipient accepted behind a refused MAIL is one that a dot
        # might reach all the same.
        if self._accepted:
            self.must_close = True
        else:
            self._connection.end_data()

    def _verdict(self) -> Delivery:
        if self.sender_refusal or self.recipients_refusal:
            return Delivery.REFUSED
        if self._final_reply is not None and self._final_reply.is_completion:
            return Delivery.ACCEPTED
        if self._in_doubt:
            return Delivery.UNKNOWN  # 421 says that the server closes, and nothing about the message
        if self.data_refusal:
            return Delivery.REFUSED
        if self._is_writing and any(isinstance(command, EndOfData) for command in self._connection.in_flight):
            return Delivery.UNKNOWN
        return Delivery.NOT_SENT

    def _recipient_receipt(self, place: int, recipient: Mailbox, verdict: Delivery) -> RecipientReceipt:
        if self.sender_refusal:
            return RecipientReceipt(str(recipient), None, Delivery.REFUSED)
        if place >= len(self._rcpt_replies):
            return RecipientReceipt(str(recipient), None, Delivery.NOT_SENT)
        reply = self._rcpt_replies[place]
        return RecipientReceipt(str(recipient), reply, verdict if reply.is_completion else Delivery.REFUSED)


def _refusal(reply: Reply | None) -> Reply | None:
    return reply if reply is not None and (reply.is_transient or reply.is_permanent) else None
