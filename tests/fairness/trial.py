"""A trial: one client against one case, in a process of its own, and the word for what came of it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.fairness.cases import MESSAGE, Case
from tests.fairness.programs import TOOLS
from tests.fairness.rude_server import Plan, Record, serving

__all__ = ["CLIENTS", "FINE", "is_installed", "judge", "perform", "recipients_of"]

CLIENTS = {
    "smtp": ("mailwire", "smtplib", "aiosmtplib", "msmtp", "curl"),
    "pop3": ("mailwire", "poplib", "mpop", "fetchmail"),
}
FINE = "yes"
# Seconds: what a client is told to wait for anything, and when it is said to hang.
SECONDS = 5
HANGS = 60
# What a program says of what it could not do, whatever its status is.
_COMPLAINT = re.compile(r".*(?:couldn't|could not|cannot|failed).*")
BLOCK = b"0123456789abcdef\r\n" * 1000
# Octets above what the client takes where nothing is wrong.
MEMORY = 24 * 1024 * 1024


@dataclass
class Trial:
    """What came of it.

    By the client's word: whether it went well, of which recipients or messages it did not, whether its error is one of
    those that it documents, and whether anything is in doubt. Besides that: the octets of memory that it took, the
    messages that it stored, and the server's record.
    """

    ok: bool = False
    told: list[str] = field(default_factory=list)
    typed: bool = True
    doubt: bool = False
    hangs: bool = False
    crashed: bool = False
    memory: int = 0
    mails: list[bytes] = field(default_factory=list)
    record: Record = field(default_factory=Record)
    error: str = ""


def is_installed(name: str) -> bool:
    """Whether there is such a client here."""
    return bool(shutil.which(name) if name in ("msmtp", "curl", "mpop", "fetchmail") else find_spec(name))


def recipients_of(case: Case) -> list[str]:
    return [f"r{number}@example.org" for number in range(case.recipients)] if case.recipients > 1 else ["b@example.org"]


def perform(client: str, case: Case, seconds: int = SECONDS, hangs: int = HANGS) -> Trial:
    """Have a client do its task with the server of a case.

    seconds: what the client is told to wait for anything; hangs: after which it is said to hang.
    """
    name = f"{case.plan.protocol} {client}"
    folder = Path(tempfile.mkdtemp(prefix="mailwire-fairness-"))
    try:
        # Where a client hands on what it collects to a server, there is a good one.
        with serving(case.plan) as (port, record), serving(Plan("smtp")) as (local_port, delivered):
            task: dict[str, Any] = {
                "port": port,
                "seconds": seconds,
                "local_port": local_port,
                "tls": bool(case.plan.tls),
                "auth": bool(case.plan.mechanisms),
                "recipients": recipients_of(case),
                "folder": str(folder),
            }
            if name in TOOLS:
                trial = _run(TOOLS[name](task), case, None, folder, hangs)
                trial.ok = not (trial.crashed or trial.hangs or trial.error)
                trial.told = _COMPLAINT.findall((folder / "said").read_text("utf-8", "replace"))
            else:
                trial = _run([sys.executable, "-m", "tests.fairness.programs", name], case, task, folder, hangs)
            trial.record = record
        trial.mails = [message for _, message in delivered.stored]
        trial.mails += [file.read_bytes() for file in sorted(folder.glob("Mail/new/*"))]
        return trial
    finally:
        shutil.rmtree(folder)


def _run(command: list[str], case: Case, task: dict[str, Any] | None, folder: Path, seconds: int) -> Trial:
    environment = {**os.environ, "HOME": str(folder), "FETCHMAILHOME": str(folder), "SSL_CERT_FILE": ""}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    with (folder / "said").open("wb") as said, (folder / "given").open("w+b") as file:
        # Not made in memory: what this process has taken, counts as taken by each that it starts.
        if task is not None:
            file.write(json.dumps(task).encode() + b"\n")
        if case.plan.protocol == "smtp":
            file.write(MESSAGE)
            for _ in range(case.size // len(BLOCK)):
                file.write(BLOCK)
        file.seek(0)
        process = subprocess.Popen(
            command, stdin=file, stdout=said, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
        killing = threading.Timer(seconds, os.killpg, (process.pid, signal.SIGKILL))
        killing.start()
        # Not by `process`: this tells the memory, too.
        _, status, usage = os.wait4(process.pid, 0)
        hangs = not killing.is_alive()
        killing.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    text = (folder / "said").read_bytes().decode("utf-8", "replace").strip()
    trial = Trial(memory=usage.ru_maxrss * 1024, hangs=hangs, crashed=process.returncode < 0)
    if command[0] == sys.executable and process.returncode == 0:
        found = json.loads(text.splitlines()[-1])
        trial.ok, trial.told = found["ok"], found["told"]
        trial.typed, trial.doubt, trial.error = (
            found.get("typed", True),
            found.get("doubt", False),
            found.get("error", ""),
        )
    elif process.returncode:
        trial.error = f"status {process.returncode}: {text[-200:]}"
    return trial


def judge(case: Case, trial: Trial, usual_memory: int) -> str:
    """Return `FINE` if the client did what it owes, or else what it did, in a few words."""
    if trial.hangs:
        return "hangs"
    if trial.crashed:
        return "crashes"
    if not case.size and trial.memory > usual_memory + MEMORY:
        return "takes all of it in"
    if set(case.silent) & set(trial.record.said):
        return "goes on"
    if not trial.ok and not trial.typed:
        return f"undocumented error ({trial.error})"
    match case.duty:
        case "fail":
            return _judge_failure(case, trial)
        case "deliver":
            if not trial.ok:
                return "says that it failed"
            (sent,) = trial.record.stored or [((), b"")]
            return FINE if sent == (tuple(recipients_of(case)), MESSAGE) else "changes the mail"
        case "retrieve":
            if not trial.ok:
                return "says that it failed"
            return FINE if _are(trial.mails, case.plan.messages) else "changes the mail"
        case "doubt":
            return _judge_doubt(case, trial)
        case "tell":
            return _judge_telling(case, trial)


def _judge_failure(case: Case, trial: Trial) -> str:
    if trial.ok:
        return "says that all is well"
    if case.plan.protocol == "pop3" and not all(_is_one_of(mail, case.plan.messages) for mail in trial.mails):
        return "keeps a part as a mail"
    return FINE


def _judge_doubt(case: Case, trial: Trial) -> str:
    if case.plan.protocol == "pop3" and not _are(trial.mails, case.plan.messages):
        return "leaves the others"
    if trial.ok and not (trial.told or trial.doubt):
        return "says that all is well"
    # Where all the mail is there, whoever fails has failed to delete.
    return FINE if trial.doubt or case.plan.protocol == "pop3" else "fails, without the doubt"


def _judge_telling(case: Case, trial: Trial) -> str:
    if case.plan.protocol == "smtp":
        if not trial.ok:
            return FINE if not trial.record.stored else "sends, and says that it failed"
        return FINE if trial.told else "says that all is well"
    rest = (case.plan.messages[0], case.plan.messages[2])
    if trial.ok and not trial.told:
        return "says that all is well"
    return FINE if _are(trial.mails, rest) else "leaves the others"


def _are(mails: list[bytes], expected: tuple[bytes, ...]) -> bool:
    return len(mails) == len(expected) and all(_is_one_of(mail, expected) for mail in mails)


def _is_one_of(mail: bytes, expected: tuple[bytes, ...]) -> bool:
    # A program may put trace fields before it, and store it with the line ends of its system.
    plain = mail.replace(b"\r\n", b"\n")
    return any(plain.endswith(message.replace(b"\r\n", b"\n")) for message in expected)
