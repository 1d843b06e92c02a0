"""Every block of Python in the README and the documentation runs, against the loopback server.

The hosts of the examples are replaced by the loopback server's address and ports; nothing else is changed. What an
example takes for granted (a list of messages, an open file, a connected socket) is put into its namespace.
"""

import ast
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
from types import CodeType
from typing import Any

import pytest

import mailwire
from mailwire.testing import MECHANISMS, Account, MailServer, Policy, authority_file, server_context
from tests.integration.conftest import demand, demand_libraries
from tests.integration.redis_server import RedisServer

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
ACCOUNTS = [
    Account("a", "secret", ("a@example.org",), access_tokens=["token-of-a"]),
    Account("b", "secret", ("b@example.org",)),
    Account("alice", "", ("alice@example.org",), certificate_name="alice"),
]


def blocks() -> Iterator[Any]:
    for page in PAGES:
        for number, found in enumerate(
            re.finditer(r"^```python\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
        ):
            yield pytest.param(found[1], id=f"{page.relative_to(ROOT)}-{number}")


def on_loopback(text: str, implicit: MailServer, upgradable: MailServer, lmtp_path: Path) -> str:
    """Return `text` with the loopback server in place of the example hosts."""
    text = text.replace("@smtp.example.org", f"@localhost:{implicit.smtp_port}")
    text = text.replace("@pop.example.org", f"@localhost:{implicit.pop3_port}")
    text = text.replace("/run/dovecot/lmtp", str(lmtp_path))
    text = text.replace('"mail.example.org",', f'"localhost", {implicit.smtp_port},')
    text = text.replace('"smtp.example.org", 465', f'"localhost", {implicit.smtp_port}')
    text = re.sub(r'"(alice(?:-key)?\.pem)"', lambda found: repr(str(authority_file().parent / found[1])), text)
    return text.replace('"smtp.example.org",', f'"localhost", {upgradable.smtp_port},')


def compiled(text: str) -> CodeType:
    code: CodeType = compile(text, "<example>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    return code


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


@pytest.mark.parametrize("text", list(blocks()))
async def test_the_example_runs(text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs" / "examples")
    demand_libraries(*re.findall(r"^(?:import|from) (\w+)", text, re.MULTILINE))
    for name in ("report.pdf", "logo.png", "message.eml"):
        (tmp_path / name).write_bytes(b"Subject: x\r\n\r\nhello\r\n")
    monkeypatch.chdir(tmp_path)
    # What trusts the system's authorities trusts the test authority here.
    monkeypatch.setenv("SSL_CERT_FILE", str(authority_file()))
    context, policy = server_context(client_certificates=True), Policy(mechanisms=MECHANISMS)
    async with (
        AsyncExitStack() as stack,
        MailServer(ACCOUNTS, policy=policy, tls_context=context, implicit_tls=True) as implicit,
        MailServer(ACCOUNTS, policy=policy, tls_context=context, lmtp_path=str(tmp_path / "lmtp")) as upgradable,
    ):
        if "from taskiq_mail.broker import" in text:
            stack.enter_context(task_queue(tmp_path, monkeypatch))
        message = mailwire.compose(sender="a@example.org", to="b@example.org", subject="Hello", text="Hello world")
        await mailwire.send(message, f"smtps://a:secret@localhost:{implicit.smtp_port}")
        with socket.create_connection((upgradable.host, upgradable.smtp_port)) as sock, io.BytesIO() as file:
            sock.settimeout(10)
            namespace = {
                "__name__": "__main__",
                "mailwire": mailwire,
                "messages": [message],
                "file": file,
                "sock": sock,
            }
            code = compiled(on_loopback(text, implicit, upgradable, tmp_path / "lmtp"))
            # A blocking example runs beside the server that it waits for.
            result = await asyncio.to_thread(eval, code, namespace)
            if inspect.isawaitable(result):
                await result


def test_there_are_examples_in_the_readme() -> None:
    assert len([block for block in blocks() if block.id.startswith("README.md")]) >= 3


def test_the_links_between_the_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
