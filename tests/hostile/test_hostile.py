"""Every hostile case, played in every surrounding that it can be played in."""

import asyncio
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mailwire.testing import Endless
from tests.hostile import (
    mechanisms,
    pop3_auth,
    pop3_deleting,
    pop3_retrieving,
    pop3_tls,
    smtp_auth,
    smtp_chunks,
    smtp_sending,
    smtp_tls,
)
from tests.hostile.case import Case, Deed, Link
from tests.hostile.deeds import BY_ITSELF
from tests.hostile.play import play
from tests.hostile.watch import watched_loop
from tests.integration.conftest import demand_libraries

CASES = {
    "SMTP TLS": smtp_tls.CASES,
    "SMTP AUTH": smtp_auth.CASES,
    "SMTP sending": smtp_sending.CASES,
    "SMTP chunks": smtp_chunks.CASES,
    "POP3 TLS": pop3_tls.CASES,
    "POP3 AUTH": pop3_auth.CASES,
    "POP3 retrieving": pop3_retrieving.CASES,
    "POP3 deleting": pop3_deleting.CASES,
    "SMTP mechanisms": mechanisms.SMTP_CASES,
    "POP3 mechanisms": mechanisms.POP3_CASES,
}

# The classes of what servers do, each by the name of its case, or of several that go on behind it.
CLASSES = {
    "SMTP": """
        greeting-554 greeting-421 greeting-354 starttls-inject-lines strip-capability starttls-221 starttls-354
        starttls-250 capabilities-change cert-wrong-name cert-self-signed cert-expired
        endless-line endless-multiline idle-421 354-none-valid fin-instead-of-dot-reply rst-after-dot too-many-452
        reject-mid-data size-junk capability-flood advertised-then-555 pipeline-deadlock bdat-second-chunk-552
        quit-stall no-close-notify-at-quit auth-334-bad-base64 auth-334-for-ever scram-i-1 scram-i-4294967295
        xoauth2-error-334-then-535 esc-in-text nul-in-reply mixed-multiline lf-only-server
    """,
    "POP3": """
        greeting-err capa-err-strip capa-1Bps stls-inject-lines apop-bad-challenge in-use response-codes
        endless-status-line uidl-million uidl-duplicate uidl-numbers list-lies-small retr-cut-plain retr-cut-tls
        terminator-split dots retr-err-2-of-3 dele-err quit-err fin-on-quit mime-bombs no-close-notify top-unsupported
        renumbered-maildrop retr-pipeline-4k
    """,
}

# Those in which all goes well, and what mailwire imports by and by is imported.
WELL = {
    ("SMTP AUTH", "scram-proven"),
    ("SMTP sending", "close-at-quit"),
    ("POP3 retrieving", "dots"),
    ("POP3 deleting", "all-well"),
}

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "explanation" / "broken-pop3-servers.md"


def plays() -> Iterator[Any]:
    for chapter, cases in CASES.items():
        for case in cases:
            first, *others = case.deeds
            for link, loop in case.surroundings:
                name = f"{chapter} {case.name}: {first} by {link} with {loop}"
                yield pytest.param(case, first, link, loop, id=name)
            for deed in others:
                yield pytest.param(case, deed, *case.surroundings[0], id=f"{chapter} {case.name}: {deed}")


@pytest.fixture(scope="session", autouse=True)
def all_is_imported() -> None:
    """What is done once in a process is not the work of the case that happens to be the first."""
    play_what_goes_well()


def play_what_goes_well() -> None:
    well = [case for chapter, cases in CASES.items() for case in cases if (chapter, case.name) in WELL]
    assert len(well) == len(WELL)
    for case in well:
        for deed in case.deeds:
            with asyncio.Runner() as runner:
                runner.run(play(case, deed, "port", str))


@pytest.mark.parametrize(("case", "deed", "link", "loop"), list(plays()))
def test_a_hostile_server_achieves_nothing(
    case: Case, deed: Deed, link: Link, loop: str, caplog: pytest.LogCaptureFixture
) -> None:
    demand_libraries(loop)
    with (
        caplog.at_level(logging.DEBUG if case.logged else logging.WARNING),
        asyncio.Runner(loop_factory=lambda: watched_loop(loop)) as runner,
    ):
        runner.run(play(case, deed, link, lambda: caplog.text))


def test_every_case_that_the_documentation_tells_of_is_played() -> None:
    table = DOCUMENTATION.read_text(encoding="utf-8").partition("## What is tried")[2]
    told = [name for line in table.splitlines() for name in re.findall(r"`([a-z0-9A-Z-]+)`", line.split(" | ")[0])]
    names = [case.name for chapter, cases in CASES.items() if chapter.startswith("POP3") for case in cases]
    assert len(told) == len(set(told)) == 25
    # A case may have several forms, each with a name of its own.
    assert not [name for name in told if not any(f"{played}-".startswith(f"{name}-") for played in names)]


@pytest.mark.parametrize("protocol", CLASSES)
def test_every_class_of_what_servers_do_is_played(protocol: str) -> None:
    played = [case.name for chapter, cases in CASES.items() if chapter.startswith(protocol) for case in cases]
    classes = CLASSES[protocol].split()
    assert len(set(classes)) == len(classes) == {"SMTP": 36, "POP3": 25}[protocol]
    assert not [name for name in classes if not any(f"{case}-".startswith(f"{name}-") for case in played)]


@pytest.mark.parametrize("protocol", CLASSES)
def test_of_every_class_it_is_tried_that_a_connection_at_its_end_carries_no_other_word(protocol: str) -> None:
    cases = [case for chapter, cases in CASES.items() if chapter.startswith(protocol) for case in cases]
    tried = [case.name for case in cases if not {*case.deeds} <= BY_ITSELF]
    assert not [
        name for name in CLASSES[protocol].split() if not any(f"{case}-".startswith(f"{name}-") for case in tried)
    ]


@pytest.mark.parametrize("chapter", CASES)
def test_every_case_has_a_name_of_its_own(chapter: str) -> None:
    names = [case.name for case in CASES[chapter]]
    assert len(set(names)) == len(names)


def test_of_every_server_that_goes_on_and_on_it_is_measured_how_much_is_taken() -> None:
    endless = [case for cases in CASES.values() for case in cases if any(isinstance(it, Endless) for it in case.script)]
    assert len(endless) > 10
    assert not [case.name for case in endless if case.outcome.taken is None or case.buffer_size != 4096]
    assert {case.outcome.taken for case in endless} == {64 * 1024, 128 * 1024}
    more = {case.name for case in endless if case.outcome.taken == 128 * 1024}
    assert more == {
        *("capability-flood", "endless-capability", "endless-capabilities"),
        *("endless-line-unasked", "endless-status-line-unasked"),
    }


def test_no_case_has_looser_bounds_but_these() -> None:
    bounds = {
        (chapter, case.name): (case.outcome.growth, case.outcome.turn, case.logged)
        for chapter, cases in CASES.items()
        for case in cases
    }
    assert {name: loose for name, loose in bounds.items() if loose != (16, 0.05, True)} == {
        ("SMTP sending", "pipeline-deadlock"): (16, 0.05, False),
        ("POP3 deleting", "uidl-million"): (64, 0.05, True),
    }


def test_no_case_has_longer_than_these_to_work() -> None:
    limits = {
        (chapter, case.name): case.outcome.work
        for chapter, cases in CASES.items()
        for case in cases
        if case.outcome.work is not None
    }
    bombs = [name for name in limits if name[1].startswith("mime-bombs-")]
    early = [name for name in limits if name[1].startswith("reject-mid-data-")]
    assert (len(bombs), len(early)) == (12, 6)
    assert limits == {
        **dict.fromkeys(bombs, 0.05),
        **dict.fromkeys(early, 1),
        ("SMTP AUTH", "scram-i-4294967295"): 0.05,
        ("SMTP sending", "pipeline-deadlock"): 20,
        ("POP3 deleting", "uidl-million"): 10,
    }
