"""Runs over a loopback server, for the tests of what keeps mail."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

from mailwire import Endpoint, Password
from mailwire.maildrop import (
    Account,
    Ledger,
    Mail,
    MemoryLedger,
    Page,
    Policy,
    Record,
    RetrievalReport,
    Run,
    Sink,
    State,
)
from mailwire.testing import Account as User
from mailwire.testing import MailServer, ScriptedPeer
from tests.maildrop.records import NOON

__all__ = [
    "USER",
    "CountingSink",
    "LostLedger",
    "MemorySink",
    "Time",
    "WaitingLedger",
    "account_at",
    "body",
    "endpoint_at",
    "fill",
    "records_of",
    "run",
]

USER = User("b", "secret", ("b@example.org",))


def body(text: str) -> bytes:
    """Return a message of its own for `text`."""
    return f"Subject: {text}\r\n\r\nHello {text}\r\n".encode()


def endpoint_at(server: MailServer | ScriptedPeer, user: User = USER, **settings: Any) -> Endpoint:
    """Return the endpoint for the mail of `user`."""
    settings = {
        "protocol": "pop3",
        "auth": Password(user.user, user.password),
        "allow_cleartext_auth": True,
        **settings,
    }
    if isinstance(server, ScriptedPeer):
        return server.endpoint(**settings)
    return Endpoint(server.host, server.pop3_port, tls="none", **settings)


def account_at(server: MailServer | ScriptedPeer, user: User = USER) -> str:
    """Return what the ledger knows the account by. A scripted peer has another port each time it is asked."""
    if isinstance(server, ScriptedPeer):
        return "b"
    endpoint = endpoint_at(server, user)
    return f"{user.user}@{endpoint.host}:{endpoint.port}"


def fill(server: MailServer, *texts: str, user: User = USER) -> None:
    """Put a message into the maildrop for each of `texts`, which is its unique id as well."""
    for text in texts:
        server.maildrop.put(user.user, body(text), uid=text)


class Time:
    """A clock that the test puts forward."""

    def __init__(self) -> None:
        self.time = NOON

    def __call__(self) -> datetime:
        return self.time

    def pass_by(self, **duration: float) -> None:
        """Put it forward, by `days=1`, say."""
        self.time += timedelta(**duration)


class MemorySink:
    """A sink that keeps what it is given, in order, and fails for messages whose content holds what is in `failing`."""

    def __init__(self) -> None:
        self.contents: list[bytes] = []
        self.mails: list[Mail] = []
        self.failing: dict[bytes, BaseException] = {}

    async def store(self, mail: Mail) -> None:
        """Keep it."""
        content = await mail.read()
        for text, error in self.failing.items():
            if text in content:
                raise error
        self.contents.append(content)
        self.mails.append(mail)

    @property
    def subjects(self) -> list[str]:
        """The subjects of what it has."""
        return [content.split(b"\r\n")[0].removeprefix(b"Subject: ").decode() for content in self.contents]


class CountingSink(MemorySink):
    """A sink that counts how many messages it is given at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.most = 0

    async def store(self, mail: Mail) -> None:
        """Keep it, and take some turns of the loop for it."""
        self.now += 1
        self.most = max(self.most, self.now)
        await super().store(mail)
        for _ in range(50):
            await asyncio.sleep(0)
        self.now -= 1


class WaitingLedger(MemoryLedger):
    """A ledger that notes for how long each claim waits."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float | None] = []

    @asynccontextmanager
    async def claim(self, account: str, *, wait: float | None = 7) -> AsyncGenerator[Page, None]:
        """Note it, and claim."""
        self.waits.append(wait)
        async with super().claim(account, wait=wait) as page:
            yield page


class LostLedger(MemoryLedger):
    """A ledger that raises an error of its own, and none of mailwire's, when it is told of a message in `state`."""

    def __init__(self, state: State) -> None:
        super().__init__()
        self.state = state

    @asynccontextmanager
    async def claim(self, account: str, *, wait: float | None = 0) -> AsyncGenerator[Page, None]:
        """Claim a page that does so."""
        async with super().claim(account, wait=wait) as page:
            yield _LostPage(page, self.state)


class _LostPage:
    def __init__(self, page: Page, state: State) -> None:
        self._page = page
        self._state = state

    async def records(self) -> Mapping[str, Record]:
        return await self._page.records()

    async def write(self, records: Iterable[Record]) -> None:
        told = list(records)
        if any(record.state is self._state for record in told):
            raise RuntimeError("the database went away")
        await self._page.write(told)

    async def forget(self, uids: Iterable[str]) -> None:
        await self._page.forget(uids)


async def run(
    server: MailServer | ScriptedPeer,
    into: Sink,
    ledger: Ledger | None = None,
    *,
    time: Time | None = None,
    **rest: Any,
) -> RetrievalReport:
    """Do one run with this policy, whose settings may be among the `rest`."""
    names = Policy.__dataclass_fields__.keys() & rest.keys()
    policy = Policy(**{name: rest.pop(name) for name in names})
    name = rest.pop("account", account_at(server) if isinstance(server, ScriptedPeer) else "")
    endpoint = rest.pop("endpoint", None) or endpoint_at(server)
    account = Account(endpoint, into, policy=policy, name=name)
    return await Run(account, ledger=ledger, now=time or Time(), **rest).perform()


async def records_of(ledger: Ledger, server: MailServer | ScriptedPeer) -> dict[str, Record]:
    """Return what the ledger has of the account."""
    async with ledger.claim(account_at(server)) as page:
        return dict(await page.records())
