"""How much is tried: a sample in a quick run, all variants in a whole one, and what takes hours by `-m exhaustive`.

`pytest` by itself is quick. Whoever names tests, by a path, by -k, by -m, or by how they went (--lf, --ff), or another
loop, means all; `--extent` says otherwise.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final, Protocol, TypeVar

import pytest

__all__ = ["EXTENTS", "LENGTHY", "VARIANTS", "extent_of", "part", "sampled"]


class _Item(Protocol):
    @property
    def nodeid(self) -> str: ...


AnyItem = TypeVar("AnyItem", bound=_Item)

EXTENTS: Final = ("quick", "rest", "whole")
"""A quick run, what that leaves out, and both."""
VARIANTS: Final = 6
"""Of how many variants of a test a quick run tries as many, spread evenly over all."""
LENGTHY: Final = frozenset(
    {
        "tests/_wire/test_dots.py::test_all_long_strings_give_the_same_in_all_splits",
        "tests/_wire/test_text.py::test_anything_is_shown_as_one_line_without_controls",
        "tests/aio/test_memory.py",
        "tests/aio/test_retrieval_memory.py",
        "tests/benchmarks",
        "tests/cli/test_check.py",
        "tests/cli/test_demo.py::test_help_fits_a_screen_and_shows_an_example",
        "tests/cli/test_fetch.py",
        "tests/cli/test_send.py",
        "tests/fairness",
        "tests/faults",
        "tests/integration/test_dovecot.py::test_a_mailbox_that_is_locked_is_told_to_be_in_use",
        "tests/integration/test_dovecot.py::test_ten_thousand_messages_are_retrieved_and_deleted",
        "tests/integration/test_leaving_mail.py",
        "tests/integration/test_mailutils.py",
        "tests/integration/test_mechanisms.py",
        "tests/integration/test_pool.py",
        "tests/integration/test_send_and_retrieve.py::test_a_wrong_password_is_told_by_both_servers",
        "tests/maildrop/test_call_k_fails.py",
        "tests/maildrop/test_crashes.py",
        "tests/maildrop/test_run.py::test_a_message_that_comes_empty_though_it_has_a_size_is_not_deleted",
        "tests/maildrop/test_run.py::test_deletions_without_an_answer_are_unknown_and_nothing_comes_twice",
        "tests/maildrop/test_sqlite_ledger.py::test_a_child_has_the_file_for_itself",
        "tests/maildrop/test_sqlite_ledger.py::test_many_processes_can_make_the_ledger_at_once",
        "tests/mutation/test_main.py",
        "tests/pop3/test_connection.py::test_answers_are_the_same_with_any_two_cuts",
        "tests/pop3/test_quirks.py::test_a_second_status_line_is_dropped",
        "tests/pop3/test_survey.py::test_a_million_messages_take_at_most_64_mebibytes",
        "tests/pop3/test_survey.py::test_the_work_grows_with_the_messages_also_where_every_line_is_odd",
        "tests/smtp/test_alike.py",
        "tests/smtp/test_states.py::test_of_all_codes_every_one_is_an_event_or_a_documented_error",
        "tests/test_linearity.py",
        "tests/test_long_tier.py",
        "tests/test_platforms.py",
        "tests/transcripts/test_in_small_writes.py",
    }
)
"""What a quick run leaves out: folders, files and tests that take seconds."""


def extent_of(config: pytest.Config) -> str:
    """Return what is to be tried: what the command line says, or else all that it names, or a sample where it names
    nothing."""
    chosen: str | None = config.getoption("extent")
    if chosen is not None:
        return chosen
    usual = {"keyword": "", "markexpr": "not exhaustive", "loop": "asyncio"}
    is_usual = all(config.getoption(name) == value for name, value in usual.items())
    # These are there with the plugin that remembers how tests went.
    by_last_run = any(config.getoption(name, default=False) for name in ("lf", "failedfirst"))
    names_tests = by_last_run or config.args_source is not pytest.Config.ArgsSource.TESTPATHS
    return "quick" if is_usual and not names_tests else "whole"


def part(items: Sequence[AnyItem], extent: str) -> tuple[list[AnyItem], list[AnyItem]]:
    """Return those of all `items` that are to be tried, and those that are not."""
    if extent == "whole":
        return list(items), []
    quick, rest = _parted(items)
    return (quick, rest) if extent == "quick" else (rest, quick)


def _parted(items: Sequence[AnyItem]) -> tuple[list[AnyItem], list[AnyItem]]:
    tests = [item.nodeid.partition("[")[0] for item in items]
    counts, places = Counter(tests), Counter[str]()
    quick: list[AnyItem] = []
    rest: list[AnyItem] = []
    for item, test in zip(items, tests, strict=True):
        is_quick = _is_chosen(places[test], counts[test]) and not _is_lengthy(test)
        (quick if is_quick else rest).append(item)
        places[test] += 1
    return quick, rest


def _is_chosen(place: int, count: int) -> bool:
    # Whether the variant at this place, of so many, is in the sample.
    return count <= VARIANTS or place * VARIANTS // count != (place - 1) * VARIANTS // count


def _is_lengthy(test: str) -> bool:
    file = test.partition("::")[0]
    folder = "/".join(file.split("/")[:2])
    return not LENGTHY.isdisjoint((test, file, folder))


def sampled(argument: str, sample: object, whole: object) -> pytest.MarkDecorator:
    """Give a test `sample` for its argument in every run, and `whole` where all is to be tried."""
    everything = pytest.param(whole, id="whole", marks=pytest.mark.exhaustive)
    return pytest.mark.parametrize(argument, [pytest.param(sample, id="sample"), everything])
