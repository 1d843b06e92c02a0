from datetime import timedelta
from typing import Any

import pytest

from mailwire.maildrop import Policy


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"keep_at_most": -1}, "a number from 0 on as keep_at_most, got -1"),
        ({"keep_at_most_octets": -1}, "keep_at_most_octets"),
        ({"max_message_size": -5}, "max_message_size"),
        ({"preview_lines": -1}, "preview_lines"),
        ({"limit": -1}, "limit"),
        ({"max_failures": 0}, "a number from 1 on as max_failures, got 0"),
        ({"keep": timedelta(seconds=-1)}, "a duration from zero on as keep"),
        ({"remember": timedelta(seconds=-1)}, "a duration from zero on as remember"),
        ({"keep": 14}, "expected a timedelta as keep, got 14"),
        ({"remember": "for ever"}, "expected a timedelta as remember, got 'for ever'"),
        ({"keep": "forever"}, "'for ever' or 'until stored' as keep, got 'forever'"),
        ({"oversize": "delete"}, "'leave' or 'preview' as oversize"),
        ({"order": "largest first"}, "'oldest first' or 'newest first' as order"),
        ({"when_all_new": "guess"}, "'ask' or 'match' or 'fetch' as when_all_new"),
    ],
)
def test_what_cannot_be_a_policy_is_refused(settings: dict[str, Any], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        Policy(**settings)


def test_the_bounds_themselves_are_allowed() -> None:
    Policy(
        keep=timedelta(0),
        keep_at_most=0,
        keep_at_most_octets=0,
        max_message_size=0,
        preview_lines=0,
        limit=0,
        max_failures=1,
        remember=timedelta(0),
    )


@pytest.mark.parametrize(
    ("policy", "deletes"),
    [
        (Policy(), False),
        (Policy(keep="for ever", delete_without_uid=True), False),
        (Policy(keep="until stored"), True),
        (Policy(keep=timedelta(days=14)), True),
        (Policy(keep_at_most=100), True),
        (Policy(keep_at_most_octets=0), True),
    ],
)
def test_a_policy_says_whether_it_deletes(policy: Policy, deletes: bool) -> None:
    assert policy.deletes is deletes
