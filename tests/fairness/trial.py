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
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.fairness.cases import Case, Duty
from tests.fairness.programs import TOOLS
from tests.fairness.rude_server import Plan, Record, serving

__all__ = ["CLIENTS", "FINE", "NOT_TRIED", "is_installed", "judge", "perform", "recipients_of", "try_out"]

CLIENTS = {
    "smtp": ("mailwire", "smtplib", "aiosmtplib", "msmtp", "curl"),
    "pop3": ("mailwire", "poplib", "mpop", "fetchmail"),
}
FINE = "yes"
# The word for a case that says nothing of a client.
NOT_TRIED = "n/a"
# Seconds: what a client is told to wait for anything, and when it is said to hang.
SECONDS = 5
HANGS = Case.patience
# What a program says of what it could not do, whatever its status is.
_COMPLAINT = re.compile(r".*(?:couldn't|could not|cannot|failed).*")
# Octets above the usual that a client may take, but where a case says otherwise.
MEMORY = Case.memory
# Starts a client, and writes down how it ended and the KiB that it took at most. A process begins with what its parent
# takes, so that it is not to be started by the one that has the servers.
_LAUNCHER = """
import os, resource, sys
status = os.spawnvp(os.P_WAIT, sys.argv[2], sys.argv[2:])
with open(sys.argv[1], "w") as file:
    file.write(f"{status} {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss}")
"""
BLOCK = b"0123456789abcdef\r\n" * 1000


@dataclass
class Trial:
    """What came of it.

    By the client's word: whether it went well, of which recipients or messages it did not, whether its error is one of
    those that it documents, and whether anything is in doubt. Besides that: the octets of memory that it took, the
    messages that it stored, and the server's record. Where the client came again, it is of the last time; `earlier` is
    the record of the time before.
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
    earlier: Record = field(default_factory=Record)
    port: int = 0
    error: str = ""


def is_installed(name: str) -> bool:
    """Whether there is such a client here."""
    return bool(shutil.which(name) if name in ("msmtp", "curl", "mpop", "fetchmail") else find_spec(name))


def recipients_of(case: Case) -> list[str]:
    return [f"r{number}@example.org" for number in range(case.recipients)] if case.recipients > 1 else ["b@example.org"]


def message_of(case: Case) -> bytes:
    return case.message + BLOCK * (case.size // len(BLOCK))


def try_out(client: str, case: Case, usual_memory: int) -> str:
    """Return the word for what a client makes of a case: of its variants, the first that is not `FINE`, if any is."""
    if client in case.lacking:
        return NOT_TRIED
    words = (judge(variant, perform(client, variant), usual_memory) for variant in case.variants)
    return next((word for word in words if word != FINE), FINE)


def perform(client: str, case: Case, seconds: int = SECONDS, hangs: int | None = None) -> Trial:
    """Have a client do its task with the server of a case, and again with that of its sequel.

    seconds: what the client is told to wait for anything; hangs: after which it is said to hang, by default that of the
        case.
    """
    hangs = case.patience if hangs is None else hangs
    folder = Path(tempfile.mkdtemp(prefix="mailwire-fairness-"))
    try:
        # Where a client hands on what it collects to a server, there is a good one.
        with serving(Plan("smtp")) as (local_port, delivered):
            trial = _perform(client, case, folder, local_port, seconds, hangs)
            if case.sequel is not None and not trial.hangs:
                earlier, again = trial.record, replace(case, plan=case.sequel)
                trial = _perform(client, again, folder, local_port, seconds, hangs, trial.port)
                trial.earlier = earlier
        trial.mails = [message for _, message in delivered.stored]
        trial.mails += [file.read_bytes() for file in sorted(folder.glob("Mail/new/*"))]
        return trial
    finally:
        shutil.rmtree(folder)


def _perform(client: str, case: Case, folder: Path, local_port: int, seconds: int, hangs: int, port: int = 0) -> Trial:
    name = f"{case.plan.protocol} {client}"
    with serving(case.plan, port) as (port, record):
        task: dict[str, Any] = {
            "port": port,
            "seconds": seconds,
            "local_port": local_port,
            "tls": bool(case.plan.tls),
            "auth": bool(case.plan.mechanisms),
            "by_token": case.by_token,
            "is_8bit": case.is_8bit,
            "peeks": case.peeks,
            "recipients": recipients_of(case),
            "folder": str(folder),
        }
        if name in TOOLS:
            trial = _run(TOOLS[name](task), case, None, folder, hangs)
            trial.ok = not (trial.crashed or trial.hangs or trial.error)
            trial.told = _COMPLAINT.findall((folder / "said").read_text("utf-8", "replace"))
        else:
            trial = _run([sys.executable, "-m", "tests.fairness.programs", name], case, task, folder, hangs)
        trial.record, trial.port = record, port
    return trial


def _run(command: list[str], case: Case, task: dict[str, Any] | None, folder: Path, seconds: int) -> Trial:
    environment = {**os.environ, "HOME": str(folder), "FETCHMAILHOME": str(folder), "SSL_CERT_FILE": ""}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    with (folder / "said").open("wb") as said, (folder / "given").open("w+b") as file:
        if task is not None:
            file.write(json.dumps(task).encode() + b"\n")
        if case.plan.protocol == "smtp":
            file.write(case.message)
            for _ in range(case.size // len(BLOCK)):
                file.write(BLOCK)
        file.seek(0)
        launcher = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(folder / "usage")]
        process = subprocess.Popen(
            [*launcher, *command],
            stdin=file,
            stdout=said,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        killing = threading.Timer(seconds, os.killpg, (process.pid, signal.SIGKILL))
        killing.start()
        process.wait()
        hangs = not killing.is_alive()
        killing.cancel()
    usage = folder / "usage"
    status, memory = map(int, usage.read_text().split()) if usage.exists() else (-signal.SIGKILL, 0)
    usage.unlink(missing_ok=True)
    text = (folder / "said").read_bytes().decode("utf-8", "replace").strip()
    trial = Trial(memory=memory * 1024, hangs=hangs, crashed=status < 0)
    if command[0] == sys.executable and status == 0:
        found = json.loads(text.splitlines()[-1])
        trial.ok, trial.told = found["ok"], found["told"]
        trial.typed, trial.doubt, trial.error = (
            found.get("typed", True),
            found.get("doubt", False),
            found.get("error", ""),
        )
    elif status:
        trial.error = f"status {status}: {text[-200:]}"
    return trial


def judge(case: Case, trial: Trial, usual_memory: int) -> str:
    """Return `FINE` if the client did what it owes, or else what it did, in a few words."""
    if trial.hangs:
        return "hangs"
    if trial.crashed:
        return "crashes"
    if not case.size and trial.memory > usual_memory + case.memory:
        return "takes all of it in" if case.memory == MEMORY else "takes much memory"
    if not trial.ok and not trial.typed:
        return f"undocumented error ({trial.error})"
    if case.asks and not any(re.search(case.asks, line) for line in trial.record.lines):
        word = (_judge_delivery if case.plan.protocol == "smtp" else _judge_retrieval)(case, trial)
        return NOT_TRIED if word == FINE else word
    said = trial.record.said
    if set(case.silent) & set(said) or any(said.count(verb) > times for verb, times in case.at_most.items()):
        return "goes on"
    return _JUDGES[case.duty](case, trial)


def _judge_delivery(case: Case, trial: Trial) -> str:
    if not trial.ok:
        return "says that it failed"
    if len(trial.record.stored) > 1:
        return "sends it twice"
    return FINE if trial.record.stored == [(tuple(recipients_of(case)), message_of(case))] else "changes the mail"


def _judge_retrieval(case: Case, trial: Trial) -> str:
    if not trial.ok:
        return "says that it failed"
    return FINE if _are(trial.mails, case.plan.messages) else "changes the mail"


def _judge_failure(case: Case, trial: Trial) -> str:
    if trial.ok:
        return "says that all is well"
    if case.plan.protocol == "pop3":
        whole = all(_is_one_of(mail, case.plan.messages) for mail in trial.mails)
        return FINE if whole else "keeps a part as a mail"
    # Where nobody is accepted, a dot may still be due.
    if any(message for _, message in trial.record.stored):
        return "goes on"
    return "doubts what is certain" if trial.doubt else FINE


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


def _judge_loss(case: Case, trial: Trial) -> str:
    plans = [(case.plan, trial.record)]
    if case.sequel is not None:
        plans = [(case.plan, trial.earlier), (case.sequel, trial.record)]
    gone = {plan.messages[number - 1] for plan, record in plans for number in record.deleted}
    there = {message for plan, _ in plans for message in plan.messages}
    stored = {message: sum(_is(mail, message) for mail in trial.mails) for message in there}
    if not all(stored[message] for message in gone):
        return "deletes what it has not stored"
    if not all(_is_one_of(mail, tuple(there)) for mail in trial.mails):
        return "changes the mail"
    if max(stored.values()) > 1:
        return "stores it again"
    return FINE if all(stored.values()) or trial.told or not trial.ok else "says that all is well"


_JUDGES: dict[Duty, Callable[[Case, Trial], str]] = {
    "fail": _judge_failure,
    "deliver": _judge_delivery,
    "retrieve": _judge_retrieval,
    "doubt": _judge_doubt,
    "tell": _judge_telling,
    "lose nothing": _judge_loss,
}


def _are(mails: list[bytes], expected: tuple[bytes, ...]) -> bool:
    return len(mails) == len(expected) and all(any(_is(mail, message) for mail in mails) for message in expected)


def _is_one_of(mail: bytes, expected: tuple[bytes, ...]) -> bool:
    return any(_is(mail, message) for message in expected)


def _is(mail: bytes, message: bytes) -> bool:
    # A program may put trace fields before it, and store it with the line ends of its system.
    return mail.replace(b"\r\n", b"\n").endswith(message.replace(b"\r\n", b"\n"))
