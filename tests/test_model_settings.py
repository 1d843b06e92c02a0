"""Properties and models have long tiers, the profiles `thorough` and `utmost`, which no number beside a test beats."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.model_settings import EXAMPLES, MODELS, STEPS, model_settings, property_settings


@pytest.fixture(autouse=True)
def _the_profile_is_loaded_again() -> Iterator[None]:
    settings.register_profile("before", settings.default)
    yield
    settings.load_profile("before")


@pytest.mark.parametrize(
    ("profile", "examples", "steps"),
    [("mailwire", 15, 12), ("mutants", 15, 12), *((profile, most, STEPS) for profile, most in MODELS.items())],
)
def test_the_profile_says_how_much_of_a_model_is_tried(profile: str, examples: int, steps: int) -> None:
    settings.load_profile(profile)
    found, loaded = model_settings(15, 12), settings()
    assert (found.max_examples, found.stateful_step_count) == (examples, steps)
    assert found.database is loaded.database
    assert found.phases == loaded.phases


@pytest.mark.parametrize(
    ("profile", "examples"),
    [("mailwire", 70), ("mutants", 70), *((profile, most) for profile, most in EXAMPLES.items())],
)
def test_the_profile_says_how_much_of_a_property_is_tried(profile: str, examples: int) -> None:
    settings.load_profile(profile)
    assert property_settings(70).max_examples == examples
    assert property_settings(30).max_examples == max(30, settings().max_examples)


def test_no_property_has_a_number_that_no_profile_beats() -> None:
    sources = {path: path.read_text("utf-8") for path in Path(__file__).parent.rglob("test_*.py")}
    assert [
        path.name for path, source in sources.items() if re.search(r"^@settings\(.*max_examples", source, re.MULTILINE)
    ] == []


def test_every_model_takes_its_settings_from_there() -> None:
    sources = {path: path.read_text("utf-8") for path in Path(__file__).parent.rglob("test_*.py")}
    models = {path.name: source for path, source in sources.items() if "(RuleBasedStateMachine):" in source}
    assert len(models) == 7
    for name, source in models.items():
        assert len(re.findall(r"^class .*\(RuleBasedStateMachine\):", source, re.MULTILINE)) == len(
            re.findall(r"\.settings = model_settings\(", source)
        ), name
