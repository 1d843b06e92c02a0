"""How much is tried by chance: what a test asks for, and far more under `--hypothesis-profile thorough` or `utmost`."""

from typing import Final

from hypothesis import settings

__all__ = ["EXAMPLES", "MODELS", "STEPS", "model_settings", "property_settings"]

EXAMPLES: Final = {"thorough": 1_000, "utmost": 50_000}
"""How many examples of a property there are under such a profile."""
MODELS: Final = {"thorough": 500, "utmost": 20_000}
"""How many of a stateful model, which has `STEPS` then."""
STEPS: Final = 50


def model_settings(examples: int, steps: int) -> settings:
    """Return the settings of a model that ordinarily has so many examples, of so many steps each at most."""
    for profile, most in MODELS.items():
        if settings.default == settings.get_profile(profile):
            examples, steps = max(examples, most), max(steps, STEPS)
    return settings(max_examples=examples, stateful_step_count=steps, deadline=None)


def property_settings(examples: int) -> settings:
    """Return the settings of a property that ordinarily has so many examples, and not those of the profile."""
    profile = settings.default
    assert profile is not None
    return settings(max_examples=max(examples, profile.max_examples), deadline=None)
