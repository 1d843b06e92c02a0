from collections.abc import Callable
from typing import Any

import pytest

from mailwire import Batch
from mailwire.aio.run_options import RunOptions
from mailwire.pop3 import Entry, Retr


def retr(entry: Entry) -> Retr:
    return Retr(entry.number)


def test_a_run_needs_nothing_but_its_command() -> None:
    assert RunOptions(retr) == RunOptions(retr, None, None, None, None)


def test_a_limit_may_be_nothing_at_all() -> None:
    options = RunOptions(retr, 0, 0, Batch(1, 1), print)
    assert (options.message_limit, options.total_limit) == (0, 0)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"message_limit": -1}, "message_limit to be 0 at least, got -1"),
        ({"total_limit": -1}, "total_limit to be 0 at least, got -1"),
        ({"message_limit": "1"}, "message_limit to be a whole number or None, got '1' (str)"),
        ({"total_limit": 1.5}, "total_limit to be a whole number or None, got 1.5 (float)"),
        ({"batch": 50}, "batch to be a Batch or None, got 50 (int)"),
        ({"progress": 7}, "progress to be a function or None, got 7"),
    ],
)
def test_what_is_none_of_it_is_refused(options: dict[str, Any], told: str) -> None:
    make: Callable[..., RunOptions] = RunOptions
    with pytest.raises(ValueError) as caught:
        make(retr, **options)
    assert str(caught.value) == f"expected {told}"
