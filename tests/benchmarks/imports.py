"""What it takes to import: processor time of fresh interpreters with compiled modules, beside `import asyncio`.

python -m tests.benchmarks.imports
"""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import mailwire

__all__ = ["measure"]

STATEMENTS = (
    "import asyncio",
    "import mailwire",
    "import mailwire.smtp",
    "import mailwire.pop3",
    "import mailwire; mailwire.SMTPClient",
    "import mailwire; mailwire.POP3Client",
    "import mailwire; mailwire.send",
    "from mailwire import *",
    "import asyncio, email.message, email.policy, smtplib, poplib",
)
ROUNDS = 9
PROGRAM = """
import sys, time
sys.pycache_prefix, source, statement = sys.argv[1:]
sys.path.insert(0, source)
sys.dont_write_bytecode = False
start = time.process_time()
exec(statement)
print(time.process_time() - start)
"""


def measure(statements: Sequence[str] = STATEMENTS, rounds: int = ROUNDS) -> dict[str, float]:
    """Return the least time of each statement, in seconds."""
    times: dict[str, list[float]] = {statement: [] for statement in statements}
    source = str(Path(mailwire.__file__).parents[1])
    with tempfile.TemporaryDirectory() as cache:
        for _ in range(rounds + 1):
            for statement, measured in times.items():
                command = [sys.executable, "-I", "-c", PROGRAM, cache, source, statement]
                measured.append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    return {statement: min(measured[1:]) for statement, measured in times.items()}  # the first one has compiled


if __name__ == "__main__":
    results = measure()
    for statement, seconds in results.items():
        print(f"{statement:62} {seconds * 1000:6.1f} ms   {seconds / results['import asyncio']:.2f}")
