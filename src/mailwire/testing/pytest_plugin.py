"""Fixtures of pytest for tests of your own mail code: a mail server, a peer that plays a script, a bad connection.

In the `conftest.py` at the root of your tests::

    pytest_plugins = ["mailwire.testing.pytest_plugin"]

Each of them is served from a thread of its own (`InThread`). So they are the same for tests that block, as with
smtplib, for coroutines under pytest-asyncio, and for those under AnyIO's plugin or trio; none of these is needed. This
is the one module of mailwire that needs pytest.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any, Final, TypeAlias

import pytest

from .fault_proxy import Choice, FaultProxy
from .faults import Fault
from .in_thread import InThread
from .maildrop import Account
from .script import Step
from .scripted_peer import ScriptedPeer
from .server import MailServer

__all__ = ["ACCOUNTS", "BeginPeer", "BeginProxy", "fault_proxy", "mail_server", "pytest_configure", "scripted_peer"]

ACCOUNTS: Final = (
    Account("alice", "secret", ("alice@example.org",)),
    Account("bob", "secret", ("bob@example.org",)),
)
"""Those that a `mail_server` has, unless its marker says otherwise."""

BeginPeer: TypeAlias = Callable[..., ScriptedPeer]
"""What the fixture `scripted_peer` is: it takes the steps and the settings of a `ScriptedPeer`, and begins one."""

BeginProxy: TypeAlias = Callable[..., FaultProxy]
"""What the fixture `fault_proxy` is: it takes what a `FaultProxy` takes, and begins one."""


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker `mail_server` known."""
    config.addinivalue_line(
        "markers", "mail_server(accounts, **settings): how the fixture mail_server is made, as a MailServer is"
    )


@pytest.fixture
def mail_server(request: pytest.FixtureRequest) -> Iterator[MailServer]:
    """A `MailServer` with the accounts of alice and bob, whose password is "secret", at example.org.

    The marker `mail_server` takes what `MailServer` takes, for a test, a class or a module; the nearest one wins,
    setting by setting. Each test has a server of its own.
    """
    settings: dict[str, Any] = {"accounts": ACCOUNTS}
    for marker in reversed(list(request.node.iter_markers("mail_server"))):
        if len(marker.args) > 1 or (marker.args and "accounts" in marker.kwargs):
            raise pytest.UsageError(
                "the marker mail_server takes what MailServer takes: the accounts once, and all else by its name; "
                f"got {', '.join(map(repr, marker.args))}"
            )
        settings |= {**dict(zip(("accounts",), marker.args, strict=False)), **marker.kwargs}
    with InThread(MailServer(**settings)) as server:
        yield server


@pytest.fixture
def scripted_peer() -> Iterator[BeginPeer]:
    """Begins a `ScriptedPeer` that listens at a port, as often as it is called.

    Where a client has said something else than the script expects, or none has connected, that is an error behind the
    test.
    """
    with ExitStack() as peers:

        def begin(*script: Step, **settings: Any) -> ScriptedPeer:
            return peers.enter_context(InThread(ScriptedPeer(*script, listen=True, **settings)))

        yield begin


@pytest.fixture
def fault_proxy() -> Iterator[BeginProxy]:
    """Begins a `FaultProxy` before a server, as often as it is called."""
    with ExitStack() as proxies:

        def begin(
            port: int | None = None, faults: Sequence[Iterable[Fault]] | Choice = (), **settings: Any
        ) -> FaultProxy:
            return proxies.enter_context(InThread(FaultProxy(port, faults, **settings)))

        yield begin
