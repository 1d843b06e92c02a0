"""Every block of Python in the README and the documentation runs, against the loopback server.

The hosts of the examples are replaced by the loopback server's address and ports; nothing else is changed. What an
example takes for granted (a list of messages, an open file, a connected socket) is put into its namespace, but for
those of the README, which are whole programs. Where an example shows nothing by itself, a witness looks at what it did.
"""

import asyncio
import inspect
import io
import logging
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from mailwire.testing import authority_file
from tests.docs.blocks import BLOCKS, ROOT, Block, compiled
from tests.docs.exemptions import EXEMPT, RUN_ELSEWHERE
from tests.docs.loopback import MESSAGE, beginning
from tests.docs.witnesses import WITNESSES, witnesses_of
from tests.integration.conftest import demand, demand_libraries
from tests.integration.redis_server import RedisServer

EXAMPLES = [
    block
    for block in BLOCKS
    if block.language == "python"
    and not block.is_of_docstring
    and (block.place, block.head) not in EXEMPT | RUN_ELSEWHERE
]


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    handlers = logging.root.handlers[:]
    yield
    logging.root.handlers[:] = handlers
    logging.getLogger("mailwire").setLevel(logging.NOTSET)


@contextmanager
def task_queue(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Redis, running, and the settings of the example that queues mail there."""
    demand(RedisServer.missing())
    (folder / "redis").mkdir()
    (folder / "secrets").mkdir()
    for account in ("a@localhost", "b@localhost"):
        (folder / "secrets" / account).write_text("secret\n")
    server = RedisServer(folder / "redis")
    monkeypatch.setenv("TASKIQ_MAIL_REDIS", server.url)
    monkeypatch.setenv("TASKIQ_MAIL_SECRETS", str(folder / "secrets"))
    server.start()
    try:
        yield
    finally:
        server.stop()
        # It has read its settings when it was imported.
        for name in [name for name in sys.modules if name.startswith("taskiq_mail")]:
            del sys.modules[name]


@pytest.mark.parametrize("block", EXAMPLES, ids=str)
async def test_the_example_runs(
    block: Block, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs" / "examples")
    demand_libraries(*re.findall(r"^(?:import|from) (\w+)", block.text, re.MULTILINE))
    monkeypatch.chdir(tmp_path)
    # What trusts the system's authorities trusts the test authority here.
    monkeypatch.setenv("SSL_CERT_FILE", str(authority_file()))
    async with AsyncExitStack() as stack, beginning(tmp_path) as world:
        if "from taskiq_mail.broker import" in block.text:
            stack.enter_context(task_queue(tmp_path, monkeypatch))
        with (
            socket.create_connection((world.upgradable.host, world.upgradable.smtp_port)) as sock,
            io.BytesIO() as file,
        ):
            sock.settimeout(10)
            namespace: dict[str, Any] = {"__name__": "__main__"}
            if block.place != "README.md":
                namespace |= {"messages": [MESSAGE], "file": file, "sock": sock}
            # A blocking example runs beside the server that it waits for.
            result = await asyncio.to_thread(eval, compiled(world.with_hosts_of_ours(block.text)), namespace)
            if inspect.isawaitable(result):
                await result
            world.printed = capsys.readouterr().out
            for witness in witnesses_of(block):
                await witness(world, namespace)


def test_there_are_examples_in_the_readme() -> None:
    assert len([block for block in EXAMPLES if block.place == "README.md"]) == 3


def test_every_example_is_looked_at() -> None:
    # By itself or by a witness: one that nobody looks at could do anything.
    assert not [str(block) for block in EXAMPLES if "assert " not in block.text and not list(witnesses_of(block))]


def test_each_witness_has_seen_one_example() -> None:
    for place, phrase in WITNESSES:
        seen = [block for block in EXAMPLES if block.place == place and phrase in block.text]
        assert len(seen) == 1, f"{phrase!r} is in {len(seen)} blocks of {place}"
