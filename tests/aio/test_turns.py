"""However large a message is, other tasks have their turn all the time: counted in octets, not measured in seconds.

What is done with a message between two turns of the event loop is bounded if no step takes more than a few blocks of
it, and if no step makes anything as large as the whole.
"""

import asyncio
import base64
import email
import io
import tracemalloc
from collections.abc import AsyncGenerator, Callable
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

import mailwire
from mailwire import Attachment, Delivery, Endpoint
from tests.aio.test_memory import Sink

SIZE = 9 * 1024 * 1024
# At most so many octets between two turns: one and a half milliseconds' work, or less.
BETWEEN_TURNS = 2 * 1024 * 1024
# What is made of a message is never the whole of it.
AT_ONCE = SIZE * 2 // 3

LINE = b"0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnop\r\n"
ENVELOPE = {"sender": "a@example.org", "recipients": "b@example.org"}


def octets(line: bytes = LINE) -> bytes:
    return b"Subject: x\r\n\r\n" + line * (SIZE // len(line))


def parsed(line: bytes, *fields: bytes) -> Any:
    header = b"".join(b"%b\r\n" % field for field in (b"From: a@example.org", b"MIME-Version: 1.0", *fields))
    return email.message_from_bytes(header + b"\r\n" + line * (SIZE // len(line)), policy=policy.default)


async def later(data: bytes) -> AsyncGenerator[bytes, None]:
    yield data


def composed(_: Path) -> EmailMessage:
    attachment = Attachment(b"x" * (SIZE // 4 * 3), "x.bin")
    return mailwire.compose(sender="a@example.org", to="b@example.org", text="hello\n", attachments=[attachment])


def at_path(folder: Path) -> Path:
    path = folder / "message"
    path.write_bytes(octets())
    return path


EIGHT_BIT = "ä".encode() + LINE
MESSAGES: dict[str, Callable[[Path], Any]] = {
    "octets": lambda _: octets(),
    "octets to be mended": lambda _: octets(LINE.replace(b"\r", b"")),
    "a text": lambda _: octets().decode(),
    "a text beyond ASCII": lambda _: octets(EIGHT_BIT).decode(),
    "a bytearray": lambda _: bytearray(octets()),
    "a memoryview": lambda _: memoryview(octets()),
    "a path": at_path,
    "a file": lambda _: io.BytesIO(octets()),
    "an iterable of one block": lambda _: [octets()],
    "an iterable of one bytearray": lambda _: [bytearray(octets())],
    "an asynchronous iterable of one block": lambda _: later(octets()),
    "an attachment": composed,
    "a text in eight bits": lambda _: parsed(EIGHT_BIT, b"Content-Transfer-Encoding: 8bit"),
    "a text with long lines": lambda _: parsed(LINE[:-2] * 20 + LINE),
    "base64 with long lines": lambda _: parsed(
        base64.b64encode(LINE * 300) + b"\r\n", b"Content-Transfer-Encoding: base64"
    ),
}
NEEDS_EIGHT_BIT = {"a text beyond ASCII"}


class Watch:
    """Counts turns of the event loop, and octets between two of them."""

    def __init__(self) -> None:
        self.turns = 0
        self.most = 0
        self._octets = 0  # up to this turn
        self._written = 0
        self._handle = asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self.turns += 1
        self._octets = self._written
        self._handle = asyncio.get_running_loop().call_soon(self._turn)

    def progress(self, written: int, _: int | None) -> None:
        self._written = written
        self.most = max(self.most, written - self._octets)

    def stop(self) -> None:
        self._handle.cancel()


@pytest.mark.parametrize(("keyword", "use_chunking"), [("8BITMIME", False), ("HELP", True)])
@pytest.mark.parametrize("kind", MESSAGES)
async def test_nothing_is_done_with_the_whole_of_a_large_message(
    kind: str, keyword: str, use_chunking: bool, tmp_path: Path
) -> None:
    if kind in NEEDS_EIGHT_BIT:
        keyword = "8BITMIME"
    message = MESSAGES[kind](tmp_path)
    server = await asyncio.get_running_loop().create_server(lambda: Sink("CHUNKING", keyword), "127.0.0.1", 0)
    async with server:
        endpoint = Endpoint("127.0.0.1", server.sockets[0].getsockname()[1], tls="none", use_chunking=use_chunking)
        watch = Watch()
        tracemalloc.start()
        try:
            receipt = await mailwire.send(message, endpoint, **ENVELOPE, progress=watch.progress)  # type: ignore[arg-type]
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            watch.stop()
    assert receipt.delivery is Delivery.ACCEPTED
    assert receipt.octets > SIZE * 0.95
    assert watch.turns > SIZE // BETWEEN_TURNS
    assert watch.most <= BETWEEN_TURNS
    assert peak < AT_ONCE
