"""Dialogue: what is said in one POP3 session, and until when it must be answered.

1. Answers are taken in the order of the commands, each by whoever said the command. Nobody meets an answer to a NOOP
   that was said to keep the session alive.
2. What a retrieval that was broken off has left unanswered is read to its end before anything else is asked, as far as
   the budget for that allows; else the connection is over.
3. A NOOP is said when we have said nothing for a time, whatever we have heard: how long a server has waited for us is
   not told by when its answers are read, for they may have come long ago. Where it does not pipeline, nothing may be
   unanswered then: it is said between two commands. While somebody waits for the server, it is not said: a message that
   has lost its end would go on for ever by the answers.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from .._wire.text import check_number, check_whole_number
from ..endpoint import Endpoint
from ..errors import ConnectionLost, DeadlineExceeded, Desynchronised, MailwireError, ResponseError
from ..pop3 import (
    Command,
    Connection,
    Event,
    List,
    MessageData,
    MessageEnd,
    Noop,
    Response,
    ResponseReceived,
    Retr,
    State,
    Top,
    Uidl,
)
from .deadline import Deadline
from .pace import Throughput
from .session import Session

__all__ = ["Budget", "Dialogue", "raise_refusal"]

# Seconds to wait for a server that may be waiting for us.
_MOMENT: Final = 1
# Seconds until a NOOP that had no place when it was time for it is tried again.
_HELD_BACK: Final = 1
_LEFT: Final = "the rest of a retrieval that was broken off"


@dataclass(frozen=True, slots=True)
class Budget:
    """How much of what nobody wants is read all the same, to keep a connection: at most so many `octets`, and no longer
    than so many `seconds`. Raises ValueError for less than 0 octets and for no time."""

    octets: int
    seconds: float

    def __post_init__(self) -> None:
        check_whole_number("octets", self.octets, 0)
        check_number("seconds", self.seconds)


class Dialogue:
    """The commands and answers of one session.

    may_pipeline: whether several commands may be unanswered, if the server announces that it stands it.
    keep_alive: after so many seconds in which nothing was said NOOP is; None for never.
    drain: how much is read of what a retrieval has left.
    observe: is told of every response, in order, but for those by which a message is given.
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
        self.is_over: bool = False  # whatever the machine says
        self.is_left: bool = False  # a retrieval was broken off and has left answers that nobody waits for
        self._loop = asyncio.get_running_loop()
        self._timeouts = endpoint.timeouts
        self._may_pipeline = may_pipeline
        self._keep_alive = keep_alive
        self._drain = drain
        self._observe = observe
        self._alarm: asyncio.TimerHandle | None = None
        self._is_awaited = False  # somebody waits for the next event
        self._noops: deque[Noop] = deque()  # said to keep the session alive, and not answered yet
        self._rate = Throughput(endpoint.timeouts, "gave")
        self._end: MailwireError | None = None  # of the session, found when a NOOP was due

    # Asking

    def send(self, command: Command[object]) -> None:
        """Queue `command`. Raises LocalProtocolError if it is out of place, and what has ended the session."""
        if self._end is not None:
            raise self._end
        self.connection.send(command)

    def send_each(self, commands: Sequence[Retr | Top]) -> None:
        """Queue `commands`, as `send` does each: all of them, or, where it raises, none."""
        if self._end is not None:
            raise self._end
        self.connection.send_each(commands)

    def discard_queued(self) -> Sequence[Command[object]]:
        """Drop what has not left yet; return it."""
        return self.connection.discard_queued()

    async def greeting(self) -> ResponseReceived:
        """Return the server's greeting."""
        event = await self.session.greeting()
        if not isinstance(event, ResponseReceived):
            raise AssertionError("a server that is connected to greets")
        return event

    async def next_response(self, *, is_farewell: bool = False) -> ResponseReceived:
        """Return the next response; for one to a mere farewell there is less time."""
        phase = "quit" if is_farewell else "response"
        return _response_in(await self._next_event(phase, "the answer to", self.connection.awaited))

    def poll_response(self) -> ResponseReceived | None:
        """Return the next response if it has come already, and nothing waits to leave; else None: it must be awaited.

        To be called in state TRANSACTION, while a command is in flight.
        """
        event = self.session.poll() if self.connection.is_all_sent else None
        return None if event is None or self._note(event) else _response_in(event)

    def poll_messages(self, limit: int, is_wanted: Callable[[bytes], bool]) -> list[bytes]:
        """Return the messages that have come whole already, where nothing waits to leave, as `Connection.take_messages`
        takes them."""
        connection = self.connection
        return connection.take_messages(limit, is_wanted) if connection.is_all_sent else []

    def poll_message(self, limit: int) -> bytes | None:
        """Return the message that is being given, if it has come whole already, is no longer than `limit` octets on the
        wire, and was not begun to be read; else None: it comes in blocks."""
        return self.connection.take_message(limit)

    async def ask(self, command: Command[object], *, is_farewell: bool = False) -> Response:
        """Send `command` and return its response. Raises ResponseError for -ERR."""
        self.send(command)
        return await self.answer_to(command, is_farewell=is_farewell)

    async def answer_to(self, command: Command[object], *, is_farewell: bool = False) -> Response:
        """Return the response to `command`, which is the only one unanswered. Raises ResponseError for -ERR."""
        received = await self.next_response(is_farewell=is_farewell)
        if received.command is not command:
            raise AssertionError(f"{command} is not asked before {received.command} is answered")
        raise_refusal(received)
        return received.response

    async def expect_end(self) -> None:
        """Wait for the server to close the connection behind its answer to QUIT, as long as closing may take, or, where
        that is any time, for a moment: it may be waiting for us.

        Raises Desynchronised if it says more instead: then what was taken for that answer was another.
        """
        stream, seconds = self.session.stream, self._timeouts.close
        try:
            await stream.wait(self._loop.time() + (_MOMENT if seconds is None else seconds))
        except TimeoutError:
            return  # there is no need to close: what has come is all there is
        if octets := sum(map(len, stream.take())):
            raise Desynchronised(f"expected nothing behind the answer to QUIT, got {octets} octets")

    async def next_block(self, number: int) -> bytes | None:
        """Return the next block of the message `number`, which is being given; None at its end.

        Raises DeadlineExceeded where it stands still, and where it trickles.
        """
        # A message that has come whole already is handed out without another look at the clock or the way out.
        waited, event = 0.0, self.session.poll()
        if event is None:
            began = self._loop.time()
            event = await self._next_event("block", "message", number)
            waited = self._loop.time() - began
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
        return self.connection.unanswered > len(self._noops)

    # Between two calls

    @property
    def is_clean(self) -> bool:
        """Whether nothing is unanswered but what `settle` will see to."""
        connection = self.connection
        if self.is_over or connection.state not in (State.AUTHORIZATION, State.TRANSACTION):
            return False
        return self.is_left or not self.owes_answer

    async def settle(self) -> None:
        """Read what is unanswered. Raises ConnectionLost where that is more than the budget allows."""
        if self._end is not None:
            raise self._end
        if self.is_left:
            self.is_left = False  # there is no second try
            await self.drain()
            while self.owes_answer:  # to the marks that it wanted
                awaited = self.connection.awaited
                self._note(await self.session.next_event("response", "the answer to", awaited))
        while self._noops:
            try:
                self._note(await self.session.next_event("response", "the answer to", self._noops[0]))
            except DeadlineExceeded:
                self.is_over = True
                raise

    def expect_silence(self) -> None:
        """Make sure that nothing has come but answers to NOOPs of our own, and of what a retrieval has left.

        Raises what has ended the session, and what `Session.expect_silence` raises.
        """
        if self._end is not None:
            raise self._end
        if not self.owes_answer:
            while (event := self.session.poll()) is not None:
                if not self._note(event):
                    raise ConnectionLost(f"the server closed the idle connection: {event}")

    async def drain(self) -> None:
        """Read what is left of messages that nobody wants. Raises ConnectionLost where that is more than the budget
        allows, or than the server gives."""
        self._rate.begin()  # of the message that was being read nothing more is
        budget, connection = self._drain, self.connection
        left = [command.octets for command in connection.in_flight]
        # What has come of the first is not left of it.
        octets = sum(left) - min(connection.given, *left[:1], sum(left))
        if octets <= budget.octets:
            octets = 0
            try:
                async with Deadline(budget.seconds, "drain", _LEFT):
                    while any(command.streamed for command in connection.in_flight) and octets <= budget.octets:
                        event = await self.session.next_event("block", _LEFT)
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
        left = self.session.said_at + self._keep_alive - self._loop.time()
        if left > 0:
            self._set_alarm(left)
            return
        try:
            is_said = self._say_noop()
        except MailwireError as error:
            # There is nobody here to tell. The next call meets it.
            self._end = error
            self.end()
        else:
            self._set_alarm(self._keep_alive if is_said else min(self._keep_alive, _HELD_BACK))

    def _say_noop(self) -> bool:
        if not self.owes_answer:
            self.expect_silence()
            if self._noops:
                return False  # it has not read that yet
        elif self._is_awaited or not self.pipelines:
            return False
        noop = Noop()
        if not self.connection.send_ahead(noop):
            return False
        self._noops.append(noop)
        self.session.flush()
        return True

    # Private

    async def _next_event(self, phase: str, awaited: str, subject: object) -> Event:
        gathered = 0
        while True:
            self._is_awaited = True
            try:
                event = await self.session.next_event(phase, awaited, subject)
            except DeadlineExceeded as late:
                came, gathered = self.connection.gathered - gathered, self.connection.gathered
                if self._is_long(came, phase):
                    continue
                raise self._with_progress(late) from late.__cause__
            finally:
                self._is_awaited = False
            if not self._note(event):
                return event

    def _is_long(self, octets: int, phase: str) -> bool:
        # Whether what takes time is a listing of many messages, of which so much has come in so long.
        enough = max(1, (self._timeouts.minimum_rate or 0) * (getattr(self._timeouts, phase) or 0))
        return octets >= enough and isinstance(self.connection.awaited, List | Uidl)

    def _with_progress(self, error: DeadlineExceeded) -> DeadlineExceeded:
        return DeadlineExceeded(f"{error}; {self.connection.progress}", phase=error.phase)

    def _note(self, event: Event) -> bool:
        # Returns whether it is the answer to a NOOP of our own, which is nobody else's business.
        if isinstance(event, ResponseReceived):
            command, response, _ = event  # in one: the interpreter finds each by its name at more cost
            if self._noops and command is self._noops[0]:
                self._noops.popleft()
                return True
            # A message that is given changes nothing, and there are many of them.
            if not (command.streamed and response.ok):
                self._observe(event)
        return False


def _response_in(event: Event) -> ResponseReceived:
    if isinstance(event, ResponseReceived):
        return event
    raise ConnectionLost(f"the server left between two commands: {event}")


def raise_refusal(received: ResponseReceived) -> None:
    """Raise ResponseError if what was received is -ERR."""
    if not received.response.ok:
        command = str(received.command)
        raise ResponseError(f"{command} was refused: {received.response}", command=command, response=received.response)
