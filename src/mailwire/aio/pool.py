"""SMTPPool: sends mail from many tasks over a few connections."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.headerregistry import Address
from types import TracebackType
from typing import TYPE_CHECKING, Self

from .._wire.text import check_number, check_whole_number
from ..endpoint import Chunking, Endpoint
from ..errors import ConnectionLost, LocalProtocolError, MailwireError, SenderRefused, ServiceNotAvailable
from ..message import MessagePolicy, MessageSource
from ..message.policy import DEFAULT_POLICY
from ..smtp import Delivery, MailOptions, Receipt, RecipientOptions
from .consignment import Messages, Order
from .lmtp import LMTPClient
from .mailing import Mailing, OnRefused, Progress, are_many, read_many, tell_not_sent
from .plain_sending import AnySending, sending_of
from .pool_connections import PoolConnections, PooledConnection
from .pool_opening import PoolOpening, pool_closed
from .rate import Rate
from .sending import Sending
from .smtp import SMTPClient

if TYPE_CHECKING:
    from .pool_sending import PoolSending

__all__ = ["PoolStatistics", "SMTPPool"]


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """What a pool is at, and what it has done.

    in_use: connections over which a mail is on its way, or that are being opened for one.
    idle: connections that wait for a mail.
    leaving: connections that say QUIT.
    waiting: mails that wait for a connection.
    opened: how many connections were opened, those included that a mail needed in its middle (RFC 9422, MAILMAX).
    reused: how often a mail was given a connection that had had another; a mail counts once, in however many
        transactions it goes.
    retried: how often a mail was given a second connection, because the first one turned out to be closed before
        anything of the mail was sent, or the server did not want another.
    """

    in_use: int
    idle: int
    leaving: int
    waiting: int
    opened: int
    reused: int
    retried: int


class SMTPPool:
    """A pool of connections to one SMTP or LMTP server, to be used by many tasks at once.

    endpoint: an Endpoint or its URL.
    max_connections: how many there are at most, those included that are being opened or closed. Further mails wait, the
        first come first.
    max_messages_per_connection: after how many mail transactions a connection is given no further mail; None: after any
        number. A mail that goes in several, because the server announces LIMITS (RFC 9422), is one of several, and all
        of them may go over the connection that it was given. The server's own MAILMAX is never exceeded.
    max_idle: after how many seconds an idle connection is closed; None: never. Servers close them after minutes.
    max_lifetime: how many seconds after it was opened a connection is given no further mail; None: any time. What is on
        its way then is not cut off.
    rate_limit: how many mails are begun in a second at most, on an average; None for any number.
    rate_burst: how many may be begun at once, where fewer were begun before.

    ::

        async with SMTPPool("smtps://me:secret@smtp.example.org", max_connections=10) as pool:
            receipts = await asyncio.gather(*(pool.send(message) for message in messages))

    Connections are opened as they are needed. Leaving the `async with` waits for the mails that are on their way, and
    by an error cuts them off. A pool that was closed stays closed. As long as an event loop that is not closed has
    connections or mails of it, it is refused to any other one, of another thread say, by LocalProtocolError.

    Raises ValueError for limits that are none, and for what is no endpoint for SMTP or LMTP.
    """

    def __init__(
        self,
        endpoint: Endpoint | str,
        *,
        max_connections: int = 5,
        max_messages_per_connection: int | None = 100,
        max_idle: float | None = 30.0,
        max_lifetime: float | None = 300.0,
        rate_limit: float | None = None,
        rate_burst: int = 1,
    ) -> None:
        try:
            self.endpoint: Endpoint = Endpoint.of(endpoint)
        finally:
            del endpoint  # the password in a URL: a traceback may show locals
        if self.endpoint.protocol not in ("smtp", "lmtp"):
            raise ValueError(f"expected an endpoint for smtp or lmtp, got {self.endpoint}")
        check_whole_number("max_connections", max_connections)
        check_whole_number("max_messages_per_connection", max_messages_per_connection, or_none=True)
        check_whole_number("rate_burst", rate_burst)
        check_number("max_idle", max_idle, or_none=True)
        check_number("max_lifetime", max_lifetime, or_none=True)
        check_number("rate_limit", rate_limit, or_none=True)
        self._client_class = LMTPClient if self.endpoint.protocol == "lmtp" else SMTPClient
        self.max_connections = max_connections
        self._connections = PoolConnections(
            lambda: self._client_class(self.endpoint),
            max_connections=max_connections,
            max_idle=max_idle,
            rate=None if rate_limit is None else Rate(rate_limit, rate_burst),
        )
        self._opening = PoolOpening(
            self.endpoint, max_transactions=max_messages_per_connection, max_lifetime=max_lifetime
        )
        self._reused = 0
        self._retried = 0
        self._is_closed = False

    @property
    def statistics(self) -> PoolStatistics:
        """What the pool is at, and what it has done."""
        connections = self._connections
        return PoolStatistics(
            in_use=len(connections.used),
            idle=connections.idle,
            leaving=connections.leaving,
            waiting=connections.waiting,
            opened=self._opening.opened,
            reused=self._reused,
            retried=self._retried,
        )

    # Sending

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
        """Send one message, over a connection that is free, or as soon as one is.

        The arguments, the receipt and the errors are those of `SMTPClient.send`, and the errors also those of
        `SMTPClient.connect`. Every MailwireError says by its `delivery` what became of the mail; after a cancellation a
        Mailing that was given does (`Mailing.last_receipt`).

        A mail whose connection has had another, and turns out to be closed by the server, is given a second one, once,
        provided that nothing of the message was sent, and that no reply to the mail has come but 421 to MAIL, by which
        the server takes its leave (RFC 5321 3.8). Nothing else is tried again: with use_chunking="eager" the end of the
        message may have left by the time at which that shows, and the mail is UNKNOWN, or its source used up.

        Raises LocalProtocolError if the pool is closed, or another event loop has connections or mails of it.
        """
        sending: AnySending | None = None
        try:
            connections = self._begin_send()
            try:
                if self._is_closed:
                    raise pool_closed()
                if are_many(recipients, message):
                    message, recipients = await read_many(message, recipients, sender, policy)
                sending = sending_of(
                    message, sender, recipients, policy, options, recipient_options, on_refused, use_chunking, progress
                )
                if sending.mailing is not None:
                    sending.mailing.last_receipt = None
                return await self._send(sending, connections)
            finally:
                connections.end_send()
        except MailwireError as error:
            if error.delivery is None:
                tell_not_sent(error, None if sending is None else sending.envelope)
            raise

    def send_all(
        self,
        messages: Messages,
        *,
        order: Order = "completion",
        look_ahead: int | None = None,
        sender: str | Address | None = None,
        recipients: str | Address | Iterable[str | Address] | None = None,
        policy: MessagePolicy = DEFAULT_POLICY,
        options: MailOptions | None = None,
        recipient_options: RecipientOptions | Mapping[str, RecipientOptions] | None = None,
        on_refused: OnRefused = "send",
        use_chunking: Chunking = None,
    ) -> "PoolSending":
        """Send many messages, spread over the connections, and return an async iterator of their results (SendResult).

        The arguments and the results are those of `SMTPClient.send_all`; so is the way in which mails follow each other
        on each connection.

        look_ahead: at most so many messages are taken without a result that was handed out; None: 64, or 16 for each
            connection that there may be, whichever is more.

        ::

            async with pool.send_all(messages) as results:
                async for result in results:
                    print(result.index, result.delivery, result.error)

        No failure of a message ends the run. What was certainly not sent when a connection broke, goes over another
        one, once, and over a new one if it can be had; of a mail that the server's limits part (RFC 9422), the part
        that was not sent. Where none can be had any more, that and all that follows is NOT_SENT. With a rate, mails are
        begun one by one.

        Raises ValueError for settings that make no sense. The iterator raises LocalProtocolError where the pool is
        closed when it begins, and what `messages` raises.
        """
        if look_ahead is None:
            look_ahead = max(64, 16 * self.max_connections)
        from .pool_sending import PoolSending  # as in SMTPClient

        return PoolSending(
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

    # The end

    async def close(self, timeout: float | None = None) -> None:
        """Close the pool: refuse further mails, wait for those that were given to it, and say QUIT.

        timeout: the seconds that all of it may take; None: as long as the deadlines of the endpoint let it. What is on
            its way then is cut off, as by `abort`, and its senders are told what is known.

        Raises ValueError for a timeout that is none, and LocalProtocolError within the source of a message that the
        pool sends, for that would wait for itself, and where another event loop has connections or mails of the pool.
        """
        if timeout != 0:
            check_number("timeout", timeout, or_none=True)
        connections = self._connections_here()
        if connections.is_fed_by(asyncio.current_task()):
            raise LocalProtocolError("the source of a message waits for the pool to close, which waits for the message")
        self._is_closed = True
        try:
            async with asyncio.timeout(timeout):
                await connections.sent()
                connections.wind_up()
                await connections.settled()
        except TimeoutError:
            self.abort()
            await connections.settled()
        except BaseException:
            self.abort()
            await connections.settled()  # a turn or two: they are cut
            raise

    def abort(self) -> None:
        """Cut all connections at once, without a word. Mails that wait are not sent, and their senders are told so."""
        self._is_closed = True
        self._opening.abort()
        self._connections.abort(pool_closed)

    async def __aenter__(self) -> Self:
        self._connections_here()
        self._refuse_if_closed()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self.abort()
            await self._connections.settled()
        else:
            await self.close()

    # Private

    def _refuse_if_closed(self) -> None:
        if self._is_closed:
            raise pool_closed()

    def _count(self, *, reused: int = 0, retried: int = 0) -> None:
        self._reused += reused
        self._retried += retried

    def _connections_here(self) -> PoolConnections:
        """Return the connections, which belong to the event loop that runs from here on. Raises LocalProtocolError
        where another one has some, or mails."""
        connections, loop = self._connections, asyncio.get_running_loop()
        if connections.loop is not loop:
            connections = self._connections = connections.anew(loop)
        return connections

    def _begin_send(self) -> PoolConnections:
        # Returns where it is to be ended.
        connections = self._connections
        if connections.loop is not asyncio.get_running_loop():
            connections = self._connections_here()
        connections.sends += 1
        return connections

    async def _send(self, sending: AnySending, connections: PoolConnections) -> Receipt:
        connection = connections.take_at_once(False)  # by its place, as it is quicker
        if connection is None:
            # Nobody waits with what cannot be sent.
            await _check(sending)
            connection = await connections.take()
        is_second = False
        while True:
            client = connection.client
            try:
                if not client.is_connected:
                    await _check(sending)
                else:
                    self._reused += 1
                    try:
                        return await client._send(sending)
                    except (ConnectionLost, SenderRefused) as error:
                        if is_second or self._opening.is_aborted or not _is_untouched(sending, client, error):
                            raise
                    self._retried += 1
                    sending = sending.anew()
                    await connections.wait_for_leave()
                if await self._opens(connection, connections, is_second=is_second):
                    return await client._send(sending)
            finally:
                try:
                    if client._sessions != connection.sessions:
                        self._opening.take_note(connection)
                finally:
                    connections.give_back(connection)
            # The server takes no further connection. One of those that there are will be free sooner or later.
            is_second = True
            self._retried += 1
            sending = sending.anew()
            connection = await connections.take(in_front=True)

    async def _opens(self, connection: PooledConnection, connections: PoolConnections, *, is_second: bool) -> bool:
        # Whether it could be opened; False if the server wants no more connections than there are.
        try:
            await self._opening.open(connection)
        except ServiceNotAvailable:
            # RFC 5321 3.8: 421 in place of a greeting, by a server that has enough of us.
            if is_second or not connections.want_fewer():
                raise
            return False
        return True


async def _check(sending: AnySending) -> None:
    if isinstance(sending, Sending):
        await sending.mailing.check()


def _is_untouched(sending: AnySending, client: SMTPClient, error: ConnectionLost | SenderRefused) -> bool:
    # Whether the server can have nothing of the message, and has said nothing to the mail, not even to MAIL, unless it
    # took its leave by that: it had waited long enough, or has had as many mails over the connection as it wants. And
    # whether the message is there still: of what leaves without waiting ("eager"), some may have been read for nothing.
    if sending.mailing is not None and sending.mailing.content.is_used_up:
        return False
    receipt = client.last_receipt
    if receipt is None or receipt.octets > 0:
        return receipt is None
    if isinstance(error, SenderRefused):
        return error.reply.code == 421 and receipt.delivery is Delivery.REFUSED
    return (
        receipt.delivery is Delivery.NOT_SENT
        and "".join(error.in_flight[:1]).startswith("MAIL ")
        and all(entry.reply is None and entry.final_reply is None for entry in receipt.recipients)
    )
