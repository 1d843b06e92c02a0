"""Make the pictures of the command line: what a terminal shows of it, as SVG.

    python docs/images/make.py

The servers are those of mailwire.testing, on the loopback interface; their names in the pictures are changed to those
of the examples.
"""

import asyncio
import os
import pty
import re
import sysconfig
import tempfile
from html import escape
from pathlib import Path

from mailwire.testing import MECHANISMS, Account, MailServer, Policy, authority_file, server_context

HERE = Path(__file__).parent
SCRIPT = Path(sysconfig.get_path("scripts")) / "mailwire"
LINE, CHARACTER, MARGIN = 18, 8.4, 16
TRUST = ("--ca-file", str(authority_file()))


def picture(lines: list[str]) -> str:
    """Return a terminal with these lines."""
    width = MARGIN * 2 + max(map(len, lines)) * CHARACTER
    height = MARGIN * 2 + len(lines) * LINE
    rows = "\n".join(
        f'<text x="{MARGIN}" y="{MARGIN + (number + 0.75) * LINE:g}">{escape(line)}</text>'
        for number, line in enumerate(lines)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}">\n'
        "<style>text { font: 14px monospace; fill: #ddd; white-space: pre }</style>\n"
        f'<rect width="100%" height="100%" rx="6" fill="#1e1e2e"/>\n{rows}\n</svg>\n'
    )


async def shown(*arguments: str, home: str) -> str:
    """Return what a terminal is shown by the program."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "HOME": home, "MAILWIRE_PASSWORD": "secret", "COLUMNS": "80"}
    process = await asyncio.create_subprocess_exec(SCRIPT, *arguments, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    text = b""
    loop = asyncio.get_running_loop()
    while True:
        try:
            piece = await loop.run_in_executor(None, os.read, ours, 65536)
        except OSError:  # how Linux tells that the other end is closed
            break
        text += piece
    os.close(ours)
    await process.wait()
    return text.decode().replace("\r\n", "\n")


async def demo(home: str) -> list[str]:
    """Return what the demo shows."""
    text = await shown("demo", home=home)
    return ["$ mailwire demo", *text.rstrip().split("\n")]


def server() -> MailServer:
    """Return the server of the other pictures."""
    account = Account("b", "secret", ("b@example.org",))
    return MailServer([account], tls_context=server_context(), policy=Policy(mechanisms=MECHANISMS))


async def check(home: str) -> list[str]:
    """Return what is told of a server."""
    async with server() as checked:
        url = f"smtp+starttls://b@localhost:{checked.smtp_port}"
        report = await shown("check", url, *TRUST, home=home)
    report = report.replace(f"localhost:{checked.smtp_port}", "smtp.example.org:587")
    report = report.replace("localhost", "smtp.example.org")
    return ["$ mailwire check smtp+starttls://b@smtp.example.org", *report.rstrip().split("\n")]


async def fetch(home: str, messages: int = 400, lines: int = 20_000) -> list[str]:
    """Return the progress of a run in its middle, if it shows any, and its summary."""
    async with server() as filled:
        for number in range(messages):
            filled.maildrop.put("b", b"Subject: x\r\n\r\n" + b"0123456789abcdef\r\n" * lines, uid=str(number))
        url = f"pop3+starttls://b@localhost:{filled.pop3_port}"
        progress = await shown("fetch", url, *TRUST, "--maildir", f"{home}/Mail", home=home)
    bars = re.findall(r"\[[# ]+\][^\r\n]*", progress) or [""]
    summary = progress.rsplit("\x1b[K", 1)[-1].strip().replace(f"localhost:{filled.pop3_port}", "pop.example.org")
    command = "$ mailwire fetch pop3+starttls://b@pop.example.org --maildir ~/Mail"
    return [command, bars[len(bars) // 2], "", command, summary]


async def make(home: str) -> None:
    """Make them all."""
    (HERE / "demo.svg").write_text(picture(await demo(home)))
    (HERE / "check.svg").write_text(picture(await check(home)))
    (HERE / "fetch.svg").write_text(picture(await fetch(home)))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(make(folder))
