"""Turn: one task at a time goes on with a run; another one may end its turn, and the task does not take it for its own
cancellation."""

import asyncio

__all__ = ["Turn"]


class Turn:
    """The turn of the task that has begun it and not left it, if there is one. Leave it however it ends."""

    def __init__(self) -> None:
        self.task: asyncio.Task[object] | None = None
        """Whose turn it is; None if it is nobody's."""
        self._cancelled = 0  # times that the task was, before its turn
        self._left: asyncio.Future[None] | None = None  # somebody has ended it, and waits until the task has left it

    @property
    def is_ended(self) -> bool:
        """Whether somebody else has ended the turn that there is."""
        return self._left is not None

    async def end(self) -> None:
        """End the turn, if it is somebody's, and wait until its task has left it: it gets out wherever it waits."""
        if self.task is not None:
            self._left = asyncio.get_running_loop().create_future()
            self.task.cancel()
            await self._left

    def begin(self, task: "asyncio.Task[object] | None") -> None:
        """Let it be the turn of `task`, the current one."""
        self.task = task
        self._cancelled = task.cancelling() if task else 0

    def leave(self, error: BaseException | None = None) -> bool:
        """End one's own turn; return whether the `error` that ended it, if any did, is the caller's to hear of: not the
        cancellation by which somebody else has."""
        task, left = self.task, self._left
        self.task = self._left = None
        if left is None or task is None:
            return True
        if not left.done():  # else who has waited for it does not any more
            left.set_result(None)
        # As asyncio.timeout does: whoever was cancelled besides, stays cancelled.
        return task.uncancel() > self._cancelled or not isinstance(error, asyncio.CancelledError)
