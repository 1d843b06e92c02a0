"""InThread: what is used by `async with`, in an event loop of a thread of its own, for programs that block."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Generic, TypeVar

__all__ = ["InThread"]

S = TypeVar("S")
T = TypeVar("T")


class InThread(Generic[S]):
    """Serve a program that blocks, such as one that uses smtplib, from a thread of its own.

    ::

        with InThread(MailServer([Account("alice", "secret", ("alice@example.org",))])) as server:
            send_mail_in_a_blocking_way(server.host, server.smtp_port)
            assert len(server.messages("alice")) == 1

    `served` is a `MailServer`, a `FaultProxy`, or a `ScriptedPeer` that listens; it is begun by the `with` and ended
    behind it, and what its beginning and its end raise is raised here: so a peer whose client said something else fails
    the test. What it holds can be read at any time, and `wait_idle` may be awaited in any event loop; `run` waits
    without one. It can be used once; the second time raises RuntimeError.

    What depends on who has its turn in the event loop, needs the client in the same loop: a `MailServer` that is
    `patient`, the flights of its sessions, and the packets of a `ScriptedPeer`.
    """

    def __init__(self, served: AbstractAsyncContextManager[S]) -> None:
        self._served = served
        self._begun: Future[tuple[S, asyncio.AbstractEventLoop]] = Future()
        self._ending: asyncio.Event = asyncio.Event()
        self._ended: Future[None] = Future()
        self._error: BaseException | None = None  # of the program
        self._thread = threading.Thread(target=self._run, name=f"{type(self).__name__} {served!r}", daemon=True)

    def __enter__(self) -> S:
        self._thread.start()
        try:
            return self._begun.result()[0]
        except BaseException:
            self._thread.join()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._error = error
        self._begun.result()[1].call_soon_threadsafe(self._ending.set)
        self._thread.join()
        failure = self._ended.exception()
        if failure is not None and failure is not error:
            if error is None:
                raise failure
            raise failure from error
        if error is not None:
            error.__traceback__ = traceback  # it has been raised in the thread, which is nobody's business

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the thread's event loop, and return what it returns, or raise what it raises.

        To be called within the `with`, from any other thread; else it raises RuntimeError.
        """
        if not self._begun.done() or self._ended.done() or threading.current_thread() is self._thread:
            coroutine.close()
            raise RuntimeError("a coroutine is run from within the `with`, and from another thread than that one")
        return asyncio.run_coroutine_threadsafe(coroutine, self._begun.result()[1]).result()

    # In the thread

    def _run(self) -> None:
        asyncio.run(self._host())

    async def _host(self) -> None:
        try:
            async with self._served as begun:
                self._begun.set_result((begun, asyncio.get_running_loop()))
                await self._ending.wait()
                self._fail_as_the_program_did()
            self._ended.set_result(None)
        except BaseException as failure:
            if not self._begun.done():
                self._begun.set_exception(failure)
                return
            # It may have ended before it was told to: a peer whose guard lost its patience has.
            await self._ending.wait()
            self._ended.set_exception(failure)

    def _fail_as_the_program_did(self) -> None:
        # What is served is to know of it.
        if self._error is not None:
            raise self._error
