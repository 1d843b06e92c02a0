"""Messages of any size go out in constant memory: measured in a process of their own, by its peak."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from mailwire.testing import server_context
from mailwire.testing.tls import authority_file

SIZE: Final = 64 * 1024 * 1024
WHOLE: Final = 1024 * 1024 * 1024
# What a session may need, whatever the size of the message.
GROWTH: Final = 24 * 1024  # KiB

CLIENT: Final = """
import asyncio, json, resource, sys
from pathlib import Path
import mailwire

port, tls, chunking, source, size, authority = sys.argv[1:]
port, chunking, size = int(port), json.loads(chunking), int(size)
LINES = b"0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnop.\\r\\n" * 1024

async def produce():
    yield b"Subject: x\\r\\n\\r\\n"
    for _ in range(size // len(LINES)):
        yield LINES

async def main():
    endpoint = mailwire.Endpoint("localhost", port, tls=tls, tls_ca_file=authority if tls != "none" else None,
                                 use_chunking=chunking)
    envelope = {"sender": "a@example.org", "recipients": ["b@example.org"]}
    async with mailwire.SMTPClient(endpoint) as client:
        await client.send(LINES * 20, **envelope)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        receipt = await client.send(produce() if source == "iterable" else Path(source), **envelope)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"growth": after - before, "octets": receipt.octets, "word": receipt.delivery.value}))

asyncio.run(main())
"""


class Sink(asyncio.Protocol):
    """A server that takes everything and keeps nothing, and announces these extensions."""

    def __init__(self, *extensions: str) -> None:
        self.extensions = extensions or ("CHUNKING",)
        self.transport: Any = None
        self.line = b""
        self.left = 0  # octets of a chunk
        self.is_data = False
        self.tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.transport.write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        while data:
            if self.left:
                taken = min(self.left, len(data))
                self.left -= taken
                data = data[taken:]
                if not self.left:
                    self.transport.write(b"250 taken\r\n")
            elif self.is_data:
                self.tail = (self.tail + data[-5:])[-5:]
                data = b""
                if self.tail == b"\r\n.\r\n":
                    self.is_data = False
                    self.transport.write(b"250 taken\r\n")
            else:
                line, end, data = (self.line + data).partition(b"\n")
                self.line = b"" if end else line
                if end:
                    self.answer(line)

    def answer(self, line: bytes) -> None:
        words = line.split()
        if words[0] == b"BDAT":
            self.left = int(words[1])
        elif words[0] == b"DATA":
            self.is_data, self.tail = True, b"\r\n"
            self.transport.write(b"354 go\r\n")
        else:
            lines = [b"sink", *(extension.encode() for extension in self.extensions)]
            hello = b"".join(b"250-%b\r\n" % line for line in lines[:-1]) + b"250 %b\r\n" % lines[-1]
            self.transport.write(hello if words[0] == b"EHLO" else b"250 ok\r\n")


@pytest.mark.parametrize("source", ["file", "iterable"])
@pytest.mark.parametrize("chunking", [True, False])
@pytest.mark.parametrize("tls", ["none", "implicit"])
@pytest.mark.parametrize("size", [SIZE, pytest.param(WHOLE, marks=pytest.mark.exhaustive)], ids=["64 MiB", "1 GiB"])
async def test_a_large_message_goes_out_in_constant_memory(
    size: int, tls: str, chunking: bool, source: str, tmp_path: Path
) -> None:
    if source == "file":
        path = tmp_path / "message.eml"
        block = (b"0123456789abcdef" * 4)[:-2] + b"\r\n"
        with path.open("wb") as file:
            file.write(b"Subject: x\r\n\r\n")
            for _ in range(size // (1 << 20)):
                file.write(block * ((1 << 20) // len(block)))
        source = str(path)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Sink, "127.0.0.1", 0, ssl=server_context() if tls == "implicit" else None)
    async with server:
        port = server.sockets[0].getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", CLIENT, str(port), tls, json.dumps(chunking), source, str(size)),
            str(authority_file()),
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
    told = json.loads(output)
    assert told["word"] == "accepted"
    assert told["octets"] >= size * 0.95
    assert told["growth"] <= GROWTH
