"""The pictures show what they were drawn from: tables of transitions, sessions, imports."""

import asyncio
import re
import runpy
from pathlib import Path
from xml.etree import ElementTree

import pytest

from mailwire import pop3, smtp

IMAGES = Path(__file__).parents[1] / "docs" / "images"
SCRIPT = runpy.run_path(str(IMAGES / "states.py"))
PICTURES: dict[str, str] = SCRIPT["pictures"]()


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_not_stale(name: str) -> None:
    assert (IMAGES / name).read_text("utf-8") == PICTURES[name], "run python docs/images/states.py"


@pytest.mark.parametrize(("name", "states"), [("smtp-states.svg", smtp.State), ("pop3-states.svg", pop3.State)])
def test_a_picture_shows_every_state_once(name: str, states: type[smtp.State] | type[pop3.State]) -> None:
    texts = [
        element.text for element in ElementTree.fromstring(PICTURES[name]).iter("{http://www.w3.org/2000/svg}text")
    ]
    assert [text for text in texts if text in states.__members__] == list(states.__members__)


def test_every_row_of_the_tables_is_in_the_pictures() -> None:
    smtp_moves: dict[tuple[str, str], list[str]] = SCRIPT["smtp_moves"]()
    for (state, _), row in smtp.TRANSITIONS.items():
        for target in filter(None, (row.done, row.more, row.refused)):
            assert smtp_moves[state.name, target.name]
    pop3_moves: dict[tuple[str, str], list[str]] = SCRIPT["pop3_moves"]()
    assert pop3_moves["AUTHORIZATION", "TRANSACTION"] == ["PASS", "APOP", "AUTH"]
    assert smtp_moves["MAIL_DATA", "READY"] == ["end of data"]


def test_the_round_trips_are_those_of_sessions_that_were_spoken() -> None:
    script = runpy.run_path(str(IMAGES / "round_trips.py"))
    for name, text in asyncio.run(script["pictures"]()).items():
        assert (IMAGES / name).read_text("utf-8") == text, "run python docs/images/round_trips.py"


def lines_of(name: str) -> list[str]:
    """Return what a picture of a terminal shows, with a # for every number."""
    tree = ElementTree.parse(IMAGES / name)
    texts = [element.text or "" for element in tree.iter("{http://www.w3.org/2000/svg}text")]
    return without_numbers(texts)


def without_numbers(lines: list[str]) -> list[str]:
    # Times, ports and speeds are other ones each time; with them go the blanks that they are set in columns by, and how
    # a number of octets is grouped or shortened.
    masked = [re.sub(r"\d+(?:[.,:]\d+)*", "#", line) for line in lines]
    return [re.sub(r"(?<=#) [kMG]?B\b", " B", re.sub(r" +", " ", line)) for line in masked]


@pytest.mark.parametrize("name", ["demo", "check"])
async def test_a_terminal_shows_what_is_in_its_picture(name: str, tmp_path: Path) -> None:
    script = runpy.run_path(str(IMAGES / "make.py"))
    shown = without_numbers(await script[name](str(tmp_path)))
    assert lines_of(f"{name}.svg") == shown, "run python docs/images/make.py"


async def test_a_run_shows_what_is_in_its_picture(tmp_path: Path) -> None:
    script = runpy.run_path(str(IMAGES / "make.py"))
    shown = without_numbers(await script["fetch"](str(tmp_path), messages=5, lines=20))
    there = lines_of("fetch.svg")
    # A run as short as this one need not show how far it is.
    assert [there[0], *there[2:]] == [shown[0], *shown[2:]], "run python docs/images/make.py"
    assert re.fullmatch(r"\[#+ *\] #% # of # messages # B of # B # B/s #(?::#)? left", there[1])
