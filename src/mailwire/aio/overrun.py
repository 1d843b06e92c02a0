"""Overrun: a message that may have swallowed the answer behind it.

Exchange 2000 at times ends a message without the line end before its dot. Such a message has no end. In a session that
is pipelined it goes on into the next answer and ends with that, and from there on each answer is taken for one to the
command before. Nothing tells it from a mail in which a line ends in a dot and the next begins like an answer; but where
an answer was swallowed, there is one less than there are commands. So such a message is whole when all are answered.
"""

from typing import Final

__all__ = ["OverrunWatch", "holds_answer"]

_OK: Final = b".\r\n+OK"
_ERR: Final = b".\r\n-ERR"
_KEPT: Final = max(len(_OK), len(_ERR)) - 1


class OverrunWatch:
    """Looks at the blocks of one message after the other; `begin` begins the next."""

    def __init__(self) -> None:
        self._tail = b""

    def begin(self) -> None:
        """Forget the message before."""
        self._tail = b""

    def sees_answer(self, block: bytes) -> bool:
        """Whether what may be an answer begins in `block`, or ends there."""
        tail = self._tail
        seam = tail + block[:_KEPT]
        self._tail = (block if len(block) >= _KEPT else seam)[-_KEPT:]
        return bool(tail and (_OK in seam or _ERR in seam)) or holds_answer(block)


def holds_answer(block: bytes) -> bool:
    """Return whether `block` holds the whole beginning of what may be an answer."""
    # To find out that there is no such octet costs next to nothing: content in base64 holds no dot, and most text no
    # plus sign. From its end a block is searched in two thirds of the time.
    return b"." in block and ((b"+" in block and block.rfind(_OK) >= 0) or block.rfind(_ERR) >= 0)
