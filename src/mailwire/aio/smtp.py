"""SMTPClient: sends mail over one connection."""

from collections.abc import Iterable
from contextlib import aclosing
from functools import partial
from ipaddress import ip_address
from typing import Final, TypeVar

from ..endpoint import Endpoint
from ..errors import (
    AuthenticationFailed,
    ConnectionLost,
    DataRefused,
    LocalProtocolError,
    MailwireError,
    NotSupported,
    RecipientsRefused,
    ReplyError,
    SecurityError,
    SenderRefused,
    TLSFailed,
)
from ..message import Content, Envelope, MessagePolicy, MessageSource, Outgoing
from ..sasl.mechanism import Mechanism
from ..smtp import (
    LOCKSTEP,
    PIPELINING_WINDOW,
    Auth,
    Command,
    Connection,
    Data,
    Delivery,
    Ehlo,
    EndOfData,
    Event,
    Extensions,
    Helo,
    Quit,
    Receipt,
    Reply,
    ReplyReceived,
    StartTls,
    State,
    Transaction,
)
from ..transcript import Transcript
from .authentication import MechanismUnavailable, authenticate, oauth_failure, situation_of
from .client import Client
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
            async with self._call() as session:
                outgoing = await Outgoing.prepare(content, envelope, self.extensions)
                transaction = Transaction(
                    self._connection, envelope.sender, envelope.recipients, parameters=outgoing.mail_parameters
                )
                try:
                    last = await self._transact(session, transaction, outgoing)
                finally:
                    self.last_receipt = receipt = transaction.receipt()
                _raise_refused(transaction, receipt)
                if receipt.delivery is not Delivery.ACCEPTED:
                    _raise_refusal(last)  # 421: the server took its leave in the middle of the mail
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
                await self._ask(session, Quit())
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
            if not (self._hangs_up_on_ehlo and self._can_do_with_helo):
                raise
            self.abort()
            await super()._establish()

    async def _begin(self, session: Session[Event]) -> None:
        _raise_refusal(_reply(await session.greeting()))
        await self._say_hello(session)
        if self.endpoint.tls == "starttls":
            await self._start_tls(session)
            await self._say_hello(session)
        if self.endpoint.auth is not None:
            situation = situation_of(self.endpoint, session.stream, self.extensions.mechanisms)
            attempt = partial(self._attempt, session)
            self.mechanism = await authenticate(self.endpoint, self.endpoint.auth, situation, attempt)

    async def _say_hello(self, session: Session[Event]) -> None:
        name = self.endpoint.local_hostname or _address_literal(session.stream.local_address)
        if self._hangs_up_on_ehlo:
            await self._ask(session, Helo(name))
            return
        session.has_heard = False
        try:
            await self._ask(session, Ehlo(name))
        except ConnectionLost:
            self._hangs_up_on_ehlo = not session.has_heard
            raise
        except ReplyError as error:
            # RFC 5321 3.2: a server that does not know EHLO is asked with HELO; it then has no extensions. Whoever
            # needs one must not be talked out of it that way.
            if not error.reply.is_permanent:
                raise
            if self.endpoint.tls == "starttls" and not session.stream.tls_session:
                raise SecurityError(f"EHLO was refused ({error.reply}), and without it there is no STARTTLS") from error
            if self.endpoint.auth is not None:
                raise NotSupported(
                    f"EHLO was refused ({error.reply}), and without it there is no AUTH", extension="AUTH"
                ) from error
            await self._ask(session, Helo(name))

    @property
    def _can_do_with_helo(self) -> bool:
        # With HELO there are no extensions: neither STARTTLS nor AUTH.
        return self.endpoint.tls != "starttls" and self.endpoint.auth is None

    async def _start_tls(self, session: Session[Event]) -> None:
        if "STARTTLS" not in self.extensions:
            raise SecurityError(f"{self.endpoint} does not offer STARTTLS, and TLS is required")
        try:
            await self._ask(session, StartTls())
        except ReplyError as error:
            raise TLSFailed(f"{self.endpoint} offers STARTTLS and refuses it: {error.reply}") from error
        await session.start_tls()

    async def _attempt(self, session: Session[Event], _name: str, mechanism: Mechanism | None) -> None:
        if mechanism is None:
            raise AssertionError("SMTP has no way to log in besides SASL")
        command = Auth(mechanism)
        try:
            await self._log_in(session, command)
        except AuthenticationFailed as error:
            reply = error.answer
            if command.exchange.failure is None and isinstance(reply, Reply) and _is_unavailable(reply):
                raise MechanismUnavailable(error) from None
            raise

    async def _log_in(self, session: Session[Event], command: Auth) -> Reply:
        try:
            return await self._ask(session, command)
        except ReplyError as error:
            reason = str(error.reply)
            if (failure := command.exchange.failure) is not None:
                self.abort()  # who sent what led to a cancel, is not asked again
                reason = f"{failure}; {reason}"
            oauth = oauth_failure(command.mechanism)
            raise AuthenticationFailed(
                f"{command}: {reason}", command=str(command), answer=error.reply, oauth=oauth
            ) from error

    # Sending

    async def _transact(self, session: Session[Event], transaction: Transaction, outgoing: Outgoing) -> ReplyReceived:
        while True:
            if transaction.wants_data:
                await self._write(session, outgoing)
            received = await self._next_reply(session)
            transaction.receive(received)
            if transaction.finished:
                break
        if transaction.must_close:
            self.abort()
        return received

    async def _write(self, session: Session[Event], outgoing: Outgoing) -> None:
        # A server may refuse the message before its end (552) and stop reading: then that is the answer.
        async with aclosing(outgoing.blocks()) as blocks:
            async for block in blocks:
                session.flush()
                if not await session.wait_writable():
                    return
                self._connection.send_data(block)
        self._connection.end_data()  # leaves in one write with the last block

    async def _next_reply(self, session: Session[Event]) -> ReplyReceived:
        awaited = self._connection.awaited
        event = await session.next_event(self._patience(awaited), "the reply to", awaited)
        return _reply(event)

    def _patience(self, command: Command[object] | None) -> float | None:
        # RFC 5321 4.5.3.2.
        timeouts = self.endpoint.timeouts
        if isinstance(command, Data):
            return timeouts.data
        if isinstance(command, EndOfData):
            return timeouts.verdict
        return timeouts.quit if isinstance(command, Quit) else timeouts.command

    async def _execute(self, session: Session[Event], command: Command[object]) -> Reply:
        if not isinstance(command, Auth):
            return await self._ask(session, command)
        if command.mechanism.exposes_password:
            self._refuse_exposure(session, command)
        return await self._log_in(session, command)

    async def _ask(self, session: Session[Event], command: Command[object]) -> Reply:
        session.expect_silence()
        self._connection.send(command)
        received = await self._next_reply(session)
        _raise_refusal(received)
        return received.reply

    @property
    def _is_clean(self) -> bool:
        connection = self._connection
        return connection.awaited is None and connection.state in (
            State.INITIATION,
            State.READY,
            State.TRANSACTION,
        )


def _reply(event: Event) -> ReplyReceived:
    if not isinstance(event, ReplyReceived):
        raise AssertionError("while a command is in flight, replies are the only events")
    return event


# RFC 4954 4 and 6: the mechanism is unknown, too weak for this user, or for links with TLS only.
_UNAVAILABLE: Final = frozenset({504, 534, 538})
_UNAVAILABLE_ENHANCED: Final = frozenset({(5, 5, 4), (5, 7, 9), (5, 7, 11)})


def _is_unavailable(reply: Reply) -> bool:
    if reply.code in _UNAVAILABLE:
        return True
    code = reply.enhanced_code
    return reply.is_permanent and code is not None and (code.class_, code.subject, code.detail) in _UNAVAILABLE_ENHANCED


def _raise_refusal(received: ReplyReceived) -> None:
    reply = received.reply
    if reply.is_transient or reply.is_permanent:
        command = str(received.command)
        raise ReplyError(f"{command} was refused: {reply}", command=command, reply=reply)


def _raise_refused(transaction: Transaction, receipt: Receipt) -> None:
    if (reply := transaction.sender_refusal) is not None:
        raise SenderRefused(f"MAIL was refused: {reply}", command=f"MAIL FROM:<{receipt.sender}>", reply=reply)
    if (reply := transaction.recipients_refusal) is not None:
        raise RecipientsRefused(f"every recipient was refused: {reply}", command="RCPT", reply=reply)
    if (reply := transaction.data_refusal) is not None:
        raise DataRefused(f"the message was refused: {reply}", command="DATA", reply=reply)


def _address_literal(address: tuple[object, ...] | str | None) -> str:
    # RFC 5321 4.1.4: a client without a name of its own says its address. It asks no resolver for one: that would take
    # its time, and an attacker may have a say in the answer.
    try:
        host = ip_address(str(address[0]).partition("%")[0]) if isinstance(address, tuple) else None
    except ValueError:
        host = None
    if host is None:
        return "[127.0.0.1]"  # a socket without an IP address is one of this machine's own
    return f"[IPv6:{host}]" if host.version == 6 else f"[{host}]"
