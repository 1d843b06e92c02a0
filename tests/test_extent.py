"""A quick run tries a sample of all tests, and what it leaves out is the rest."""

import ast
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.extent import EXTENTS, LENGTHY, VARIANTS, extent_of, part

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Item:
    """A test, or a variant of one."""

    nodeid: str


def variants(count: int, test: str = "tests/test_a.py::test_a") -> list[Item]:
    return [Item(f"{test}[{number}]") for number in range(count)]


def places(items: list[Item]) -> list[int]:
    return [int(item.nodeid.rpartition("[")[2][:-1]) for item in items]


@pytest.mark.parametrize("count", [1, VARIANTS - 1, VARIANTS])
def test_of_few_variants_all_are_tried(count: int) -> None:
    assert part(variants(count), "quick") == (variants(count), [])


@pytest.mark.parametrize("count", [VARIANTS + 1, 2 * VARIANTS, 1_000])
def test_of_many_variants_some_are_tried_evenly_spread_and_the_others_are_the_rest(count: int) -> None:
    quick, rest = part(variants(count), "quick")
    tried = places(quick)
    assert len(tried) == VARIANTS
    assert tried[0] == 0
    steps = [later - earlier for earlier, later in zip(tried, [*tried[1:], count], strict=True)]
    assert max(steps) - min(steps) <= 1
    assert part(variants(count), "rest") == (rest, quick)
    assert sorted([*places(quick), *places(rest)]) == [*range(count)]


def test_each_test_has_a_sample_of_its_own() -> None:
    one, other = variants(3 * VARIANTS), variants(VARIANTS, "tests/test_a.py::test_b")
    mixed = [item for pair in zip(one[:VARIANTS], other, strict=True) for item in pair] + one[VARIANTS:]
    quick, _ = part(mixed, "quick")
    assert [item for item in quick if item in other] == other
    assert [item for item in quick if item in one] == part(one, "quick")[0]


@pytest.mark.parametrize("lengthy", sorted(LENGTHY))
def test_what_takes_long_is_there_and_is_of_the_rest(lengthy: str) -> None:
    path, _, test = lengthy.partition("::")
    assert (ROOT / path).exists()
    if test:
        tree = ast.parse((ROOT / path).read_text("utf-8"))
        assert test in {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        item = Item(lengthy)
    else:
        item = Item(f"{path if path.endswith('.py') else f'{path}/test_a.py'}::test_a")
    assert part([item], "quick") == ([], [item])
    assert part([item], "rest") == ([item], [])


def test_a_whole_run_leaves_out_nothing() -> None:
    items = [*variants(100), *map(Item, sorted(LENGTHY))]
    assert part(items, "whole") == (items, [])


@pytest.mark.parametrize(
    ("arguments", "extent"),
    [
        ([], "quick"),
        (["-x", "-q"], "quick"),
        (["."], "whole"),
        (["test_it.py"], "whole"),
        (["-k", "it"], "whole"),
        (["-m", "hypothesis"], "whole"),
        (["--loop", "uvloop"], "whole"),
        (["--lf"], "whole"),
        (["--ff"], "whole"),
        (["--extent", "quick", "--lf"], "quick"),
        (["-p", "no:cacheprovider"], "quick"),
        *((["--extent", extent], extent) for extent in EXTENTS),
        (["--extent", "quick", "test_it.py"], "quick"),
    ],
    ids=" ".join,
)
def test_a_run_is_quick_unless_it_is_said_what_is_to_be_tried(
    arguments: list[str], extent: str, pytester: pytest.Pytester
) -> None:
    pytester.makeini("[pytest]\ntestpaths = .\naddopts = -m 'not exhaustive'\n")
    pytester.makepyfile(test_it="def test_it() -> None: pass")
    assert extent_of(pytester.parseconfig("-p", "tests.conftest", *arguments)) == extent
