"""Turn: one task at a time goes on with a run; another one may end its turn, and the task does not take it for its own
cancellation."""

import asyncio
from types import TracebackType

__all__ = ["Turn"]


class Turn:
    """The turn of the task that is within `with turn:`, if there is one."""

    def __init__(self) -> None:
        self._task: asyncio.Task[object] | None = None
        self._cancelled = 0  # times that the task was, before its turn
        self._left: asyncio.Future[None] | None = None  # somebody has ended it, and waits until the task has left it

    @property
    def is_taken(self) -> bool:
        """Whether it is somebody's turn."""
        return self._task is not None

    @property
    def is_ended(self) -> bool:
        """Whether somebody else has ended the turn that there is."""
        return self._left is not None

    async def end(self) -> None:
        """End the turn, if it is somebody's, and wait until its task has left it: it gets out wherever it waits."""
        if self._task is not None:
            self._left = asyncio.get_running_loop().create_future()
            self._task.cancel()
            await self._left

    def __enter__(self) -> None:
        self._task = task = asyncio.current_task()
        self._cancelled = task.cancelling() if task else 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        task, left = self._task, self._left
        self._task = self._left = None
        if left is None or task is None:
            return False
        if not left.done():  # else who has waited for it does not any more
            left.set_result(None)
        # As asyncio.timeout does: whoever was cancelled besides, stays cancelled.
        return task.uncancel() <= self._cancelled and isinstance(error, asyncio.CancelledError)
