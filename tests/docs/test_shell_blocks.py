"""Every block of shell commands is run as it stands, against the loopback server, by the program that is installed."""

import asyncio
import os
import re
import signal
import sysconfig
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import pytest

from mailwire.testing import authority_file
from tests.docs.blocks import BLOCKS, Block
from tests.docs.exemptions import EXEMPT, RUN_ELSEWHERE
from tests.docs.loopback import World, beginning

EXAMPLES: Final = [
    block
    for block in BLOCKS
    if block.language in ("sh", "bash", "console") and (block.place, block.head) not in EXEMPT | RUN_ELSEWHERE
]


def commands_of(block: Block) -> list[str]:
    """Return the commands of a block, each in a line."""
    return block.text.replace("\\\n", " ").splitlines()


async def run(command: str, environment: dict[str, str]) -> str:
    """Run a command, which must go well, and return what it said. One that never ends is told to, behind a line."""
    process = await asyncio.create_subprocess_exec(
        *("/bin/sh", "-c", f"exec {command}"), stdout=PIPE, stderr=PIPE, env=environment
    )
    assert process.stdout is not None
    said = b""
    if "--watch" in command:
        said = await asyncio.wait_for(process.stdout.readline(), 60)
        process.send_signal(signal.SIGTERM)
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == (143 if "--watch" in command else 0), f"{command}\n{out.decode()}\n{err.decode()}"
    return (said + out).decode()


async def both_mails_went_out(world: World, said: list[str]) -> None:
    octets, composed = world.arrived("me")
    assert octets.content == Path("message").read_bytes()
    assert composed.content.count(b"Content-Disposition: attachment") == 2
    assert all("you@example.org" in text and "accepted" in text for text in said)


async def the_maildir_has_the_mail(world: World, said: list[str]) -> None:
    stored = [file.read_bytes() for file in Path("Mail/new").iterdir()]
    mails = [mail for session in world.implicit.pop3_sessions for mail in world.implicit.messages(session.user or "")]
    assert sorted(stored) == sorted({mail.content.replace(b"\r\n", b"\n") for mail in mails})
    assert any("1 stored" in text for text in said)


async def the_weakness_was_told(_: World, said: list[str]) -> None:
    assert all("STARTTLS" in text or "TLS" in text for text in said)


# By the words that a block begins with.
WITNESSES: Final[dict[str, Callable[[World, list[str]], Awaitable[None]]]] = {
    "mailwire send": both_mails_went_out,
    "mailwire fetch": the_maildir_has_the_mail,
    "mailwire check": the_weakness_was_told,
}


@pytest.mark.parametrize("block", EXAMPLES, ids=str)
async def test_the_commands_run(block: Block, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    # What trusts the system's authorities trusts the test authority here.
    monkeypatch.setenv("SSL_CERT_FILE", str(authority_file()))
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MAILWIRE")},
        "PATH": f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}",
        "HOME": str(tmp_path),  # which is ~
        "MAILWIRE_PASSWORD": "secret",
    }
    Path("message").write_bytes(b"From: me@example.org\r\nTo: you@example.org\r\nSubject: x\r\n\r\nhello\r\n")
    for name in ("a.jpg", "b.jpg"):
        Path(name).write_bytes(b"\xff\xd8\xff\xe0" + name.encode())
    async with beginning(tmp_path) as world:
        said = list[str]()
        for number, command in enumerate(commands_of(block)):
            if "fetch" in command:
                world.implicit.maildrop.put("me", b"Subject: %d\r\n\r\nhello\r\n" % number)
            said.append(await run(world.with_hosts_of_ours(command), environment))
        (program,) = set(re.findall(r"^mailwire \w+", block.text, re.MULTILINE))
        await WITNESSES[program](world, said)


def test_each_witness_has_something_to_see() -> None:
    assert {" ".join(block.head.split()[:2]) for block in EXAMPLES} == set(WITNESSES)
