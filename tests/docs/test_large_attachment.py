"""The recipe for a large attachment: its memory does not depend on the file, as measured in a process of its own."""

import asyncio
import json
import re
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Final

import pytest

from mailwire.testing import authority_file, server_context
from tests.aio.test_memory import GROWTH, Sink
from tests.docs.blocks import BLOCKS

# The recipe in a coroutine, once for a small file and once for a large one.
PROGRAM: Final = """
import ast, asyncio, json, os, resource, sys

small, large, recipe = sys.argv[1:]
code = compile(recipe, "<recipe>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)

async def main():
    peaks = []
    for folder in (small, large):
        os.chdir(folder)
        namespace = {}
        await eval(code, namespace)
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    print(json.dumps(peaks))

asyncio.run(main())
"""


@pytest.mark.exhaustive
async def test_a_gigabyte_is_attached_in_constant_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority_file()))
    (recipe,) = (block.text for block in BLOCKS if "Iterator[bytes]:" in block.text and "report.pdf" in block.text)
    sending = recipe.partition("\n*_, received")[0]
    for name, octets in (("small", 2 * 1024 * 1024), ("large", 1024 * 1024 * 1024)):
        (tmp_path / name).mkdir()
        with (tmp_path / name / "report.pdf").open("wb") as file:
            file.truncate(octets)
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", 0, ssl=server_context())
    async with server:
        port = server.sockets[0].getsockname()[1]
        # The server has no login.
        sending = re.sub(r"smtps://[^\"]+", f"smtps://localhost:{port}", sending)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PROGRAM, str(tmp_path / "small"), str(tmp_path / "large"), sending), stdout=PIPE
        )
        output, _ = await process.communicate()
    assert process.returncode == 0
    before, after = json.loads(output)
    assert after - before <= GROWTH
