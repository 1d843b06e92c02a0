"""Real servers for the tests in this folder.

Without root or without the servers these tests are skipped; with MAILWIRE_REQUIRE_SERVERS=1 in the environment they
fail instead, and with MAILWIRE_REQUIRE_LIBRARIES=1 those that lack a library do. A failed test is reported with the end
of each server's log.
"""

import importlib
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from mailwire.testing import EXTENSIONS, MailServer, Policy, authority_file, server_context
from tests.integration import task_worker
from tests.integration.daemon import Daemon
from tests.integration.dovecot import Dovecot
from tests.integration.mail_host import MailHost
from tests.integration.mailbox import Mailbox
from tests.integration.mailutils import MailutilsPop3d
from tests.integration.postfix import Postfix
from tests.integration.redis_server import RedisServer
from tests.integration.task_queue import ACCOUNTS, CONTEXT, PASSWORD, Queue

_RUNNING = pytest.StashKey[list[Daemon]]()


@cache  # by the file: there are tens of thousands of tests
def _is_here(path: Path) -> bool:
    """Whether the tests of this file are those of this folder."""
    return path.is_relative_to(Path(__file__).parent)


# First, so that "-m 'not integration'" sees the marker.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _is_here(item.path):
            item.add_marker("integration")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and _is_here(item.path):
        for daemon in item.config.stash.get(_RUNNING, []):
            report.sections.append((f"end of {daemon.log_file.name}", daemon.log_tail()))
    return report


def demand(missing: str | None) -> None:
    """Skip the test, or fail it where servers are required, if something is `missing`."""
    if missing is not None:
        if os.environ.get("MAILWIRE_REQUIRE_SERVERS") == "1":
            pytest.fail(f"MAILWIRE_REQUIRE_SERVERS=1, but {missing}")
        pytest.skip(missing)


def demand_libraries(*names: str) -> None:
    """Skip the test, or fail it where libraries are required, if one of them is not installed."""
    for name in names:
        if find_spec(name) is None:
            if os.environ.get("MAILWIRE_REQUIRE_LIBRARIES") == "1":
                pytest.fail(f"MAILWIRE_REQUIRE_LIBRARIES=1, but {name} is not installed")
            pytest.skip(f"{name} is not installed")


@contextmanager
def server_folder() -> Iterator[Path]:
    """A folder for a server, removed in the end."""
    # Not below pytest's own temporary folder: that one is closed to every user but root, and the servers' processes
    # give up root.
    folder = Path(tempfile.mkdtemp(prefix="mailwire-"))
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def running(config: pytest.Config, server: MailHost | Daemon, *daemons: Daemon) -> Iterator[None]:
    """Have `server` run; the logs of its `daemons` are shown where a test fails meanwhile."""
    server.start()
    try:
        config.stash.setdefault(_RUNNING, []).extend(daemons)
        yield
    finally:
        for daemon in daemons:
            config.stash[_RUNNING].remove(daemon)
        server.stop()


@pytest.fixture(scope="session")
def mail_host(request: pytest.FixtureRequest) -> Iterator[MailHost]:
    """Postfix and Dovecot, running, over the same accounts."""
    demand(MailHost.missing())
    with server_folder() as folder:
        host = MailHost(folder)
        with running(request.config, host, *host.daemons):
            yield host


@pytest.fixture(scope="session")
def mailutils(request: pytest.FixtureRequest) -> Iterator[MailutilsPop3d]:
    """The POP3 server of GNU Mailutils, running."""
    demand(MailutilsPop3d.missing())
    with server_folder() as folder:
        server = MailutilsPop3d(folder)
        with running(request.config, server, server):
            yield server


@pytest.fixture(scope="session")
def redis_server(request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """Redis, running."""
    demand(RedisServer.missing())
    with server_folder() as folder:
        server = RedisServer(folder)
        server.start()
        yield server
        server.stop()


@pytest.fixture(scope="session")
def postfix(mail_host: MailHost) -> Postfix:
    """Postfix, running (and Dovecot behind it)."""
    return mail_host.postfix


@pytest.fixture(scope="session")
def dovecot(mail_host: MailHost) -> Dovecot:
    """Dovecot, running."""
    return mail_host.dovecot


@pytest.fixture
def mailbox(mail_host: MailHost) -> Mailbox:
    """An account that no test used before, empty."""
    return mail_host.new_mailbox()


@pytest.fixture
def environment(redis_server: RedisServer, tmp_path: Path) -> dict[str, str]:
    """The settings of the workers of the task queue."""
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "a@localhost").write_text(f"{PASSWORD}\n")
    return {
        "TASKIQ_MAIL_REDIS": redis_server.url,
        "TASKIQ_MAIL_SECRETS": str(tmp_path / "secrets"),
        "TASKIQ_MAIL_FOLDER": str(tmp_path / "mail"),
        "TASKIQ_MAIL_CONNECTIONS": "2",
        "TASKIQ_MAIL_LEASE": "60",
        # What trusts the system's authorities trusts the test authority here.
        "SSL_CERT_FILE": str(authority_file()),
    }


@pytest.fixture
async def queue(
    environment: dict[str, str], redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Queue]:
    """The task queue, empty."""
    demand_libraries("redis", "taskiq", "taskiq_redis")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    # Its settings are read when it is imported, and its connections are those of one event loop.
    for name in [name for name in sys.modules if name.startswith("taskiq_mail")]:
        monkeypatch.delitem(sys.modules, name)
    CONTEXT.set_forkserver_preload(["taskiq.api", "taskiq_redis", "mailwire", task_worker.__name__])
    redis = importlib.import_module("redis.asyncio").Redis.from_url(redis_server.url)
    await redis.flushall()
    queue = Queue(environment, redis)
    await queue.broker.startup()
    yield queue
    queue.stop()
    await queue.broker.shutdown()
    await redis.aclose()
    for name in [name for name in sys.modules if name.startswith("taskiq_mail")]:
        del sys.modules[name]


@pytest.fixture
def replies() -> dict[str, str]:
    """What the mail server answers RCPT; may be changed while it runs."""
    return {}


@pytest.fixture(params=["DATA", "BDAT"])
async def server(request: pytest.FixtureRequest, replies: dict[str, str]) -> AsyncIterator[MailServer]:
    """A server that the workers send to and collect from."""
    extensions = [name for name in EXTENSIONS if name != "CHUNKING" or request.param == "BDAT"]
    policy = Policy(require_auth=True, recipient_replies=replies, extensions=extensions)
    async with MailServer(ACCOUNTS, policy=policy, tls_context=server_context(), implicit_tls=True) as server:
        yield server
