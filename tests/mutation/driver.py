"""The driver: tries each mutant with the tests that run through the lines that it has changed, until one fails: those
first that have noticed the most of that function's other mutants, then the fastest.

mutmut's own collects the tests again for each mutant, and hands on what a test before has left in the caches. Here the
tests are collected once, each mutant has a process that begins with cold caches, and dies with it. And mutmut's looks
into the environment at each call of a function, to learn which mutant is alive.

Before the mutants of a module, the code as it is has to get through all tests that these may be tried with, in a
process like theirs. A test that fails there is left out.
"""

import functools
import gc
import json
import mmap
import os
import signal
import sys
import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from types import FrameType
from typing import Any, Final

import pytest
from _pytest.runner import runtestprotocol
from mutmut.mutation import trampoline

from tests.mutation.mutants import Mutant

__all__ = ["DIED", "KILLED", "SURVIVED", "TIMED_OUT", "UNREACHED", "Driver"]

KILLED: Final = "killed"  # a test failed
TIMED_OUT: Final = "timed out"  # it went on and on
DIED: Final = "died"  # its process ended in the middle of the tests, by a signal or by itself
SURVIVED: Final = "survived"
UNREACHED: Final = "unreached"

_TIMES_AS_LONG: Final = 10
_SECONDS_MORE: Final = 5
_TIMES_WAITED: Final = 10
_INDEX_OCTETS: Final = 4
_STOPS: Final = (signal.SIGALRM, signal.SIGPROF)
_PASSED, _FAILED, _BROKEN = 0, 1, 3  # how a mutant's process ends


_Line = tuple[str, int]  # a file and the number of a line


class _LineNotes:
    # Notes which lines of `paths` are run through while it is entered, and how many seconds of the processor it `took`;
    # beyond so many as `slowest`, it notes no more.

    def __init__(self, paths: set[str], slowest: float) -> None:
        self.lines: set[_Line] = set()
        self.took = 0.0
        self._paths = paths
        self._slowest = slowest
        self._began = 0.0

    def __enter__(self) -> None:
        self.lines = set()
        self._began = time.process_time()
        threading.settrace(self._called)
        sys.settrace(self._called)

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)
        threading.settrace(None)
        self.took = time.process_time() - self._began

    def _called(self, frame: FrameType, _event: str, _argument: object) -> Any:
        if frame.f_code.co_filename not in self._paths:
            return None
        if time.process_time() - self._began > self._slowest:
            sys.settrace(None)
            return None
        return self._run

    def _run(self, frame: FrameType, event: str, _argument: object) -> Any:
        if event == "line":
            self.lines.add((frame.f_code.co_filename, frame.f_lineno))
        return self._run


class Driver:
    """A plugin of pytest that runs the tests for each of `mutants`, `jobs` at a time; `verdicts` says what came of it.

    slowest: seconds that a test may take while its lines are noted, some three times as many as it takes without that;
    one that takes longer is left out, and so is one that fails without any mutant: `unfit`.
    record: a file that each verdict is written to as it is found; a change that has one there is not tried again.
    """

    def __init__(self, mutants: list[Mutant], jobs: int, slowest: float, record: Path | None = None) -> None:
        self._mutants = mutants
        self._jobs = jobs
        self._slowest = slowest
        self._tests: dict[_Line, set[tuple[float, int]]] = defaultdict(set)
        self._noticed: dict[str, Counter[int]] = defaultdict(Counter)  # by which tests, how often, of each function
        self._places = {mutant: place for place, mutant in enumerate(mutants)}
        # Which test has noticed each mutant, behind that of none; children write it.
        self._noticer = mmap.mmap(-1, _INDEX_OCTETS * (1 + len(mutants)))
        self._pauses = 0  # we were stopped and continued, and children with us
        self._caches: list[Any] = []
        self.unfit: list[str] = []
        self._record = record
        self.verdicts: dict[Mutant, str] = _recorded(mutants, record) if record else {}

    @pytest.hookimpl
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Take the place of pytest's loop over the tests."""
        if session.testsfailed or not session.items:
            raise session.Interrupted("the tests cannot be collected")
        self._caches = _caches()
        self._try_the_original(session.items)
        self._caches = _caches()  # some were made on the way
        gc.freeze()  # what is collected in a child, is copied for it
        signal.signal(signal.SIGCONT, self._continued)
        untried = [mutant for mutant in self._mutants if mutant not in self.verdicts]
        for module, mutants in groupby(untried, key=lambda mutant: mutant.module):
            waiting = deque(mutants)
            self._try_nothing(session, module, waiting)
            running: dict[int, tuple[Mutant, int]] = {}
            while waiting or running:
                if not waiting or len(running) == self._jobs:
                    again = self._bury(running)
                    waiting.extend([again] if again else [])
                    continue
                mutant = waiting.popleft()
                noticed = self._noticed[mutant.function]
                tests = sorted(self._reaching([mutant]), key=lambda test: (-noticed[test[1]], test))
                if tests:
                    running[self._start(mutant, session.items, tests)] = mutant, self._pauses
                else:
                    self._found(mutant, UNREACHED)
        return True

    def _reaching(self, mutants: Iterable[Mutant]) -> set[tuple[float, int]]:
        lines = [(mutant.path, line) for mutant in mutants for line in mutant.lines]
        return set[tuple[float, int]]().union(*(self._tests[line] for line in lines))

    def _try_nothing(self, session: pytest.Session, module: str, mutants: Iterable[Mutant]) -> None:
        # The null control: the code as it is, where that of a mutant would be.
        while tests := sorted(self._reaching(mutants)):
            child = self._start(None, session.items, tests)
            _, status = os.waitpid(child, 0)
            code = os.waitstatus_to_exitcode(status)
            if code == _PASSED:
                print(f"{module}: without any mutant, {len(tests)} tests pass", file=sys.__stdout__, flush=True)
                return
            if code != _FAILED:
                raise session.Interrupted(f"{module}: without any mutant, the tests end by {code}")
            index = int.from_bytes(self._noticer[:_INDEX_OCTETS], "big")
            self.unfit.append(session.items[index].nodeid)
            for known in self._tests.values():
                known.difference_update([test for test in known if test[1] == index])

    def _continued(self, *_: object) -> None:
        self._pauses += 1

    def _try_the_original(self, items: list[pytest.Item]) -> None:
        _bring_to_life("")
        notes = _LineNotes({mutant.path for mutant in self._mutants}, self._slowest)
        for index, item in enumerate(items):
            self._clear_caches()
            with notes:
                has_passed = _passes(item)
            if not has_passed:
                # What counts calls, or looks into the frames of a traceback, finds those of the mutants' dispatcher.
                self.unfit.append(item.nodeid)
            elif notes.took <= self._slowest:
                for line in notes.lines:
                    self._tests[line].add((notes.took, index))

    def _clear_caches(self) -> None:
        for cache in self._caches:
            cache.cache_clear()

    def _start(self, mutant: Mutant | None, items: list[pytest.Item], tests: list[tuple[float, int]]) -> int:
        child = os.fork()
        if child:
            return child
        try:
            for stops in _STOPS:
                signal.signal(stops, signal.SIG_DFL)
            null = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(null, descriptor)
            self._clear_caches()
            _bring_to_life(mutant.name if mutant else "")
            for took, index in tests:
                # Seconds of the processor for what goes on and on, and of the clock for what waits for nothing to come:
                # more of these, for the processor may have other work.
                limit = _TIMES_AS_LONG * took + _SECONDS_MORE
                signal.setitimer(signal.ITIMER_PROF, limit)
                signal.setitimer(signal.ITIMER_REAL, _TIMES_WAITED * limit)
                if not _passes(items[index]):
                    self._noticer[self._place(mutant)] = index.to_bytes(_INDEX_OCTETS, "big")
                    os._exit(_FAILED)
            os._exit(_PASSED)
        finally:
            os._exit(_BROKEN)

    def _bury(self, running: dict[int, tuple[Mutant, int]]) -> Mutant | None:
        # Return the mutant that is to be tried again: what was stopped meanwhile, may have been late for that alone.
        child, status = os.wait()
        mutant, pauses = running.pop(child)
        code = os.waitstatus_to_exitcode(status)
        if code != _PASSED and pauses != self._pauses:
            return mutant
        if code == _FAILED:
            index = int.from_bytes(self._noticer[self._place(mutant)], "big")
            self._noticed[mutant.function][index] += 1
        verdicts = {_PASSED: SURVIVED, _FAILED: KILLED, **{-stops: TIMED_OUT for stops in _STOPS}}
        self._found(mutant, verdicts.get(code, DIED))
        return None

    def _place(self, mutant: Mutant | None) -> slice:
        place = _INDEX_OCTETS * (1 + self._places[mutant] if mutant else 0)
        return slice(place, place + _INDEX_OCTETS)

    def _found(self, mutant: Mutant, verdict: str) -> None:
        self.verdicts[mutant] = verdict
        print(
            f"{len(self.verdicts)} of {len(self._mutants)}: {verdict}: {mutant.name}", file=sys.__stdout__, flush=True
        )
        if self._record:
            with self._record.open("a", encoding="utf-8") as record:
                record.write(json.dumps([mutant.name, mutant.change, verdict]) + "\n")


def _recorded(mutants: list[Mutant], record: Path) -> dict[Mutant, str]:
    if not record.exists():
        return {}
    lines = (json.loads(line) for line in record.read_text("utf-8").splitlines())
    verdicts = {(name, change): verdict for name, change, verdict in lines}
    known = ((mutant, verdicts.get((mutant.name, mutant.change))) for mutant in mutants)
    return {mutant: verdict for mutant, verdict in known if verdict}


def _passes(item: pytest.Item) -> bool:
    reports: Iterable[pytest.TestReport] = runtestprotocol(item, log=False, nextitem=None)
    return not any(report.failed for report in reports)


def _caches() -> list[Any]:
    gc.unfreeze()  # the tests' conftest has hidden those that were there when it had collected them
    caches = [known for known in gc.get_objects() if isinstance(known, functools._lru_cache_wrapper)]
    # Those of the code that is tried alone: there are tests that fail where others forget.
    return [known for known in caches if known.__module__.partition(".")[0] == "mailwire"]


def _bring_to_life(name: str) -> None:
    trampoline.set_mutant_under_test(name)
    trampoline.get_mutant_under_test = lambda: name
