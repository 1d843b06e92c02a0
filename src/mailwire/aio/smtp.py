"""SMTPClient: sends mail over one connection."""

from collections.abc import Iterable
from contextlib import aclosing
from typing import TypeVar

from ..endpoint import Endpoint
from ..errors import (
    ConnectionLost,
    DataRefused,
    LocalProtocolError,
    MailwireError,
    RecipientsRefused,
    SenderRefused,
)
from ..message import Content, Envelope, MessagePolicy, MessageSource, Outgoing
from ..smtp import (
    LOCKSTEP,
    PIPELINING_WINDOW,
    Auth,
    Command,
    Connection,
    Delivery,
    Event,
    Extensions,
    Quit,
    Receipt,
    Reply,
    ReplyReceived,
    StartTls,
    State,
    Transaction,
)
from ..transcript import Transcript
from .client import Client
from .dialogue import Dialogue, raise_refusal
from .initiation import Initiation, can_do_with_helo
from .session import Session

__all__ = ["SMTPClient"]

T = TypeVar("T")


class SMTPClient(Client[Event]):
    """A connection to an SMTP server.

    endpoint: an Endpoint or its URL.
    transcript: where the dialogue is recorded; by default the last 100 entries are kept, and errors show the end of it.

    ::

        async with SMTPClient("smtps://me:secret@smtp.example.org") as client:
            receipt = await client.send(message)

    The client may be shared among tasks: calls queue up. After a deadline, a cancellation or a fault of the server in
    the middle of a call, the connection is dead and the client no longer `is_connected`; `connect()` makes a new one.
    """

    def __init__(self, endpoint: Endpoint | str, *, transcript: Transcript | None = None) -> None:
        super().__init__(endpoint, "smtp", transcript)
        self.last_receipt: Receipt | None = None
        """What is known about the last mail that was begun, also where its `send` was cancelled."""
        self._connection = self._new_machine()
        self._dialogue: Dialogue | None = None  # with the server that we are connected to, or were
        self._hangs_up_on_ehlo = False

    @property
    def extensions(self) -> Extensions:
        """What the server announces; nothing before it was asked."""
        return self._connection.extensions or Extensions()

    # Calls

    async def send(
        self,
        message: MessageSource | Content,
        *,
        sender: str | None = None,
        recipients: str | Iterable[str] | None = None,
        policy: MessagePolicy | None = None,
    ) -> Receipt:
        """Send one message.

        message: an email.message.EmailMessage; or the octets of a message with any line ends, as bytes, a text, a path,
            a binary file, an iterable or an asynchronous iterable of bytes.
        sender, recipients: the envelope; by default what the message's header says. A `sender` of "" is the null
            reverse-path. With octets for a message, both must be given.
        policy: how the message is taken, by default as MessagePolicy() says.

        The mail goes to the recipients that the server accepts; those it refuses are told by the receipt that comes
        back. Raises SenderRefused, RecipientsRefused (all of them), DataRefused, NotSupported, InvalidMessage,
        SourceFailed, ConnectionLost, DeadlineExceeded, ProtocolError; each with `delivery` and `receipt` (RFC 5321
        3.3).
        """
        receipt: Receipt | None = None
        try:
            content = message if isinstance(message, Content) else Content(message, policy or MessagePolicy())
            envelope = Envelope.of(content, sender, recipients)
            receipt = envelope.receipt_before_sending()
            await content.check()
            async with self._call():
                outgoing = await Outgoing.prepare(content, envelope, self.extensions)
                transaction = Transaction(
                    self._connection, envelope.sender, envelope.recipients, parameters=outgoing.mail_parameters
                )
                try:
                    last = await self._transact(self._talk, transaction, outgoing)
                finally:
                    self.last_receipt = receipt = transaction.receipt()
                _raise_refused(transaction, receipt)
                if receipt.delivery is not Delivery.ACCEPTED:
                    raise_refusal(last)  # 421: the server took its leave in the middle of the mail
        except MailwireError as error:
            error.receipt = receipt
            error.delivery = receipt.delivery if receipt else Delivery.NOT_SENT
            raise
        return receipt

    async def execute(self, command: Command[T]) -> T:
        """Send `command` and return what its reply means.

        Raises ReplyError if it is refused, AuthenticationFailed if it is an Auth; SecurityError for an Auth that would
        give a password away on a link without TLS. TLS is begun by `connect` alone: LocalProtocolError for StartTls.
        """
        if isinstance(command, StartTls):
            raise LocalProtocolError('TLS is begun by connect(): set tls="starttls" in the endpoint')
        async with self._call() as session:
            return command.parse(await self._execute(session, command))

    async def quit(self) -> None:
        """Take leave and close the connection. Never raises for what the server does then: no mail depends on it."""
        try:
            async with self._call() as session:
                await self._talk.ask(Quit())
                await session.close()
        except MailwireError:
            pass
        finally:
            self.abort()

    # Connecting

    def _new_machine(self) -> Connection:
        window = PIPELINING_WINDOW if self.endpoint.pipelining else LOCKSTEP
        self._connection = Connection(window=window, trace=self._record)
        return self._connection

    async def _establish(self) -> None:
        self._hangs_up_on_ehlo = False
        try:
            await super()._establish()
        except ConnectionLost:
            # Some servers from before RFC 1869 answer EHLO by hanging up. They are asked once more, with HELO.
            if not (self._hangs_up_on_ehlo and can_do_with_helo(self.endpoint)):
                raise
            self.abort()
            await super()._establish()

    async def _begin(self, session: Session[Event]) -> None:
        self._dialogue = Dialogue(session, self._connection)
        initiation = Initiation(self._dialogue, self.endpoint, hangs_up_on_ehlo=self._hangs_up_on_ehlo)
        try:
            await initiation.run()
        finally:
            self._hangs_up_on_ehlo = initiation.hangs_up_on_ehlo
        self.mechanism = initiation.mechanism

    async def _execute(self, session: Session[Event], command: Command[object]) -> Reply:
        if not isinstance(command, Auth):
            return await self._talk.ask(command)
        if command.mechanism.exposes_password:
            self._refuse_exposure(session, command)
        return await self._talk.log_in(command)

    # Sending

    async def _transact(self, dialogue: Dialogue, transaction: Transaction, outgoing: Outgoing) -> ReplyReceived:
        while True:
            if transaction.wants_data:
                await self._write(dialogue.session, transaction, outgoing)
            received = await dialogue.next_reply()
            transaction.receive(received)
            if transaction.finished:
                break
        if transaction.must_close:
            self.abort()
        return received

    async def _write(self, session: Session[Event], transaction: Transaction, outgoing: Outgoing) -> None:
        # A server may refuse the message before its end (552) and stop reading: then that is the answer.
        async with aclosing(outgoing.blocks()) as blocks:
            async for block in blocks:
                session.flush()
                if not await session.wait_writable():
                    return
                transaction.send_data(block)
        transaction.end_data()  # leaves in one write with the last block

    @property
    def _talk(self) -> Dialogue:
        if self._dialogue is None:
            raise AssertionError("where there is a session, there is a dialogue")
        return self._dialogue

    @property
    def _is_clean(self) -> bool:
        connection = self._connection
        if connection.awaited is not None or connection.state not in (State.INITIATION, State.READY, State.TRANSACTION):
            return False
        return not self._talk.is_over


def _raise_refused(transaction: Transaction, receipt: Receipt) -> None:
    if (reply := transaction.sender_refusal) is not None:
        raise SenderRefused(f"MAIL was refused: {reply}", command=f"MAIL FROM:<{receipt.sender}>", reply=reply)
    if (reply := transaction.recipients_refusal) is not None:
        raise RecipientsRefused(f"every recipient was refused: {reply}", command="RCPT", reply=reply)
    if (reply := transaction.data_refusal) is not None:
        raise DataRefused(f"the message was refused: {reply}", command="DATA", reply=reply)
