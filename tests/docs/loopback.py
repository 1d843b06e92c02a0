"""The surroundings of an example: the loopback server in the place of its hosts, and a folder of its own."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import mailwire
from mailwire.testing import (
    MECHANISMS,
    Account,
    MailServer,
    Policy,
    StoredMessage,
    authority_file,
    server_context,
)
from tests.docs.socks_server import SocksServer

__all__ = ["ACCOUNTS", "MESSAGE", "REPORT", "World", "beginning"]

ACCOUNTS: Final = (
    Account("a", "secret", ("a@example.org",), access_tokens=["token-of-a"]),
    Account("b", "secret", ("b@example.org", "c@example.org", "d@example.org")),
    Account("me", "secret", ("me@example.org", "you@example.org")),
    Account("alice", "", ("alice@example.org",), certificate_name="alice"),
)
MESSAGE: Final = mailwire.compose(sender="a@example.org", to="b@example.org", subject="Hello", text="Hello world")
# More than one block of any recipe, and of octets that base64 has all its letters for.
REPORT: Final = b"%PDF" + bytes(range(256)) * 6000
_URL: Final = re.compile(
    r"\b(smtps|pop3s|smtp\+starttls|pop3\+starttls|smtp|pop3)://([^@/\s\"]*@)?(?:smtp|pop|mail)\.example\.org\b"
)


@dataclass
class World:
    """folder: where the example is run.
    implicit: the server with TLS from the first octet, in whose maildrop of b the message `MESSAGE` is.
    upgradable: the one with STARTTLS and LMTP.
    socks: a proxy that knows smtp.example.net.
    printed: what the example has printed; filled when it is over.
    """

    folder: Path
    implicit: MailServer
    upgradable: MailServer
    socks: SocksServer
    printed: str = field(default="", init=False)

    @property
    def lmtp_path(self) -> str:
        return str(self.folder / "lmtp")

    def arrived(self, user: str) -> tuple[StoredMessage, ...]:
        """Return what the example has sent to a user, over both servers."""
        mails = self.implicit.messages(user) + self.upgradable.messages(user)
        return mails[1:] if user == "b" else mails

    def commands(self) -> list[bytes]:
        """Return what was said to either server by SMTP."""
        sessions = self.implicit.smtp_sessions[1:] + self.upgradable.smtp_sessions
        return [command for session in sessions for command in session.commands]

    def with_hosts_of_ours(self, text: str) -> str:
        """Return an example with the loopback servers in place of its hosts. Nothing else of it is changed."""

        def url(found: re.Match[str]) -> str:
            server = self.implicit if found[1] in ("smtps", "pop3s") else self.upgradable
            port = server.smtp_port if found[1].startswith("smtp") else server.pop3_port
            return f"{found[1]}://{found[2] or ''}localhost:{port}"

        implicit, upgradable = self.implicit.smtp_port, self.upgradable.smtp_port
        text = _URL.sub(url, text)
        for host, ours in (
            ("/run/dovecot/lmtp", self.lmtp_path),
            ('"mail.example.org",', f'"localhost", {implicit},'),
            ('"smtp.example.org", 465', f'"localhost", {implicit}'),
            ('"smtp.example.org", 587', f'"localhost", {upgradable}'),
            ('"smtp.example.org",', f'"localhost", {upgradable},'),
            ("localhost:1080", f"localhost:{self.socks.port}"),
            ('"mail-example-org.pem"', repr(str(authority_file()))),
            ('Endpoint("smtp.example.net"', 'Endpoint("localhost"'),  # the proxy is told the other name all the same
        ):
            text = text.replace(host, ours)
        return re.sub(r'"(alice(?:-key)?\.pem)"', lambda found: repr(str(authority_file().parent / found[1])), text)


@asynccontextmanager
async def beginning(folder: Path) -> AsyncIterator[World]:
    """The world before an example is run."""
    for name in ("logo.png", "message.eml"):
        (folder / name).write_bytes(b"Subject: x\r\n\r\nhello\r\n")
    (folder / "report.pdf").write_bytes(REPORT)
    context, policy = server_context(client_certificates=True), Policy(mechanisms=MECHANISMS)
    async with (
        MailServer(ACCOUNTS, policy=policy, tls_context=context, implicit_tls=True) as implicit,
        MailServer(ACCOUNTS, policy=policy, tls_context=context, lmtp_path=str(folder / "lmtp")) as upgradable,
        SocksServer("user", "password", {("smtp.example.net", 465): implicit.smtp_port}) as socks,
    ):
        await mailwire.send(MESSAGE, f"smtps://a:secret@localhost:{implicit.smtp_port}")
        yield World(folder, implicit, upgradable, socks)
