"""Mail: a message on its way from the server to a sink."""

import hashlib
from collections.abc import AsyncIterator

from ..errors import BudgetExceeded, LocalProtocolError, MessageEmpty
from ..pop3 import Fingerprint

__all__ = ["Mail", "make_key"]


class Mail:
    """A message that a sink is given: iterate over it for its blocks, or `read` it whole. It comes once.

    account: whose it is, as the ledger names it.
    number: the server's, in this session; uid: its unique id, None if it has none. Neither is fit to be a file name.
    size: its octets by the server's word, which is a hint.
    key: 64 hexadecimal digits, of the account and the unique id, which are the same whenever this message comes again,
        and those of no other but one to which the server has given the same unique id (RFC 1939 7 forbids it): compare
        what you have with what comes. Fit for a file name, or a key in a database. Where the message has no unique id,
        they are random.
    is_preview: whether it is cut short: its header, and some lines of its body at most. It has a key of its own then.
    will_be_settled: whether `settle` or `discard` is called for it. It is not where the sink that the run was given has
        no such methods, be it that it hands the mail on to one that has: then it is to be safe when `store` returns.
    octets: how much of it has come so far.
    is_complete: whether the end of it was seen.
    failure: what kept it from coming to its end, if anything did.
    """

    def __init__(
        self,
        account: str,
        number: int,
        uid: str | None,
        size: int,
        key: str,
        blocks: AsyncIterator[bytes],
        *,
        is_preview: bool = False,
        will_be_settled: bool = True,
    ) -> None:
        self.account = account
        self.number = number
        self.uid = uid
        self.size = size
        self.key = key
        self.is_preview = is_preview
        self.will_be_settled = will_be_settled
        self.octets: int = 0
        self.is_complete: bool = False
        self.failure: BaseException | None = None
        self._blocks = blocks
        self._is_taken = False
        self._fingerprint = Fingerprint()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the message in blocks as they arrive, octet for octet.

        Raises what ends it before its end, ConnectionLost say, which a sink must let pass; MessageEmpty behind the last
        block if there was nothing in any, though the message has a size; LocalProtocolError if it is read a second
        time.
        """
        if self._is_taken:
            raise LocalProtocolError(f"message {self.number} was read already: it comes once")
        self._is_taken = True
        blocks = aiter(self._blocks)
        while (block := await self._next(blocks)) is not None:
            self.octets += len(block)
            self._fingerprint.feed(block)
            yield block
        if self.size and not self.octets:
            self.failure = MessageEmpty(f"message {self.number} came empty, and the server lists {self.size} octets")
            raise self.failure
        self.is_complete = True

    async def _next(self, blocks: AsyncIterator[bytes]) -> bytes | None:
        try:
            return await anext(blocks, None)
        except BaseException as error:
            self.failure = error
            raise

    async def read(self, limit: int | None = None) -> bytes:
        """Return the whole message. Raises BudgetExceeded once it proves longer than `limit` octets, and as above."""
        blocks: list[bytes] = []
        async for block in self:
            blocks.append(block)
            if limit is not None and self.octets > limit:
                raise BudgetExceeded(f"message {self.number} is longer than {limit} octets")
        return b"".join(blocks)

    @property
    def fingerprint(self) -> str:
        """What tells the message's header, as far as it has come, from any other; "" for an empty one."""
        return self._fingerprint.digest()

    def __repr__(self) -> str:
        return f"<Mail {self.number} of {self.account!r}, {self.uid!r}, {self.octets} octets so far>"


def make_key(account: str, uid: str, *, is_preview: bool = False) -> str:
    """Return the key of the message that the ledger knows as `uid`; see `Mail.key`."""
    # No account and no uid holds a NUL.
    parts = (account, uid, "preview") if is_preview else (account, uid)
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
