"""How much of a stateful model is tried: what its test asks for, and far more under `--hypothesis-profile thorough`."""

from typing import Final

from hypothesis import settings

__all__ = ["THOROUGH_EXAMPLES", "THOROUGH_STEPS", "model_settings"]

THOROUGH_EXAMPLES: Final = 500
THOROUGH_STEPS: Final = 50


def model_settings(examples: int, steps: int) -> settings:
    """Return the settings of a model that ordinarily has so many examples, of so many steps each at most."""
    if settings.default == settings.get_profile("thorough"):
        examples, steps = max(examples, THOROUGH_EXAMPLES), max(steps, THOROUGH_STEPS)
    return settings(max_examples=examples, stateful_step_count=steps, deadline=None)
