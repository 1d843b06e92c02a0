"""What both runs over messages have in common."""

from typing import Any

import pytest

from mailwire import SMTPClient, SMTPPool


@pytest.mark.parametrize("sender", [SMTPClient, SMTPPool])
@pytest.mark.parametrize(
    ("messages", "order", "look_ahead", "error"),
    [
        ([], "backwards", 1, 'expected order to be "completion" or "input", got \'backwards\''),
        ([], "input", 0, "expected look_ahead to be 1 at least, got 0"),
        (memoryview(b"one"), "input", 1, "expected an iterable of messages, got one message: memoryview"),
        (42, "input", 1, "expected messages to be an iterable of messages, got 42 (int)"),
    ],
)
def test_a_run_that_makes_no_sense_says_why(
    sender: type[SMTPClient | SMTPPool], messages: Any, order: Any, look_ahead: int, error: str
) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        sender("smtp://localhost").send_all(messages, order=order, look_ahead=look_ahead)
    assert str(caught.value) == error
