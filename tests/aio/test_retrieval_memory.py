"""Messages of any size come in in constant memory: measured in a process of their own, by its peak."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Final

import pytest

from mailwire.testing import server_context
from mailwire.testing.tls import authority_file

MEBIBYTE: Final = 1024 * 1024
# What a session may need, whatever the size of the message.
GROWTH: Final = 24 * 1024  # KiB

LINES: Final = (b"..345678" * 7 + b"\r\n") * 1024

CLIENT: Final = """
import asyncio, json, resource, sys
from pathlib import Path
import mailwire

port, tls, path, authority = sys.argv[1:]

async def main():
    endpoint = mailwire.Endpoint("localhost", int(port), "pop3", tls=tls,
                                 auth=mailwire.Password("b", "secret"), allow_cleartext_auth=True,
                                 tls_ca_file=authority if tls != "none" else None)
    async with mailwire.POP3Client(endpoint) as client:
        small, large = await client.listing()
        async for item in client.retrieve([small]):
            await item.read()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        async for item in client.retrieve([large]):
            with Path(path).open("wb") as file:
                async for block in item:
                    file.write(block)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"growth": after - before, "octets": item.octets, "is_complete": item.is_complete}))

asyncio.run(main())
"""


class Source:
    """A server of two messages, one of a mebibyte and one of so many."""

    def __init__(self, mebibytes: int) -> None:
        self.pieces = {1: MEBIBYTE // len(LINES), 2: mebibytes * MEBIBYTE // len(LINES)}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"+OK source\r\n")
        while line := await reader.readline():
            verb, *arguments = line.split()
            if verb == b"RETR":
                writer.write(b"+OK\r\n")
                for _ in range(self.pieces[int(arguments[0])]):
                    writer.write(LINES)
                    await writer.drain()
                writer.write(b".\r\n")
            elif verb in (b"LIST", b"UIDL"):
                # Sizes are hints.
                writer.write(b"+OK\r\n1 10\r\n2 20\r\n.\r\n")
            else:
                writer.write(b"-ERR what\r\n" if verb == b"CAPA" else b"+OK 2 30\r\n")
            if verb == b"QUIT":
                break
        writer.close()


@pytest.mark.parametrize("mebibytes", [128, pytest.param(1024, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("tls", ["none", "implicit"])
async def test_a_large_message_comes_in_in_constant_memory(tls: str, mebibytes: int, tmp_path: Path) -> None:
    source, path = Source(mebibytes), tmp_path / "message.eml"
    context = server_context() if tls == "implicit" else None
    server = await asyncio.start_server(source.serve, "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", CLIENT, str(port), tls, str(path), str(authority_file())),
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
    told = json.loads(output)
    octets = source.pieces[2] * (len(LINES) - 1024)  # each line has lost a dot
    assert told["is_complete"]
    assert told["octets"] == path.stat().st_size == octets
    assert told["growth"] <= GROWTH
