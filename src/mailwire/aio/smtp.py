"""SMTPClient: sends mail over one connection."""

import asyncio
from collections.abc import Coroutine, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from email.headerregistry import Address
from typing import TYPE_CHECKING, ClassVar, Final, TypeVar

from .._wire.text import command_expected
from ..endpoint import Chunking, Endpoint, Protocol
from ..errors import ConnectionLost, LocalProtocolError, MailwireError
from ..message import MessagePolicy, MessageSource
from ..message.policy import DEFAULT_POLICY
from ..smtp import (
    LOCKSTEP,
    PIPELINING_WINDOW,
    Auth,
    Command,
    Connection,
    Event,
    Extensions,
    MailOptions,
    Quit,
    Receipt,
    RecipientOptions,
    Reply,
    StartTls,
    State,
)
from ..transcript import Transcript
from .authentication import refuse_exposure
from .client import Client
from .consignment import Messages, Order
from .dialogue import Dialogue
from .initiation import Initiation, can_do_with_helo
from .mailing import Mailing, OnRefused, Progress, are_many, read_many, tell_not_sent
from .plain_sending import AnySending, PlainSending, sending_of
from .sending import Sending
from .session import Session

if TYPE_CHECKING:
    from .bulk_sending import BulkSending

__all__ = ["SMTPClient"]

T = TypeVar("T")

# Where no mail is under way that a next call would have to end.
_AT_REST: Final = (State.READY, State.TRANSACTION, State.INITIATION)


class SMTPClient(Client[Event]):
    """A connection to an SMTP server.

    endpoint: an Endpoint or its URL.
    transcript: where the dialogue is recorded; by default the last 100 entries are kept, and errors show the end of it.

    ::

        async with SMTPClient("smtps://me:secret@smtp.example.org") as client:
            receipt = await client.send(message)

    The client may be shared among the tasks of an event loop: calls queue up. As long as that loop is not closed, and
    has the connection or a call, calls in any other one, of another thread say, raise LocalProtocolError. After a
    deadline, a cancellation or a fault of the server in the middle of a call, the connection is dead and the client no
    longer `is_connected`; `connect()` makes a new one.
    """

    _protocol: ClassVar[Protocol] = "smtp"

    def __init__(self, endpoint: Endpoint | str, *, transcript: Transcript | None = None) -> None:
        try:
            super().__init__(endpoint, self._protocol, transcript)
        finally:
            del endpoint  # the password in a URL: a traceback may show locals
        self.last_receipt: Receipt | None = None
        """What is known about the mail of the last `send`, also where that was cancelled; None if it was not begun."""
        self._connection = self._make_machine()
        self._dialogue: Dialogue | None = None  # with the server that we are connected to, or were
        self._hangs_up_on_ehlo = False
        self._connecting: float | None = None  # seconds, that no receipt has told yet
        self._sessions = 0  # that were begun
        self._since = 0.0  # when the last of them was, by the event loop's clock
        self._bulk: BulkSending | None = None  # which holds the connection
        self._left_bulk: BulkSending | None = None  # which has left something unanswered

    @property
    def extensions(self) -> Extensions:
        """What the server announces; nothing before it was asked."""
        return self._connection.extensions or Extensions()

    def stands(self) -> bool:
        # Mostly nothing has come, and then there is nothing to be heard.
        session = self._session
        if session is None or session.stream.has_news or self._connection.has_news or session.is_left_behind:
            return super().stands()
        return True

    @property
    def transactions(self) -> int:
        """How many mail transactions were begun over the connection, or the last one that there was."""
        return 0 if self._dialogue is None else self._dialogue.transactions

    # Calls

    async def send(
        self,
        message: MessageSource | Mailing,
        *,
        sender: str | Address | None = None,
        recipients: str | Address | Iterable[str | Address] | None = None,
        policy: MessagePolicy = DEFAULT_POLICY,
        options: MailOptions | None = None,
        recipient_options: RecipientOptions | Mapping[str, RecipientOptions] | None = None,
        on_refused: OnRefused = "send",
        use_chunking: Chunking = None,
        progress: Progress | None = None,
    ) -> Receipt:
        """Send one message.

        message: an email.message.EmailMessage; or the octets of a message with any line ends, as bytes, a text, a path,
            a binary file, an iterable or an asynchronous iterable of bytes. Or a Mailing, which says all the rest.
        sender, recipients: the envelope; by default what the message's header says. A `sender` of "" is the null
            reverse-path. With octets for a message, both must be given.
        policy: how the message is taken.
        options: what is wished for the mail (MailOptions).
        recipient_options: what is wished for recipients (RecipientOptions): for all of them, or by their addresses.
        on_refused: where some of the recipients are refused, "send" the mail to the others; or "abort": to nobody.
        use_chunking: whether the message goes in chunks; None: as the endpoint says.
        progress: is told, behind each block, how many octets of the message were handed to the connection, and how many
            there are in all, None if that is not known. What it raises breaks the sending off.

        The mail goes to the recipients that the server accepts; those it refuses are told by the receipt that comes
        back. A server that announces LIMITS (RFC 9422) gets it in several transactions, and on several connections,
        where it takes no more at a time; the receipt is about all of them. Its `timings` are those of the phases
        "envelope", "message" and "verdict"; and, for the first mail on a connection, of "connection".

        Raises SenderRefused, RecipientsRefused (all of them, or one under "abort"), DataRefused, ReplyError,
        NotSupported, InvalidMessage, SourceFailed, SecurityError, ConnectionLost, DeadlineExceeded, ProtocolError; each
        with `delivery` and `receipt` (RFC 5321 3.3). Where the error came between two transactions, or recipients have
        replies of their own (LMTP), some recipients may have the mail: `receipt.recipients` says who. ValueError for
        options that make no sense.
        """
        self.last_receipt = None
        if are_many(recipients, message):
            message, recipients = await read_many(message, recipients, sender, policy)
        sending = sending_of(
            message, sender, recipients, policy, options, recipient_options, on_refused, use_chunking, progress
        )
        return await self._send(sending)

    def send_all(
        self,
        messages: Messages,
        *,
        order: Order = "completion",
        look_ahead: int = 64,
        sender: str | Address | None = None,
        recipients: str | Address | Iterable[str | Address] | None = None,
        policy: MessagePolicy = DEFAULT_POLICY,
        options: MailOptions | None = None,
        recipient_options: RecipientOptions | Mapping[str, RecipientOptions] | None = None,
        on_refused: OnRefused = "send",
        use_chunking: Chunking = None,
    ) -> "BulkSending":
        """Send many messages, and return an async iterator of their results (SendResult), one for each.

        messages: an iterable or an asynchronous iterable of what `send` takes: messages, or Mailings that say all by
            themselves. The other arguments are for those that do not, and are those of `send`.
        order: results as they come ("completion"), or in the order of the messages ("input").
        look_ahead: at most so many messages are taken without a result that was handed out.

        ::

            async with client.send_all(messages) as results:
                async for result in results:
                    print(result.index, result.delivery, result.error)

        Where the server announces PIPELINING, each mail begins behind the end of the one before (RFC 2920 3.1): one
        round trip for each. With use_chunking="eager", where it takes chunks as well, mails follow each other without
        waiting; that is for servers that one trusts: what they refuse was sent in vain. A server that breaks the
        connection is sent one mail after the other from there on, and nothing that it may have got is sent to it again.

        No failure of a message ends the run; it is the `error` of that message's result. A lost connection is made
        again for those that were certainly not sent, and for the parts of a mail that were not (RFC 9422); if that
        fails, or `abort` has cut it, they and all that follow were NOT_SENT. To leave the run before its end, leave
        `async with`, or call `aclose`; `remaining` tells of the messages without a result.

        Raises ValueError for settings that make no sense. The iterator raises LocalProtocolError where the client is
        not connected, and what `messages` raises.
        """
        from .bulk_sending import BulkSending  # not for who sends one by one

        return BulkSending(
            self,
            messages,
            order,
            look_ahead,
            sender=sender,
            recipients=recipients,
            policy=policy,
            options=options,
            recipient_options=recipient_options,
            on_refused=on_refused,
            use_chunking=use_chunking,
        )

    async def execute(self, command: Command[T]) -> T:
        """Send `command` and return what its reply means.

        Raises ReplyError if it is refused, AuthenticationFailed if it is an Auth; SecurityError for an Auth that would
        give a password away on a link without TLS; ValueError for what is no command, as a str is none. TLS is begun by
        `connect` alone: LocalProtocolError for StartTls.
        """
        if not isinstance(command, Command):
            raise command_expected("smtp.Noop()", command)
        if isinstance(command, StartTls):
            raise LocalProtocolError('TLS is begun by connect(): set tls="starttls" in the endpoint')
        async with self._call() as session:
            return command.parse(await self._execute(session, command))

    async def quit(self) -> None:
        """Take leave and close the connection. Never raises for what the server does then: no mail depends on it.

        Raises LocalProtocolError where another event loop has the connection.
        """
        self._refuse_elsewhere()
        try:
            async with self._call() as session:
                await self._talk.ask(Quit())
                await session.close()
        except MailwireError:
            pass
        finally:
            self._cut()

    # Connecting

    def _new_machine(self) -> Connection:
        machine = self._make_machine()
        machine.mask_as(self._connection)
        self._connection = machine
        return machine

    def _make_machine(self) -> Connection:
        return Connection(
            window=PIPELINING_WINDOW if self.endpoint.pipelining else LOCKSTEP,
            trace=self._trace,
            lmtp=self._protocol == "lmtp",
            ignored_extensions=self.endpoint.ignored_extensions,
            groups=True,
        )

    async def _establish(self) -> None:
        clock = asyncio.get_running_loop().time
        begun = clock()
        await self._establish_session()
        self._sessions, self._since = self._sessions + 1, clock()
        self._connecting = (self._connecting or 0.0) + self._since - begun

    async def _establish_session(self) -> None:
        self._hangs_up_on_ehlo = False
        aborts = self._aborts
        try:
            await super()._establish()
        except ConnectionLost:
            # Some servers from before RFC 1869 answer EHLO by hanging up. They are asked once more, with HELO.
            if self._aborts != aborts or not (self._hangs_up_on_ehlo and can_do_with_helo(self.endpoint)):
                raise
            self._cut()
            await super()._establish()

    async def _begin(self, session: Session[Event]) -> None:
        self._dialogue = Dialogue(session, self._connection)
        initiation = Initiation(self._dialogue, self.endpoint, hangs_up_on_ehlo=self._hangs_up_on_ehlo)
        try:
            await initiation.run()
        finally:
            self._hangs_up_on_ehlo = initiation.hangs_up_on_ehlo
        self.mechanism: str | None = initiation.mechanism

    async def _execute(self, session: Session[Event], command: Command[object]) -> Reply:
        if not isinstance(command, Auth):
            return await self._talk.ask(command)
        if command.mechanism.exposes_password:
            refuse_exposure(self.endpoint, session.stream, command)
        return await self._talk.log_in(command)

    # Sending

    def _opens_at_once(self) -> bool:
        # What `_open_call` does where nothing is to be waited for, to be heard first, or to be told.
        session = self._session
        if session is None or self._left_bulk is not None or self._loop is not asyncio.get_running_loop():
            return False
        stream = session.stream
        if stream.has_news or self._connection.has_news or stream.is_readable:
            return False
        return self._begins_at_once()

    async def _send(self, sending: AnySending) -> Receipt:
        receipt: Receipt | None = None
        taken: Receipt | None = None  # of a mail that went as a plain one, and was taken
        self.last_receipt = None
        mailing = sending.mailing
        try:
            if mailing is not None:
                mailing.last_receipt = None
                if isinstance(sending, Sending):
                    await mailing.check()
            if not self._opens_at_once():
                await self._open_call()
        except MailwireError as error:
            tell_not_sent(error, sending.envelope)
            raise
        try:
            try:
                if isinstance(sending, PlainSending):
                    if await sending.go(self._talk):
                        taken = sending.taken
                    else:
                        sending = sending.as_sending()
                if isinstance(sending, Sending):
                    await self._transact(sending)
            finally:
                receipt = taken or sending.receipt()
                if self._connecting is not None:
                    receipt = self._timed(receipt, self._connecting)
                self.last_receipt = receipt if sending.has_begun else None
                if mailing is not None:
                    mailing.last_receipt = self.last_receipt
            if taken is None and (failure := sending.take_failure(receipt)) is not None:
                try:
                    raise failure
                finally:
                    del failure  # this frame is in its traceback: each would keep the other, and the mail
        except BaseException as error:
            self._end_call(error)
            if isinstance(error, MailwireError) and receipt is not None:
                error.receipt, error.delivery = receipt, receipt.delivery
            raise
        if taken is not None:
            self._let_go()  # its verdict was the only answer that was due
        else:
            self._end_call(None)
        return receipt

    def _timed(self, receipt: Receipt, seconds: float) -> Receipt:
        # The first mail on a connection has waited for it; no time at all, by a clock that goes in large steps.
        self._connecting = None
        return Receipt.to_write(receipt.delivery, _timed, receipt, seconds)

    async def _transact(self, sending: Sending) -> None:
        talk = self._talk
        while (batch := sending.next_batch(talk)) is not None:
            if batch.begins_session:
                await self._begin_again()
                talk = self._talk
            else:
                await sending.transact(talk, batch)

    async def _begin_again(self) -> None:
        # RFC 9422: a session that has come to its limits is left in good order, and another one begun.
        aborts = self._aborts
        with suppress(MailwireError):
            await self._talk.ask(Quit())
            await self._talk.session.close()
        self._cut()
        self._refuse_if_aborted(aborts)
        await self._establish()

    # Sharing the connection

    def abort(self) -> None:
        """Cut the connection at once, without a word, also one that is being made.

        A call that is using it, or a run of `send_all`, makes none again: what it was about to send was not sent, and
        what the server may have is UNKNOWN.
        """
        super().abort()

    def _cut(self) -> None:
        super()._cut()
        bulk, self._left_bulk = self._left_bulk or self._bulk, None
        if bulk is not None:
            bulk.abandon()

    async def _begin_bulk(self, bulk: "BulkSending") -> None:
        await self._open_call()
        self._bulk = bulk

    def _end_bulk(self, bulk: "BulkSending") -> None:
        self._bulk, self._left_bulk = None, bulk if bulk.is_unsettled else None
        self._end_call(None)

    def is_fed_by(self, task: "asyncio.Task[object] | None") -> bool:
        """Return whether `task` reads the message that is being sent, or the messages of the run: it cannot wait until
        that is sent."""
        if task is not None and self._bulk is not None and self._bulk.is_fed_by(task):
            return True
        return super().is_fed_by(task)

    def _break_off(self) -> None:
        if self._bulk is None:
            super()._break_off()
        else:
            self._bulk._break_off()

    def _holder(self) -> "asyncio.Task[object] | None":
        holder = super()._holder()
        if holder is None and self._bulk is not None:
            return self._bulk.maker
        return holder

    def _settling(self) -> Coroutine[object, object, None] | None:
        left, self._left_bulk = self._left_bulk, None
        return None if left is None else left._settle()

    @property
    def _talk(self) -> Dialogue:
        if self._dialogue is None:
            raise AssertionError("where there is a session, there is a dialogue")
        return self._dialogue

    @property
    def _is_clean(self) -> bool:
        connection = self._connection
        if self._left_bulk is not None:
            return True  # what it has left unanswered is heard by the next call
        return not connection.is_awaited and connection.state in _AT_REST


def _timed(receipt: Receipt, seconds: float) -> Receipt:
    return replace(receipt, timings={"connection": seconds, **receipt.timings})
