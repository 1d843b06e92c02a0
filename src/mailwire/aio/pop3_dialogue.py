"""Dialogue: what is said in one POP3 session, and until when it must be answered.

1. Answers are taken in the order of the commands, each by whoever said the command. Nobody meets an answer to a NOOP
   that was said to keep the session alive.
2. What a retrieval that was broken off has left unanswered is read to its end before anything else is asked, as far as
   the budget for that allows; else the connection is over.
3. A NOOP is said between two commands, never while a message is on its way; and where the server does not pipeline,
   only when nothing is unanswered.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..endpoint import Endpoint
from ..errors import ConnectionLost, DeadlineExceeded, MailwireError, ResponseError
from ..pop3 import Command, Connection, Event, MessageData, MessageEnd, Noop, Response, ResponseReceived, State
from .deadline import Deadline
from .pace import Throughput
from .session import Session

__all__ = ["Budget", "Dialogue", "raise_refusal"]


@dataclass(frozen=True, slots=True)
class Budget:
    """How much of what nobody wants is read all the same, to keep a connection: at most so many `octets`, and no longer
    than so many `seconds`."""

    octets: int
    seconds: float

    def __post_init__(self) -> None:
        if self.octets < 0 or not self.seconds > 0:
            raise ValueError(f"a budget is at least 0 octets and more than 0 seconds, got {self!r}")


class Dialogue:
    """The commands and answers of one session.

    may_pipeline: whether several commands may be unanswered, if the server announces that it stands it.
    keep_alive: after so many seconds in which nothing was heard NOOP is said; None for never.
    drain: how much is read of what a retrieval has left.
    observe: is told of every response, in order.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        session: Session[Event],
        connection: Connection,
        *,
        may_pipeline: bool,
        keep_alive: float | None,
        drain: Budget,
        observe: Callable[[ResponseReceived], None],
    ) -> None:
        self.session = session
        self.connection = connection
        self.is_over = False  # whatever the machine says
        self.is_left = False  # a retrieval was broken off and has left answers that nobody waits for
        self._loop = asyncio.get_running_loop()
        self._timeouts = endpoint.timeouts
        self._may_pipeline = may_pipeline
        self._keep_alive = keep_alive
        self._drain = drain
        self._observe = observe
        self._alarm: asyncio.TimerHandle | None = None
        self._noop: Noop | None = None  # said to keep the session alive, and not answered yet
        self._in_message = False
        self._heard_at = 0.0  # by the event loop's clock
        self._rate = Throughput(endpoint.timeouts, "gave")
        self._end: MailwireError | None = None  # of the session, found when a NOOP was due

    # Asking

    def send(self, command: Command[object]) -> None:
        """Queue `command`. Raises LocalProtocolError if it is out of place, and what has ended the session."""
        if self._end is not None:
            raise self._end
        self.connection.send(command)

    def discard_queued(self) -> Sequence[Command[object]]:
        """Drop what has not left yet; return it."""
        discarded = self.connection.discard_queued()
        if any(command is self._noop for command in discarded):
            self._noop = None
        return discarded

    async def greeting(self) -> ResponseReceived:
        """Return the server's greeting."""
        event = await self.session.greeting()
        if not isinstance(event, ResponseReceived):
            raise AssertionError("a server that is connected to greets")
        return event

    async def next_response(self, *, is_farewell: bool = False) -> ResponseReceived:
        """Return the next response; for one to a mere farewell there is less time."""
        timeouts = self._timeouts
        seconds = timeouts.quit if is_farewell else timeouts.response
        event = await self._next_event(seconds, "the answer to", self.connection.awaited)
        if not isinstance(event, ResponseReceived):
            raise AssertionError("while a command is in flight, its response comes first")
        return event

    def poll_response(self) -> ResponseReceived | None:
        """Return the next response if it has come already, and nothing waits to leave; else None: it must be awaited.

        To be called in state TRANSACTION, while a command is in flight.
        """
        event = self.session.poll() if self.connection.is_all_sent else None
        if event is None or self._note(event):
            return None
        if not isinstance(event, ResponseReceived):
            raise AssertionError("while a command is in flight, its response comes first")
        return event

    def poll_message(self, limit: int) -> bytes | None:
        """Return the message that is being given, if it has come whole already, is no longer than `limit` octets on the
        wire, and was not begun to be read; else None: it comes in blocks."""
        message = self.connection.take_message(limit)
        if message is not None:
            self._in_message = False
            self._rate.begin()
        return message

    async def ask(self, command: Command[object], *, is_farewell: bool = False) -> Response:
        """Send `command` and return its response. Raises ResponseError for -ERR."""
        self.send(command)
        received = await self.next_response(is_farewell=is_farewell)
        raise_refusal(received)
        return received.response

    async def next_block(self, number: int) -> bytes | None:
        """Return the next block of the message `number`, which is being given; None at its end.

        Raises DeadlineExceeded where it stands still, and where it trickles.
        """
        # A message that has come whole already is handed out without another look at the clock or the way out.
        waited, event = 0.0, self.session.poll()
        if event is None:
            began = self._loop.time()
            event = await self._next_event(self._timeouts.block, "message", number)
            waited = self._loop.time() - began
        elif isinstance(event, MessageEnd):
            self._note(event)
        if isinstance(event, MessageEnd):
            self._rate.begin()
            return None
        if not isinstance(event, MessageData):
            raise AssertionError("behind the first line of a message come its data")
        self._rate.count(waited, len(event.data))
        try:
            self._rate.check("message", number)
        except DeadlineExceeded as slow:
            raise self._with_progress(slow) from None
        return event.data

    @property
    def pipelines(self) -> bool:
        """Whether several commands may be unanswered."""
        return self._may_pipeline and "PIPELINING" in (self.connection.capabilities or ())

    @property
    def owes_answer(self) -> bool:
        """Whether the server owes an answer to what was asked, NOOPs of our own aside."""
        return self.connection.unanswered > (self._noop is not None)

    # Between two calls

    @property
    def is_clean(self) -> bool:
        """Whether nothing is unanswered but what `settle` will see to."""
        connection = self.connection
        if self.is_over or connection.state not in (State.AUTHORIZATION, State.TRANSACTION):
            return False
        return self.is_left or connection.awaited is None or connection.awaited is self._noop

    async def settle(self) -> None:
        """Read what is unanswered. Raises ConnectionLost where that is more than the budget allows."""
        if self._end is not None:
            raise self._end
        if self.is_left:
            self.is_left = False  # there is no second try
            await self._drain_rest()
        elif self._noop is not None:
            self._note(await self.session.next_event(self._timeouts.response, "the answer to", self._noop))

    async def _drain_rest(self) -> None:
        budget, connection = self._drain, self.connection
        octets = sum(command.octets for command in connection.in_flight)
        if octets <= budget.octets:
            octets = 0
            try:
                async with Deadline(budget.seconds, "the rest of a retrieval that was broken off"):
                    while connection.awaited is not None and octets <= budget.octets:
                        event = await self.session.next_event(None, "")
                        self._note(event)
                        octets += len(event.data) if isinstance(event, MessageData) else 0
            except DeadlineExceeded as error:
                raise ConnectionLost(f"{error}: the connection was cut") from error
        if octets > budget.octets:
            raise ConnectionLost(
                f"what a retrieval that was broken off has left is more than {budget.octets} octets: "
                "the connection was cut"
            )

    # Keeping the session alive

    def keep_alive(self) -> None:
        """Begin to say NOOP when it is time to. The session must be in state TRANSACTION."""
        if self._keep_alive is not None:
            self._heard_at = self._loop.time()
            self._set_alarm(self._keep_alive)

    def end(self) -> None:
        """Say nothing more by ourselves."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _set_alarm(self, seconds: float) -> None:
        self._alarm = self._loop.call_later(seconds, self._alarmed)

    def _alarmed(self) -> None:
        if self._keep_alive is None:
            raise AssertionError("without a time there is no alarm")
        left = self._heard_at + self._keep_alive - self._loop.time()
        if left > 0:
            self._set_alarm(left)
            return
        try:
            self._say_noop()
        except MailwireError as error:
            # There is nobody here to tell. The next call meets it.
            self._end = error
            self.end()
        else:
            self._set_alarm(self._keep_alive)

    def _say_noop(self) -> None:
        connection = self.connection
        if connection.awaited is None or connection.awaited is self._noop:
            event = self.session.poll()
            if event is not None and not self._note(event):
                raise ConnectionLost(f"the server closed the idle connection: {event}")
        elif self._in_message or not self.pipelines:
            return
        if self._noop is None and not self.is_left and connection.state is State.TRANSACTION:
            noop = Noop()
            connection.send(noop)
            self._noop = noop
            self.session.flush()

    # Private

    async def _next_event(self, seconds: float | None, phase: str, subject: object) -> Event:
        while True:
            try:
                event = await self.session.next_event(seconds, phase, subject)
            except DeadlineExceeded as late:
                raise self._with_progress(late) from late.__cause__
            if not self._note(event):
                return event

    def _with_progress(self, error: DeadlineExceeded) -> DeadlineExceeded:
        return DeadlineExceeded(f"{error}; {self.connection.progress}", phase=error.phase)

    def _note(self, event: Event) -> bool:
        # Returns whether it is the answer to a NOOP of our own, which is nobody else's business.
        self._heard_at = self._loop.time()
        if isinstance(event, ResponseReceived):
            if event.command is self._noop:
                self._noop = None
                return True
            self._in_message = event.command.streamed and event.response.ok
            self._observe(event)
        elif isinstance(event, MessageEnd):
            self._in_message = False
        return False


def raise_refusal(received: ResponseReceived) -> None:
    """Raise ResponseError if what was received is -ERR."""
    if not received.response.ok:
        command = str(received.command)
        raise ResponseError(f"{command} was refused: {received.response}", command=command, response=received.response)
