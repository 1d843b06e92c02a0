"""Exchanges of SASL with the server's side of a mechanism: responses go in, challenges and an account come out."""

import pytest

from mailwire.testing import Account
from mailwire.testing.mechanism import Exchange
from mailwire.testing.refusal import Denied

__all__ = ["converse", "denial", "first_challenge"]


def first_challenge(exchange: Exchange) -> bytes:
    return next(exchange)


def converse(exchange: Exchange, *responses: bytes) -> tuple[list[bytes], Account | None]:
    """Say all responses; return the challenges behind the first, and the account if it came to that."""
    challenges: list[bytes] = []
    next(exchange)
    try:
        for response in responses:
            challenges += [exchange.send(response)]
    except StopIteration as stop:
        assert len(challenges) == len(responses) - 1
        return challenges, stop.value
    return challenges, None


def denial(exchange: Exchange, *responses: bytes) -> str:
    """The reason for which the last of the responses is denied."""
    next(exchange)
    for response in responses[:-1]:
        exchange.send(response)
    with pytest.raises(Denied) as refusal:
        exchange.send(responses[-1])
    return refusal.value.reason
