"""The models have a long tier: the profile `thorough`, which nothing written beside a model may beat."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.model_settings import THOROUGH_EXAMPLES, THOROUGH_STEPS, model_settings


@pytest.fixture(autouse=True)
def _the_profile_is_loaded_again() -> Iterator[None]:
    settings.register_profile("before", settings.default)
    yield
    settings.load_profile("before")


@pytest.mark.parametrize(
    ("profile", "examples", "steps"),
    [("mailwire", 15, 12), ("mutants", 15, 12), ("thorough", THOROUGH_EXAMPLES, THOROUGH_STEPS)],
)
def test_the_profile_says_how_much_of_a_model_is_tried(profile: str, examples: int, steps: int) -> None:
    settings.load_profile(profile)
    found, loaded = model_settings(15, 12), settings()
    assert (found.max_examples, found.stateful_step_count) == (examples, steps)
    assert found.database is loaded.database
    assert found.phases == loaded.phases


def test_every_model_takes_its_settings_from_there() -> None:
    sources = {path: path.read_text("utf-8") for path in Path(__file__).parent.rglob("test_*.py")}
    models = {path.name: source for path, source in sources.items() if "(RuleBasedStateMachine):" in source}
    assert len(models) == 7
    for name, source in models.items():
        assert len(re.findall(r"^class .*\(RuleBasedStateMachine\):", source, re.MULTILINE)) == len(
            re.findall(r"\.settings = model_settings\(", source)
        ), name
