"""Every hostile case, played in every surrounding that it can be played in."""

import asyncio
import importlib
import logging
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from tests.hostile import pop3_auth, pop3_tls, smtp_auth, smtp_sending, smtp_tls
from tests.hostile.case import Case, Deed, Link, play

CASES = {
    "SMTP TLS": smtp_tls.CASES,
    "SMTP AUTH": smtp_auth.CASES,
    "SMTP sending": smtp_sending.CASES,
    "POP3 TLS": pop3_tls.CASES,
    "POP3 AUTH": pop3_auth.CASES,
}

needs_uvloop = pytest.mark.skipif(find_spec("uvloop") is None, reason="uvloop is not installed")


def plays() -> Iterator[Any]:
    for chapter, cases in CASES.items():
        for case in cases:
            for deed in case.deeds:
                yield pytest.param(case, deed, "socket", "asyncio", id=f"{chapter} {case.name}: {deed}")
            deed, name = case.deeds[0], f"{chapter} {case.name}: {case.deeds[0]}"
            yield pytest.param(case, deed, "streams", "asyncio", id=f"{name} by streams")
            if not case.seconds:  # the clock of uvloop is not ours to move
                yield pytest.param(case, deed, "socket", "uvloop", id=f"{name} with uvloop", marks=needs_uvloop)


@pytest.mark.parametrize(("case", "deed", "link", "loop"), list(plays()))
def test_a_hostile_server_achieves_nothing(
    case: Case, deed: Deed, link: Link, loop: str, caplog: pytest.LogCaptureFixture
) -> None:
    factory = importlib.import_module("uvloop").new_event_loop if loop == "uvloop" else asyncio.new_event_loop
    with caplog.at_level(logging.DEBUG), asyncio.Runner(loop_factory=factory) as runner:
        runner.run(play(case, deed, link, lambda: caplog.text))


@pytest.mark.parametrize("chapter", CASES)
def test_every_case_has_a_name_of_its_own(chapter: str) -> None:
    names = [case.name for case in CASES[chapter]]
    assert len(set(names)) == len(names)
