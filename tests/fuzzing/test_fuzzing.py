"""The targets of the fuzzer, without it: the corpus, and what chance makes of it, the same each time."""

import importlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.fuzzing.__main__ import arguments_for
from tests.fuzzing.corpus import CORPUS, TARGETS, mutations, seeds

MUTATIONS: Final = 400

Target = Callable[[bytes], None]


def target(name: str) -> Target:
    run: Target = importlib.import_module(f"tests.fuzzing.{name}").run
    return run


@pytest.mark.parametrize("name", TARGETS)
def test_the_fuzzer_begins_with_the_corpus_and_keeps_nothing_there(name: str) -> None:
    alone, folder = arguments_for(name, ["-runs=5"]), arguments_for(name, ["-runs=5", "found"])
    inputs = [argument.removeprefix("-seed_inputs=") for argument in alone if argument.startswith("-seed_inputs=")]
    assert [Path(path).read_bytes() for path in inputs[0].split(",")] == seeds(name)
    assert all(argument.startswith("-") for argument in alone)
    assert folder[-2:] == ["found", str(CORPUS / name)]
    assert "-runs=5" in alone
    assert "-runs=5" in folder


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_is_small_and_each_input_says_by_its_name_what_it_is(name: str) -> None:
    inputs = list((CORPUS / name).iterdir())
    assert len(inputs) <= 40
    assert max(path.stat().st_size for path in inputs) <= 512
    assert [path.name for path in inputs if not re.fullmatch("[a-z_0-9]{2,30}", path.name)] == []


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_keeps_the_laws_whole_and_cut_anywhere(name: str) -> None:
    run = target(name)
    for data in seeds(name):
        for end in {*range(0, len(data), 5), len(data)}:
            run(data[:end])


@pytest.mark.parametrize("name", TARGETS)
def test_what_chance_makes_of_the_corpus_keeps_the_laws(name: str) -> None:
    run = target(name)
    for data in mutations(name, MUTATIONS):
        run(data)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", TARGETS)
def test_much_of_what_chance_makes_of_the_corpus_keeps_the_laws(name: str) -> None:
    run = target(name)
    for data in mutations(name, 200_000, seed=1):
        run(data)
