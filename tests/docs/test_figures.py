"""Figures and lists in the pages are those of the code: defaults, limits, orders of preference, names."""

import inspect
import re
from collections.abc import Callable
from dataclasses import fields
from typing import Any, Final

import pytest

import mailwire
from mailwire import POP3Settings, SMTPClient, Timeouts, Transcript, pop3, sasl, smtp
from mailwire.aio import pop3_transaction, retrieved_item
from mailwire.aio.pool_connections import CAUTION
from mailwire.aio.send_results import FUTILE
from mailwire.cli.exits import Exit
from mailwire.maildrop import Policy, delivery
from mailwire.message import survey
from mailwire.sasl import redaction
from mailwire.sasl.choice import MECHANISMS
from mailwire.sasl.scram import WORK_ITERATIONS
from mailwire.smtp import options
from mailwire.testing import QUIRKS, faults, mishaps
from tests.aio import test_flights
from tests.docs.blocks import ROOT

T: Final = Timeouts()
P: Final = POP3Settings()
PREFERENCES: Final = sasl.Preferences()
CHUNKS: Final = smtp.PIPELINING_WINDOW

WORDS: Final = {3: "three", 4: "four", 5: "five", 16: "sixteen", 60.0: "a minute"}


def default(function: Callable[..., object], name: str) -> Any:
    return inspect.signature(function).parameters[name].default


# Sentences with a figure in them, which is put in from the code.
SENTENCES: Final[list[tuple[str, str]]] = [
    ("howto/set-deadlines.md", f"must take in `minimum_rate` octets a second ({T.minimum_rate})"),
    ("howto/set-deadlines.md", f"over `rate_period` seconds ({T.rate_period}) of waiting"),
    ("howto/send-large-messages.md", f"takes in nothing for {('', '', '', 'three')[int(T.block or 0) // 60]} minutes"),
    ("howto/send-large-messages.md", f"less than {T.minimum_rate} octets a second over a minute"),
    ("howto/broken-servers.md", f"NOOP is said after {P.keep_alive} seconds in which we said nothing"),
    (
        "howto/broken-servers.md",
        f"`login_pause_limit` is waited at most, by default {P.login_pause_limit // 60} minutes",
    ),
    (
        "howto/broken-servers.md",
        f"up to {pop3_transaction._ASKED_AGAIN} such messages ({pop3_transaction._ASKED_AGAIN_AT_ONCE:,} where",
    ),
    ("howto/retrieve-and-delete.md", f"in one piece, up to {retrieved_item.READ_LIMIT // 2**20} MiB if you set"),
    ("howto/log-in.md", f"by default from {PREFERENCES.minimum_iterations:,} to {PREFERENCES.maximum_iterations:,}"),
    ("howto/log-in.md", f"above {WORK_ITERATIONS:,} iterations it is done in a thread"),
    ("howto/send-many.md", f"one for each window of {CHUNKS.commands} commands or 1 MiB"),
    ("explanation/pipelining.md", f"{CHUNKS.commands} commands and {CHUNKS.octets // 1024} KiB of them in SMTP"),
    ("explanation/pipelining.md", f"at {P.window.octets // 2**20} MiB and {P.window.commands} commands"),
    ("explanation/broken-pop3-servers.md", f"{P.limits.line:,} octets a line"),
    ("explanation/broken-pop3-servers.md", f"{P.limits.listing_octets // 2**20} MiB a listing"),
    ("howto/ask-for-reports.md", f"in printable characters of ASCII, at most {options._ENVID_LIMIT} of them"),
    ("howto/compose-and-send.md", f"a line may have {survey.LINE_LIMIT - 2} octets"),
    ("howto/send-many.md", f"At most `look_ahead` messages ({default(SMTPClient.send_all, 'look_ahead')}) are taken"),
    ("howto/send-many.md", f"or {WORDS[FUTILE]} in a row bring no mail to its end"),
    ("howto/send-from-many-tasks.md", f"the pool makes do for {WORDS[CAUTION]} with those that it has"),
    ("howto/watch-a-session.md", f"by default the last {default(Transcript, 'limit')} entries are kept"),
    (
        "howto/process-mail-in-a-transaction.md",
        f"{WORDS[delivery._STREAK].title()} messages on end that fail",
    ),
    ("explanation/leaving-mail.md", f"up to {WORDS[delivery._GROUP]} come once more then"),
    ("explanation/leaving-mail.md", f"after {WORDS[Policy().max_failures]} times it is skipped"),
    ("explanation/security.md", f"unless it is shorter than {WORDS[redaction._SHORTEST]} octets"),
    ("howto/log-in.md", f"if it has {WORDS[redaction._SHORTEST]} octets or more"),
]


# Sentences of the page about performance, and those of the tests that assert them.
ROUND_TRIPS: Final[dict[str, str]] = {
    "EHLO, AUTH PLAIN, one mail to 100 recipients, QUIT": "at most 5",
    "`send_all`, 40 mails to 3 recipients each, over DATA or chunks": "43",
    'the same with `use_chunking="eager"`': "at most 5",
    "POP3: log in, list and retrieve 400 messages, QUIT": f"at most {test_flights.most_retrieving()}",
    "the same, and delete them": f"at most {test_flights.most_deleting()}",
    "retrieving them with one command at a time": f"{2 + test_flights.AROUND + test_flights.MESSAGES}",
}


def text_of(page: str) -> str:
    return (ROOT / "docs" / page).read_text("utf-8")


def rows(page: str, head: str) -> list[list[str]]:
    """Return the cells of the table that begins with `head`, without the heads."""
    table = re.search(rf"^\| *{re.escape(head)} *\|.*\n\|[-|: ]+\n((?:\|.*\n?)+)", text_of(page), re.MULTILINE)
    assert table is not None, f"there is no table {head!r} in {page}"
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table[1].splitlines()]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


@pytest.mark.parametrize(("page", "sentence"), SENTENCES)
def test_a_figure_is_that_of_the_code(page: str, sentence: str) -> None:
    assert sentence in re.sub(r"\s+", " ", text_of(page))


def test_the_round_trips_are_those_that_are_asserted() -> None:
    table = rows("explanation/performance.md", "session")
    assert {session: asserted for session, _, asserted in table} == ROUND_TRIPS
    assert test_flights.MESSAGES == 400
    for _, counted, asserted in table:
        assert int(counted) <= int(asserted.removeprefix("at most "))


def test_the_deadlines_are_those_of_the_code() -> None:
    told = {names(cells[0])[0]: float(cells[1]) for cells in rows("howto/set-deadlines.md", "")}
    others = {"minimum_rate", "rate_period"}  # which are told below the table
    assert told == {field.name: field.default for field in fields(Timeouts) if field.name not in others}


def test_the_exit_statuses_are_those_of_the_code() -> None:
    told = [int(status) for cells in rows("howto/command-line.md", "status") for status in cells[0].split(", ")]
    assert sorted(told) == sorted([*Exit, 128 + 1, 128 + 2, 128 + 15])


def test_the_mechanisms_are_in_the_order_of_the_code() -> None:
    for kind, told in rows("howto/log-in.md", "Credentials"):
        credentials: Any = getattr(mailwire, names(kind)[0])
        chosen = [option.name for option in MECHANISMS if option.takes is credentials and option.is_automatic]
        assert told.partition(";")[0].split(", ") == chosen


def test_the_quirks_are_those_of_the_code() -> None:
    told = [names(cells[0])[0] for cells in rows("explanation/broken-pop3-servers.md", "Field")]
    assert told == [field.name for field in fields(pop3.Quirks)]


def test_the_profiles_are_those_of_the_code() -> None:
    assert [names(cells[0])[0] for cells in rows("howto/broken-servers.md", "profile")] == list(QUIRKS)


def test_the_faults_and_mishaps_are_those_of_the_code() -> None:
    told = [name for cells in rows("howto/test-against-faults.md", "fault") for name in names(cells[0])]
    assert sorted(told) == sorted({*faults.__all__} - {"Alteration", "Fault", "Side"})
    told = [name for cells in rows("howto/test-your-mail-code.md", "mishap") for name in names(cells[0])]
    assert sorted(told) == sorted({*mishaps.__all__} - {"Mishap"})
