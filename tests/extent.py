"""How much is tried: a sample in every run, and all that there is by `-m exhaustive`."""

import pytest

__all__ = ["sampled"]


def sampled(argument: str, sample: object, whole: object) -> pytest.MarkDecorator:
    """Give a test `sample` for its argument in every run, and `whole` where all is to be tried."""
    everything = pytest.param(whole, id="whole", marks=pytest.mark.exhaustive)
    return pytest.mark.parametrize(argument, [pytest.param(sample, id="sample"), everything])
