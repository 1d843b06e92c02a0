"""Every example in a docstring runs, against the loopback server.

In its namespace is what its reader has: the names of mailwire, of `mailwire.testing` and of the module that it stands
in; and what it takes for granted: messages, an endpoint, a client. Functions that it defines as tests are called.
"""

import asyncio
import hashlib
import importlib
import inspect
import smtplib
import sqlite3
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

import mailwire
import mailwire.maildrop
import mailwire.testing
from mailwire.testing import authority_file
from tests.docs.blocks import BLOCKS, Block, compiled
from tests.docs.exemptions import EXEMPT, RUN_ELSEWHERE
from tests.docs.loopback import MESSAGE, World, beginning

EXAMPLES: Final = [
    block
    for block in BLOCKS
    if block.language == "python" and block.is_of_docstring and (block.place, block.head) not in EXEMPT | RUN_ELSEWHERE
]
OCTETS: Final = b"Subject: x\r\n\r\nhello\r\n"


class EnoughError(Exception):
    """An example that goes on for ever would begin again."""


async def stop(_: float) -> None:
    raise EnoughError


def send_mail_in_a_blocking_way(host: str, port: int) -> None:
    with smtplib.SMTP(host, port) as smtp:
        smtp.sendmail("a@example.org", ["alice@example.org"], OCTETS)


async def taken_for_granted(text: str, module: str, world: World, stack: AsyncExitStack) -> dict[str, Any]:
    """Return the namespace of an example; what takes a connection is made if it is spoken of."""
    granted: dict[str, Any] = {
        "asyncio": asyncio,
        "hashlib": hashlib,
        "pytest": pytest,
        "sqlite3": sqlite3,
        "mailwire": mailwire,
    }
    # Both `mailwire.testing` and `mailwire.maildrop` have an Account.
    testing_last = module.startswith("mailwire.testing")
    for of in (mailwire, mailwire.testing, mailwire.maildrop, *([mailwire.testing] if testing_last else [])):
        granted |= {name: getattr(of, name) for name in of.__all__}
    granted |= vars(importlib.import_module(module))
    maildrop = mailwire.Endpoint.parse(world.with_hosts_of_ours("pop3s://b:secret@pop.example.org"))
    granted |= {
        "message": MESSAGE,
        "messages": [MESSAGE],
        "octets": OCTETS,
        "endpoint": maildrop,
        "sink": mailwire.Maildir("Mail"),
        "accounts": [mailwire.maildrop.Account(maildrop, mailwire.Maildir("Mail"))],
        "send_mail_in_a_blocking_way": send_mail_in_a_blocking_way,
        "watch": partial(mailwire.maildrop.watch, sleep=stop),
        "__name__": "__main__",
    }
    url = world.with_hosts_of_ours("smtps://a:secret@smtp.example.org")
    if "in ledger" in text or "ledger=ledger" in text:
        granted["ledger"] = await stack.enter_async_context(mailwire.maildrop.SQLiteLedger("granted.db"))
    if "client.send" in text and "as client" not in text:
        granted["client"] = await stack.enter_async_context(mailwire.SMTPClient(url))
    if "pool.send" in text and "as pool" not in text:
        granted["pool"] = await stack.enter_async_context(mailwire.SMTPPool(url))
    return granted


@pytest.mark.parametrize("block", EXAMPLES, ids=str)
async def test_the_example_of_the_docstring_runs(
    block: Block, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority_file()))
    module = block.place.removeprefix("src/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    async with beginning(tmp_path) as world, AsyncExitStack() as stack:
        granted = await taken_for_granted(block.text, module, world, stack)
        namespace = dict(granted)
        result = await asyncio.to_thread(eval, compiled(world.with_hosts_of_ours(block.text)), namespace)
        with suppress(EnoughError):
            if inspect.isawaitable(result):
                await result
        made = {name: thing for name, thing in namespace.items() if granted.get(name) is not thing}
        for name, thing in made.items():
            if name.startswith("test_"):
                await thing()
        world.printed = capsys.readouterr().out
        await look(block, world, made)


async def look(block: Block, world: World, made: dict[str, Any]) -> None:
    """See what the example has done, by what it says."""
    if "client.send(" in block.text or "pool.send" in block.text or "send_all(" in block.text:
        assert [mail.content[:19] for mail in world.arrived("b")] == [b"From: a@example.org"]
    if "print(" in block.text:
        assert world.printed
    if "retrieve(endpoint" in block.text or "Run(" in block.text:
        assert len(made["report"].stored) == 1
        assert len(list(Path("Mail/new").iterdir())) == 1
    if "DatabaseSink" in made:
        database = sqlite3.connect("mail.db")
        endpoint = mailwire.Endpoint.parse(world.with_hosts_of_ours("pop3s://b:secret@pop.example.org"))
        await mailwire.retrieve(endpoint, into=made["DatabaseSink"](database))
        await mailwire.retrieve(endpoint, into=made["DatabaseSink"](database))
        ((content,),) = database.execute("SELECT content FROM mail").fetchall()
        assert content == world.implicit.messages("b")[0].content
        database.close()
    if "RecordingProxy" in block.text:
        assert "C: MAIL FROM:<a@example.org>" in Path("greylisting.txt").read_text()
