"""Client: what SMTPClient and POP3Client have in common, being connected and being shared.

1. Calls queue up: one uses the connection at a time, whatever task it comes from.
2. Whatever ends a call, an error, a deadline or a cancellation, leaves the connection provably clean, with nothing
   unanswered, or dead. A dead connection refuses every further call.
3. What the server said while nothing was asked is looked at before anything is asked, also where the event loop has not
   read it yet. What is still on its way then, cannot be told from an answer.
4. It belongs to one event loop at a time: as long as that is not closed, and has the connection or a call, a call in
   another one is refused before anything is touched.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Generic, Self, TypeVar

from .._wire.text import check_kind
from .._wire.trace import Direction, Trace, Traceable
from ..endpoint import Endpoint, Protocol
from ..errors import ConnectionLost, LocalProtocolError, MailwireError, RemoteProtocolError
from ..transcript import Transcript
from .lock import Lock
from .session import Machine, Session
from .tls import TLSInfo

__all__ = ["Client", "is_over"]

E = TypeVar("E")


class Client(ABC, Generic[E]):
    """One connection to one server. Make an SMTPClient or a POP3Client."""

    def __init__(self, endpoint: Endpoint | str, protocol: Protocol, transcript: Transcript | None) -> None:
        try:
            self.endpoint: Endpoint = Endpoint.of(endpoint)
        finally:
            del endpoint  # the password in a URL: a traceback may show locals
        if self.endpoint.protocol != protocol:
            raise ValueError(f"expected an endpoint for {protocol}, got {self.endpoint}")
        if transcript is not None:
            check_kind("transcript", transcript, Transcript, "a Transcript")
        self.transcript: Transcript = Transcript() if transcript is None else transcript
        self.mechanism: str | None = None
        """The mechanism by which the last `connect` has logged in; to be remembered (`Preferences.remembered`)."""
        self._logger = logging.getLogger(f"mailwire.{protocol}")
        self._session: Session[E] | None = None
        self._opening: asyncio.Timeout | None = None  # of it, until abort() says so
        self._loop: asyncio.AbstractEventLoop | None = None  # in which it was used last
        self._lock = Lock()  # among the tasks of that event loop
        self._waiting = 0  # for the lock
        self._aborts = 0  # that there were
        self._user: asyncio.Task[object] | None = None  # of the connection, now
        self._is_logged = False  # what this call says and hears

    @property
    def is_connected(self) -> bool:
        """Whether calls can be made. The server may have gone since the last one: the next one will say so."""
        return self._session is not None

    def stands(self) -> bool:
        """Return whether it is connected and the server, as far as is known here, has neither gone nor said anything
        since the last call; where it has, the connection is cut. Not for the middle of a call."""
        self._leave_behind()
        try:
            if self._session is not None:
                self._expect_silence(self._session)
        except MailwireError:
            self._cut()
        return self.is_connected

    def is_fed_by(self, task: "asyncio.Task[object] | None") -> bool:
        """Return whether `task` reads the message that is being sent: it cannot wait until that is sent."""
        return task is not None and self._session is not None and self._session.reader is task

    @property
    def tls(self) -> TLSInfo | None:
        """What was negotiated for TLS; None without TLS, and when not connected."""
        return None if self._session is None else self._session.stream.tls_info

    async def connect(self) -> None:
        """Connect, secure the connection and log in, as the endpoint says. A closed client can be connected again,
        in another event loop as well.

        Raises ConnectionFailed, ConnectionLost, DeadlineExceeded, SecurityError, AuthenticationFailed, NotSupported,
        ProtocolError, or the server's refusal; and what a provider of access tokens raises.
        """
        await self._begin_call()
        try:
            if self._session is not None:
                raise LocalProtocolError(f"the client is connected to {self.endpoint} already")
            self.mechanism = None
            await self._establish()
        except BaseException as error:
            self._end_call(error)
            raise
        self._end_call(None)

    @abstractmethod
    async def quit(self) -> object:
        """Take leave and close the connection."""

    def abort(self) -> None:
        """Cut the connection at once, without a word, also one that is being made. What is going on over it connects no
        more by itself."""
        self._aborts += 1
        self._cut()
        if self._opening is not None:
            # Where it is being broken off, or no event loop runs, it is cut once it is made.
            with suppress(RuntimeError):
                self._opening.reschedule(asyncio.get_running_loop().time())

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, MailwireError):
            self._note(error)  # also one that was raised of what was heard here
        if error is not None or self._session is None:
            self._cut()
        else:
            await self.quit()

    # What a protocol provides

    @abstractmethod
    def _new_machine(self) -> Machine[E]:
        """Make the machine for a new connection."""

    async def _establish(self) -> None:
        """Make a connection to which calls can be made."""
        aborts = self._aborts
        try:
            self._session = await self._open()
            self._refuse_if_aborted(aborts)
            await self._begin(self._session)
            self._refuse_if_aborted(aborts)
        except BaseException as error:
            self._cut()
            if isinstance(error, TimeoutError):
                self._refuse_if_aborted(aborts)
            raise

    async def _open(self) -> Session[E]:
        # Before there is a connection that can be cut, it is the call that is broken off.
        try:
            async with asyncio.timeout(None) as self._opening:
                return await Session.open(self.endpoint, self._new_machine())
        finally:
            self._opening = None

    def _cut(self) -> None:
        """Let go of the connection without a word."""
        if self._session is not None:
            self._session.abort()
            self._session = None

    def _why_not_connected(self) -> MailwireError:
        """Return what a call is told that finds no connection."""
        return LocalProtocolError("the client is not connected: connect() first")

    def _leave_behind(self) -> None:
        # With the event loop that it is in a connection is over.
        if self._session is not None and self._session.is_left_behind:
            self._cut()

    def _refuse_if_aborted(self, aborts: int) -> None:
        """Raise ConnectionLost if the client was told to `abort` since it had been told so that many times."""
        if self._aborts != aborts:
            raise ConnectionLost("the connection was cut by abort()")

    @abstractmethod
    async def _begin(self, session: Session[E]) -> None:
        """Lead a new connection to where calls can be made."""

    @property
    @abstractmethod
    def _is_clean(self) -> bool:
        """Whether nothing is unanswered or half done, and the next call can begin."""

    def _break_off(self) -> None:
        """End a call that nobody but this same task could finish, or nobody at all."""
        if self._user is not asyncio.current_task():
            raise LocalProtocolError(
                "a call was left in its middle by a task of which nothing more comes: make another client"
            )
        raise LocalProtocolError("another call of this same task uses the connection: finish it first")

    @abstractmethod
    def _settling(self) -> Coroutine[object, object, None] | None:
        """Return what brings to its end what an earlier call has left unanswered, before the next one begins; None
        where nothing was left."""

    def _expect_silence(self, session: Session[E]) -> None:
        """Make sure that nothing has come that would be taken for an answer; see `Session.expect_silence`."""
        session.expect_silence()

    # What a call is made in

    def _call(self) -> "_Call[E]":
        return _Call(self)

    def _begins_at_once(self) -> bool:
        # What `_begin_call` does, in the event loop that has the connection, where nobody uses it or waits for it: as
        # for most calls.
        if self._user is not None or not self._lock.take_at_once():
            return False
        self._begun_by(asyncio.current_task())
        return True

    async def _begin_call(self) -> None:
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._move_to(loop)
        task = asyncio.current_task(loop)
        if self._user is not None:
            # Who waited for itself, or for one that is no more, would wait for ever.
            if self.is_fed_by(task):
                raise LocalProtocolError(
                    "the source of a message waits for the connection over which that is to be sent"
                )
            if self._holder() in (None, task):
                self._break_off()
        self._waiting += 1
        try:
            await self._lock.take()
        finally:
            self._waiting -= 1
        self._begun_by(task)

    def _begun_by(self, task: "asyncio.Task[object] | None") -> None:
        self._user = task
        is_logged = self._logger.isEnabledFor(logging.DEBUG)
        if is_logged is not self._is_logged:
            self._is_logged = is_logged
            if self._session is not None:
                self._session.machine.trace = self._trace

    def _refuse_elsewhere(self) -> None:
        """Raise LocalProtocolError where another event loop, which may yet run, has the connection, or a call that uses
        it or waits for it."""
        loop = self._loop
        if loop is None or loop is asyncio.get_running_loop() or loop.is_closed():
            return
        if self._session is not None or self._user is not None or self._waiting:
            raise LocalProtocolError("the client is in use in another event loop: make another client for this one")

    def _move_to(self, loop: asyncio.AbstractEventLoop) -> None:
        self._refuse_elsewhere()
        # Who has waited in the loop before waits for nothing any more. Who had the lock there may yet let go of it.
        lock = Lock()
        if self._user is not None:
            lock.take_at_once()
        self._loop, self._lock = loop, lock
        self._leave_behind()

    async def _open_call(self) -> Session[E]:
        await self._begin_call()
        try:
            if (settling := self._settling()) is not None:
                await settling
            session = self._session
            if session is None:
                raise self._why_not_connected()
            if session.stream.is_readable:
                await session.stream.listen()
            self._expect_silence(session)
        except BaseException as error:
            self._end_call(error)
            raise
        return session

    def _end_call(self, error: BaseException | None) -> None:
        if isinstance(error, MailwireError):
            self._note(error)
            # Also where the words were in order, and what they say is not.
            if isinstance(error, RemoteProtocolError):
                self._cut()
        if not self._is_clean:
            self._cut()
        self._let_go()

    def _let_go(self) -> None:
        # By itself for a call that has left the connection clean for sure.
        self._user = None
        self._lock.release()

    def _holder(self) -> "asyncio.Task[object] | None":
        """Return the task that will end the call that there is; None if nobody will."""
        return None if self._user is None or is_over(self._user) else self._user

    @property
    def _trace(self) -> Trace:
        return self._log if self._is_logged else self.transcript.record

    def _log(self, direction: Direction, what: Traceable) -> None:
        self.transcript.record(direction, what)
        for line in what.shown():
            self._logger.debug("%s %s: %s", self.endpoint, direction, line)

    def _note(self, error: MailwireError) -> None:
        error.transcript = error.transcript or self.transcript.tail()


def is_over(task: "asyncio.Task[object]") -> bool:
    """Return whether nothing more will come of `task`: it is done, or its event loop is closed."""
    return task.done() or task.get_loop().is_closed()


class _Call(Generic[E]):
    # The use of a client's connection for one call.

    def __init__(self, client: Client[E]) -> None:
        self._client = client

    async def __aenter__(self) -> Session[E]:
        return await self._client._open_call()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._client._end_call(error)
