"""What the page about reliability says was tried, is what there is to be tried: counted, and not done."""

import importlib
import re
from collections.abc import Iterable
from itertools import chain
from typing import Any, Final

from tests.docs.blocks import ROOT

PAGE: Final = re.sub(r"\s+", " ", (ROOT / "docs/explanation/reliability.md").read_text("utf-8"))


def of_tests(name: str) -> Any:
    """Return a module of the tests, after they were collected: it is imported for them first, and once."""
    return importlib.import_module(f"tests.{name}")


def size(things: Iterable[object]) -> int:
    return sum(1 for _ in things)


def test_as_many_faults_happen_on_the_way_as_is_told() -> None:
    matrix, flows = of_tests("faults.matrix"), of_tests("faults.flows").FLOWS.values()
    faults, places = len(matrix.FAULTS), len(matrix.POSITIONS)
    runs = faults * len(flows) * places
    assert f"{faults} faults of a connection x {len(flows)} flows x {places} places = {runs:,}." in PAGE


def test_calls_fail_in_as_many_flows_as_is_told() -> None:
    fails = of_tests("faults.test_call_k_fails")
    assert f"and the files of messages, in {len(fails.ALL)} flows, in {len(fails.KINDS)} ways" in PAGE


def test_as_many_hostile_servers_are_met_as_is_told() -> None:
    hostile = of_tests("hostile.test_hostile")
    cases, plays = sum(map(len, hostile.CASES.values())), size(hostile.plays())
    assert f"{cases} cases, by sockets, streams and ports, with asyncio and uvloop: {plays:,} plays." in PAGE


def test_dialogues_are_cut_as_often_as_is_told() -> None:
    on_sockets = of_tests("transcripts.test_on_sockets")
    every, by_machines = len(on_sockets.CALLS), len(on_sockets.MACHINE_ALONE)
    assert f"{every} transcripts, {every - by_machines} by mailwire's own clients, {by_machines} that" in PAGE
    places = {
        (str(calls.story), calls.is_starttls): size(chain(*on_sockets.places_of(calls))) for calls in on_sockets.CALLS
    }
    clear = 2 * sum(places.values())  # by FIN, and by RST
    encrypted = 2 * sum(count for (_, is_starttls), count in places.items() if not is_starttls)
    assert f"by FIN and by RST: {clear:,} times in the clear, STARTTLS included, {encrypted:,} under TLS" in PAGE


def test_as_many_squares_are_planted_as_is_told() -> None:
    planted = len(of_tests("test_linearity").QUADRATIC)
    assert f"{planted} ways to take the square of the time" in PAGE


def test_as_many_mutants_are_told_together_as_module_by_module() -> None:
    rows = re.findall(r"\| `[a-z_/0-9]+`\*? \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|", PAGE)
    made, killed, same, live = (sum(int(row[column].replace(",", "")) for row in rows) for column in range(4))
    assert live == 0
    assert made == killed + same
    assert f"{made:,} mutants of {len(rows)} modules: [below](#mutants)" in PAGE
    assert f"| {killed:,} killed, {same} change nothing, none lives" in PAGE


def test_what_was_worked_on_since_its_mutants_were_tried_has_a_star() -> None:
    is_as_tried = of_tests("mutation.tried").is_as_tried
    rows = re.findall(r"\| `([a-z_/0-9]+)`(\*?) \| [\d,]+ \|", PAGE)
    assert {module for module, _ in rows} == set(of_tests("mutation.table").TESTS)
    assert [module for module, star in rows if bool(star) is is_as_tried(module)] == []
