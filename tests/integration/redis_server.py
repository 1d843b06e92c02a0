"""A private Redis server, which writes down what it is told before it says so."""

import shutil
import socket
import subprocess
import time
from pathlib import Path

from tests.integration.daemon import HOST, StartFailed, free_ports

__all__ = ["RedisServer"]

_START_SECONDS = 60.0
_STOP_SECONDS = 10.0
_POLL_SECONDS = 0.02

_CONFIGURATION = """\
bind {host}
port {port}
dir {folder}
logfile {folder}/redis.log
daemonize no
save ""
appendonly yes
appendfsync always
"""


class RedisServer:
    """The server, over a `folder` of its own; it can be started again over what is there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (self.port,) = free_ports(1)
        self.url = f"redis://{HOST}:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def missing() -> str | None:
        """Say what the server lacks here to be started, or `None` if nothing."""
        return None if shutil.which("redis-server") else "redis-server is not installed (Debian package redis-server)"

    def start(self) -> None:
        """Start the server and wait until it answers. Raises `StartFailed`."""
        file = self.folder / "redis.conf"
        file.write_text(_CONFIGURATION.format(host=HOST, port=self.port, folder=self.folder))
        command = ["redis-server", str(file)]
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise StartFailed(f"redis-server did not come up:\n{(self.folder / 'redis.log').read_text()}")
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """Stop the server, if it was started."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def kill(self) -> None:
        """Have the server end at once, whatever it is doing."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        try:
            with socket.create_connection((HOST, self.port), timeout=_START_SECONDS) as link:
                link.sendall(b"PING\r\n")
                return link.recv(7) == b"+PONG\r\n"
        except OSError:
            return False
