"""The targets of the fuzzer, without it: the corpus, and what chance makes of it, the same each time."""

import importlib
from collections.abc import Callable

import pytest

from tests.fuzzing.corpus import TARGETS, mutations, seeds

Target = Callable[[bytes], None]


def target(name: str) -> Target:
    run: Target = importlib.import_module(f"tests.fuzzing.{name}").run
    return run


@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_keeps_the_laws_whole_and_cut_anywhere(name: str) -> None:
    run = target(name)
    for data in seeds(name):
        for end in {*range(0, len(data), 5), len(data)}:
            run(data[:end])


@pytest.mark.parametrize("name", TARGETS)
def test_what_chance_makes_of_the_corpus_keeps_the_laws(name: str) -> None:
    run = target(name)
    for data in mutations(name, 400):
        run(data)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", TARGETS)
def test_much_of_what_chance_makes_of_the_corpus_keeps_the_laws(name: str) -> None:
    run = target(name)
    for data in mutations(name, 200_000, seed=1):
        run(data)
