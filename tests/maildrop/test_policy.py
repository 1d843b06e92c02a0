from datetime import timedelta
from typing import Any

import pytest

from mailwire.maildrop import Policy


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"keep_at_most": -1}, "keep_at_most to be 0 at least, got -1"),
        ({"keep_at_most_octets": -1}, "keep_at_most_octets to be 0 at least, got -1"),
        ({"max_message_size": -5}, "max_message_size to be 0 at least, got -5"),
        ({"preview_lines": -1}, "preview_lines to be 0 at least, got -1"),
        ({"limit": -1}, "limit to be 0 at least, got -1"),
        ({"max_failures": 0}, "max_failures to be 1 at least, got 0"),
        ({"keep": timedelta(seconds=-1)}, "a duration from zero on as keep, got -1 day, 23:59:59"),
        ({"remember": timedelta(seconds=-1)}, "a duration from zero on as remember, got -1 day, 23:59:59"),
        ({"keep": 14}, "a timedelta as keep, got 14"),
        ({"remember": "for ever"}, "a timedelta as remember, got 'for ever'"),
        ({"keep": "forever"}, "'for ever' or 'until stored' as keep, got 'forever'"),
        ({"oversize": "delete"}, "'leave' or 'preview' as oversize, got 'delete'"),
        ({"order": "largest first"}, "'oldest first' or 'newest first' as order, got 'largest first'"),
        ({"when_all_new": "guess"}, "'ask' or 'match' or 'fetch' as when_all_new, got 'guess'"),
        ({"keep_at_most": "5"}, "keep_at_most to be a whole number or None, got '5' (str)"),
        ({"keep_at_most_octets": 1e6}, "keep_at_most_octets to be a whole number or None, got 1000000.0 (float)"),
        ({"max_message_size": "5"}, "max_message_size to be a whole number or None, got '5' (str)"),
        ({"limit": True}, "limit to be a whole number or None, got True (bool)"),
        ({"preview_lines": None}, "preview_lines to be a whole number, got None (NoneType)"),
        ({"max_failures": "3"}, "max_failures to be a whole number, got '3' (str)"),
        ({"delete_without_uid": "no"}, "delete_without_uid to be True or False, got 'no' (str)"),
        ({"oversize": None}, "'leave' or 'preview' as oversize, got None"),
        ({"order": 1}, "'oldest first' or 'newest first' as order, got 1"),
        ({"when_all_new": ["ask"]}, "'ask' or 'match' or 'fetch' as when_all_new, got ['ask']"),
    ],
)
def test_what_cannot_be_a_policy_is_refused(settings: dict[str, Any], what: str) -> None:
    with pytest.raises(ValueError, match=r"^expected ") as caught:
        Policy(**settings)
    assert str(caught.value) == f"expected {what}"


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
