"""Source octets: what a source gives when it is read, in a thread or not, and what it raises, whatever it is."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import Final, ParamSpec, TypeVar
from weakref import WeakValueDictionary

from ..errors import InvalidMessage, SourceFailed
from .pieces import Buffer

__all__ = [
    "Look",
    "failed",
    "forget_begun",
    "in_thread",
    "octets_in",
    "remember_begun",
    "show_portion",
    "was_begun",
]

P = ParamSpec("P")
T = TypeVar("T")

# So much at a time is looked at in a thread, after which a cancellation is noticed.
_PORTION: Final = 16 * 1024 * 1024

Look = Callable[[bytes], object]
"""Is shown each piece as it is read."""


_begun: Final[WeakValueDictionary[int, object]] = WeakValueDictionary()  # what `remember_begun` was given


def remember_begun(given: object) -> None:
    """Remember that `given`, which can be read but once, was begun: who reads on has the rest of a message. That is
    remembered as long as `given` is there, and not at all of Python's own iterators, `map` say."""
    with suppress(TypeError):
        _begun[id(given)] = given


def forget_begun(given: object) -> None:
    """Forget it: `given` was read to its end."""
    _begun.pop(id(given), None)


def was_begun(given: object) -> bool:
    """Whether it was begun, and has not come to its end."""
    return id(given) in _begun


def show_portion(pieces: Iterator[bytes], look: Look) -> bool:
    """Show `look` a portion of the pieces; return False if there are no more."""
    left = _PORTION
    for piece in pieces:
        look(piece)
        left -= len(piece)
        if left <= 0:
            return True
    return False


def octets_in(data: object) -> Iterable[bytes]:
    """Return the octets that `data` is, in one piece or several. Raises InvalidMessage if it is none."""
    if isinstance(data, bytes):
        return (data,)
    if isinstance(data, (bytearray, memoryview)):
        buffer = Buffer.of(data)
        return (buffer,) if isinstance(buffer, bytes) else buffer
    if isinstance(data, Coroutine):
        data.close()  # nobody awaits it: a file is read in a thread
    raise InvalidMessage(f"expected the octets of a message in bytes, got {type(data).__name__}")


def failed(error: Exception) -> SourceFailed:
    """Return what is raised where a source has raised `error`."""
    return SourceFailed(f"the message cannot be read: {type(error).__name__}: {error}")


def in_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "asyncio.Future[T]":
    """Let `call` be called in a thread of the event loop's, as `asyncio.to_thread` does; return what is to be awaited.
    Raises SourceFailed where there is no thread for it."""
    from .threads import begin_in_thread  # not for who sends what is at hand

    try:
        return begin_in_thread(partial(call, *args, **kwargs))
    except OSError as error:
        raise failed(error) from error
