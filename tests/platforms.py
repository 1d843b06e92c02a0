"""The whole suite on another Python, by one event loop or the other: `python -m tests.platforms 3.12 uvloop`.

It has an environment of its own, in which everything is installed that tests ask for; only servers are those of the
system, and where one is missing, its tests fail. What stands behind the loop is for pytest, such as the tests that are
to be run.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

__all__ = ["DEMANDS", "LIBRARIES", "LOOPS", "MINORS", "find_python", "furnish", "main"]

_ROOT: Final = Path(__file__).parents[1]
MINORS: Final = ("3.11", "3.12", "3.13")
"""The versions of Python that are supported."""
LOOPS: Final = ("asyncio", "uvloop")
LIBRARIES: Final = (
    *("aiosmtpd>=1.4.6", "aiosmtplib", "anyio", "celery", "cryptography", "django", "dkimpy", "fastapi", "flask"),
    *("mutmut>=3", "pytest-xdist>=3.7", "python-socks", "taskiq", "taskiq-redis", "trio", "uvloop"),
)
"""What tests ask for besides."""
DEMANDS: Final = {"MAILWIRE_REQUIRE_LIBRARIES": "1", "MAILWIRE_REQUIRE_SERVERS": "1"}
"""What the environment has, to let a test fail that lacks a library or a server, in place of being skipped."""


def find_python(minor: str) -> str | None:
    """Return the Python of this version, "3.12" say: that on the PATH, or pyenv's. None: there is none."""
    on_path = shutil.which(f"python{minor}")
    of_pyenv = sorted(Path.home().glob(f".pyenv/versions/{minor}.*/bin/python3"))
    candidates = [on_path, *map(str, of_pyenv)]
    return next((python for python in candidates if python is not None and _version_of(python) == minor), None)


def _version_of(python: str) -> str:
    # One of pyenv's may be there and lead nowhere.
    asked = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()


def furnish(python: str, folder: Path) -> str:
    """Make an environment in this folder in which the suite can be run, and return its Python."""
    subprocess.run([python, "-m", "venv", str(folder)], check=True)
    furnished = str(folder / "bin/python")
    subprocess.run([furnished, "-m", "pip", "install", "-q", "-e", ".[test]", *LIBRARIES], cwd=_ROOT, check=True)
    return furnished


def main(arguments: Sequence[str], furnish: Callable[[str, Path], str] = furnish) -> int:
    """Run the suite. Returns 0 if it held."""
    if len(arguments) < 2 or arguments[0] not in MINORS or arguments[1] not in LOOPS:
        print(f"expected a version and a loop of {MINORS} and {LOOPS}, got {arguments}")
        return 2
    minor, loop, *others = arguments
    python = find_python(minor)
    if python is None:
        print(f"Python {minor} was not found")
        return 1
    with tempfile.TemporaryDirectory(prefix="mailwire-") as folder:
        suite = ["-m", "pytest", "-p", "no:cacheprovider", "--extent", "whole", "--loop", loop]
        command = [furnish(python, Path(folder)), *suite, *others]
        return subprocess.run(command, cwd=_ROOT, env={**os.environ, **DEMANDS}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
