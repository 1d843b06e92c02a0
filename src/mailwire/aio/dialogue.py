"""Dialogue: an SMTP machine and its session, as commands that are answered; each wait has its deadline."""

from ..errors import ConnectionLost, ReplyError
from ..smtp import (
    Auth,
    BdatLast,
    Command,
    Connection,
    Data,
    EndOfData,
    Event,
    Quit,
    Reply,
    ReplyReceived,
    Rset,
    State,
)
from .authentication import login_refusal
from .deadline import late
from .session import Session

__all__ = ["Dialogue", "raise_refusal"]


class Dialogue:
    """What is said over `session`, by the machine `connection`."""

    def __init__(self, session: Session[Event], connection: Connection) -> None:
        self.session = session
        self.connection = connection
        self.transactions = 0  # that were begun
        self.recipient_domains: set[str] = set()  # that were named in them
        self.distrusts_chunking = False  # the server is known to be bad at it
        self.knows_ehlo = True  # the server does, or has not been asked yet
        self._awaited: Command[object] | None = None  # what `hear` has waited for last, and...
        self._until: float | None = None  # ...until when

    async def ask(self, command: Command[object]) -> Reply:
        """Send `command` and return its reply. Raises ReplyError if that is a refusal."""
        self.session.expect_silence()
        self.connection.send(command)
        received = await self.next_reply()
        raise_refusal(received)
        return received.reply

    async def log_in(self, command: Auth) -> Reply:
        """Send `command`, lead its exchange and return the reply. Raises AuthenticationFailed if that is a refusal.

        Where it was we who could not go on, the dialogue is over: who sent what led to that, is not asked again.
        """
        try:
            return await self.ask(command)
        except ReplyError as error:
            if command.exchange.failure is not None:
                self.connection.give_up()
            raise login_refusal(str(command), command.exchange, error.reply) from error

    async def next_reply(self) -> ReplyReceived:
        """Return the next reply that is due. Raises what `Session.next_event` raises, ConnectionLost for a server that
        leaves though it was asked nothing, between two chunks of a message."""
        awaited = self.connection.awaited
        event = await self.session.next_event(self._patience(awaited), "the reply to", awaited)
        return _reply_in(event)

    async def hear(self) -> ReplyReceived | None:
        """Return the next reply that is due, or None if the stream was nudged, or has brought but a part of it.

        The deadline stays the same then, when it is called again. Raises what `next_reply` raises.
        """
        session, awaited = self.session, self.connection.awaited
        if self._awaited is not awaited or awaited is None:
            self._awaited, self._until = awaited, None
        event = session.poll()
        if event is None:
            if self._until is None:
                seconds = self._patience(awaited)
                self._until = None if seconds is None else session.time() + seconds
            try:
                await session.stream.wait(self._until)
            except TimeoutError as passed:
                raise late(self._patience(awaited), f"the reply to {awaited}") from passed
            event = session.poll()
        if event is None:
            return None
        self._awaited = None
        return _reply_in(event)

    def heard(self) -> ReplyReceived | None:
        """Return the next reply if it has come already. Raises what `next_reply` raises."""
        event = self.session.poll()
        return None if event is None else _reply_in(event)

    def _patience(self, command: Command[object] | None) -> float | None:
        # RFC 5321 4.5.3.2.
        timeouts = self.session.endpoint.timeouts
        if isinstance(command, Rset) or self.connection.state is State.SPOILED:
            return timeouts.reset  # a refusal is known: what is to come only puts the session in order
        if isinstance(command, Data):
            return timeouts.data
        if isinstance(command, (EndOfData, BdatLast)):
            return timeouts.verdict
        return timeouts.quit if isinstance(command, Quit) else timeouts.command


def _reply_in(event: Event) -> ReplyReceived:
    if type(event) is not ReplyReceived:
        raise ConnectionLost(f"the server left in the middle of a mail: {event}")
    return event


def raise_refusal(received: ReplyReceived) -> None:
    """Raise ReplyError if what was received is a refusal."""
    reply = received.reply
    if reply.code >= 400:
        command = str(received.command)
        raise ReplyError(f"{command} was refused: {reply}", command=command, reply=reply)
