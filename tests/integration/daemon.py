"""One real server as a child process: started until its ports answer, stopped until its whole process group is gone."""

import os
import random
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from mailwire.testing.tls import client_context

__all__ = ["HOST", "Daemon", "StartFailed", "free_ports"]

HOST = "127.0.0.1"

_START_SECONDS = 120.0
_ANSWER_SECONDS = 5.0
_STOP_SECONDS = 10.0
_POLL_SECONDS = 0.02

_FIRST_PORT = 10_000
_WORKERS = 64
_PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")

_given_ports: set[int] = set()


class StartFailed(Exception):
    """A server that did not come up; the message ends with the last lines of its log."""


def free_ports(count: int) -> list[int]:
    """Return that many ports of the loopback interface on which nothing listens now, none of them returned before.

    They are none of those that the system gives to whoever connects somewhere, for such a one could take them before a
    server does; and no two workers of pytest-xdist get the same, nor one and a run without.
    """
    ports: list[int] = []
    name = os.environ.get("PYTEST_XDIST_WORKER")
    worker = int(name.removeprefix("gw")) % (_WORKERS - 1) if name else _WORKERS - 1
    candidates = range(_FIRST_PORT + worker, _first_given_to_clients(), _WORKERS)
    for port in random.sample(candidates, len(candidates)):
        if len(ports) == count:
            return ports
        if port not in _given_ports and _is_free(port):
            _given_ports.add(port)
            ports.append(port)
    raise StartFailed(f"no {count} ports are free")


def _is_free(port: int) -> bool:
    try:
        socket.create_server((HOST, port)).close()
    except OSError:
        return False
    return True


def _first_given_to_clients() -> int:
    try:
        return int(_PORT_RANGE.read_text().split()[0])
    except OSError:
        return 32_768


class Daemon:
    """A server that greets whoever connects to `port` or, over TLS, to `tls_port`: two ports that were free before.

    `command` stays in the foreground, and all that it starts stays in its process group; `environment` is added to this
    process's own. The server appends to `log_file`, and what it says on its standard output is appended there too.
    """

    def __init__(self, command: Sequence[str], log_file: Path, environment: Mapping[str, str] | None = None) -> None:
        self.host = HOST
        self.port, self.tls_port = free_ports(2)
        self.log_file = log_file
        self._command = command
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until both its ports answer. Raises `StartFailed`."""
        with self.log_file.open("ab") as console:
            # A session of its own keeps the terminal's Ctrl-C from the server, and makes its id the process group's id.
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )
        try:
            self._wait_until_answering(self._process, time.monotonic() + _START_SECONDS)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server, if it was started, and wait until every process of its group is gone."""
        if self._process is None:
            return
        group = self._process.pid
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(group, signal.SIGKILL)
            self._process.wait()
        self._process = None
        deadline = time.monotonic() + _STOP_SECONDS
        while _group_runs(group):
            if time.monotonic() > deadline:
                os.killpg(group, signal.SIGKILL)
                break
            time.sleep(_POLL_SECONDS)

    def log_tail(self, lines: int = 40) -> str:
        """Return the last lines of the server's log."""
        text = self.log_file.read_text(encoding="utf-8", errors="replace") if self.log_file.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _wait_until_answering(self, process: subprocess.Popen[bytes], deadline: float) -> None:
        context = client_context()
        for port, tls in (self.port, None), (self.tls_port, context):
            while not _answers(port, tls):
                if process.poll() is not None:
                    problem = f"ended with status {process.returncode}"
                elif time.monotonic() > deadline:
                    problem = f"did not answer on port {port} within {_START_SECONDS:g} s"
                else:
                    time.sleep(_POLL_SECONDS)
                    continue
                raise StartFailed(f"{self._command[0]} {problem}; {self.log_file} ends:\n{self.log_tail()}")


# Reading the greeting tells more than connecting: it shows that the process behind the listening socket runs too.
def _answers(port: int, tls: ssl.SSLContext | None) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=_ANSWER_SECONDS) as link:
            if tls is None:
                return link.recv(1) != b""
            with tls.wrap_socket(link, server_hostname=HOST) as encrypted:
                return encrypted.recv(1) != b""
    except OSError:
        return False


# Zombies do not count: they wait for process 1 to take note of them, which in a container may last seconds.
def _group_runs(group: int) -> bool:
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _parent, its_group, *_ = file.read_bytes().rpartition(b")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(its_group) == group and state not in (b"Z", b"X"):
            return True
    return False
