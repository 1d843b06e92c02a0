"""Mail for the tests of the sinks."""

from collections.abc import AsyncIterator, Iterable

from mailwire.maildrop import Mail, Sink
from mailwire.maildrop.mail import make_key
from mailwire.maildrop.sink import GroupSink

__all__ = ["ACCOUNT", "deliver", "mail", "split"]

ACCOUNT = "b@pop.example.org"


async def _blocks(blocks: Iterable[bytes], error: BaseException | None) -> AsyncIterator[bytes]:
    for block in blocks:
        yield block
    if error is not None:
        raise error


def mail(
    content: bytes | Iterable[bytes],
    uid: str = "1",
    account: str = ACCOUNT,
    *,
    error: BaseException | None = None,
    is_preview: bool = False,
) -> Mail:
    """Return a mail that comes as `content`, or in these blocks of it; `error`, if there is one, cuts it off then."""
    blocks = [content] if isinstance(content, bytes) else list(content)
    key = make_key(account, uid, is_preview=is_preview)
    size = sum(map(len, blocks))
    return Mail(account, 1, uid, size, key, _blocks(blocks, error), is_preview=is_preview)


def split(content: bytes, size: int) -> list[bytes]:
    """Return `content` in blocks of `size` octets."""
    return [content[start : start + size] for start in range(0, len(content), size)]


async def deliver(sink: Sink, *mails: Mail) -> None:
    """Store mails and settle them."""
    for each in mails:
        await sink.store(each)
    if isinstance(sink, GroupSink):
        await sink.settle(mails)
