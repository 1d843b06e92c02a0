"""The program as a user has it: the installed script, as a process of its own."""

import asyncio
import os
import sysconfig
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["SCRIPT", "Ended", "mailwire", "start"]

SCRIPT = Path(sysconfig.get_path("scripts")) / "mailwire"


@dataclass(frozen=True)
class Ended:
    """What a command has ended by, and what it has said."""

    status: int
    out: str
    err: str


async def start(
    *arguments: object,
    home: Path | None = None,
    environment: Mapping[str, str] | None = None,
    redirections: str = "",
    stdout: int = PIPE,
) -> Process:
    """Start the program, in an environment that knows no passwords, and has a home of its own; by a shell, which
    redirects its streams."""
    settings = {name: value for name, value in os.environ.items() if not name.startswith(("MAILWIRE", "XDG_"))}
    settings |= {"HOME": str(home or "/nonexistent"), **(environment or {})}
    shell = ("sh", "-c", f'exec "$0" "$@" {redirections}') if redirections else ()
    return await asyncio.create_subprocess_exec(
        *shell,
        *(str(SCRIPT), *map(str, arguments)),
        stdin=PIPE,
        stdout=stdout,
        stderr=PIPE,
        env=settings,
    )


async def mailwire(
    *arguments: object,
    stdin: bytes = b"",
    home: Path | None = None,
    environment: Mapping[str, str] | None = None,
    redirections: str = "",
) -> Ended:
    """Run the program to its end."""
    process = await start(*arguments, home=home, environment=environment, redirections=redirections)
    out, err = await asyncio.wait_for(process.communicate(stdin), 60)
    return Ended(process.returncode or 0, out.decode(), err.decode())
