"""What holds for all tests."""

import asyncio
import gc
import importlib
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from pathlib import Path

import pytest
from hypothesis import Phase, settings

from tests.extent import EXTENTS, extent_of, part
from tests.model_settings import EXAMPLES
from tests.waiting import Waiter, loop_class

# How long an example takes is the machine's business, not the test's. `--hypothesis-profile thorough` tries more.
settings.register_profile("mailwire", deadline=None, max_examples=40)
for _profile, _examples in EXAMPLES.items():
    settings.register_profile(_profile, deadline=None, max_examples=_examples)
# A test that fails under a mutant has done its work: nobody asks for the least example.
settings.register_profile(
    "mutants", deadline=None, max_examples=40, database=None, phases=[Phase.explicit, Phase.generate]
)
settings.load_profile("mailwire")

pytest_plugins = ["mailwire.testing.pytest_plugin", "pytester"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the tests that need no loop of their own run under another one, `--loop uvloop` or, with a clock that they
    can move, `uvloop-by-clock`; and say how much is tried."""
    loops = ("asyncio", "uvloop", "uvloop-by-clock")
    parser.addoption("--loop", choices=loops, default="asyncio", help="the event loop of the tests")
    parser.addoption("--extent", choices=EXTENTS, help="how much is tried: quick, unless tests are named")


def pytest_configure(config: pytest.Config) -> None:
    """Settle what is tried, for workers as well, and have pytest-asyncio make the loops that are asked for."""
    config.option.extent = extent_of(config)
    if config.getoption("loop") != "asyncio":
        config.pluginmanager.register(UnderUvloop(by_clock=config.getoption("loop") == "uvloop-by-clock"))


class UnderUvloop:
    """Makes the loops of uvloop; `by_clock`: those whose timers go by a clock that a test can move."""

    def __init__(self, *, by_clock: bool) -> None:
        self.by_clock = by_clock

    def pytest_asyncio_loop_factories(self) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
        """Return how a loop is made, by the name that a test's own has then."""
        if self.by_clock:
            return {"uvloop-by-clock": lambda: loop_class("uvloop")(Waiter())}
        return {"uvloop": importlib.import_module("uvloop").new_event_loop}


def pytest_report_header(config: pytest.Config) -> str:
    """Say what is tried, for a quick run leaves out much."""
    extent: str = config.getoption("extent")
    return "extent: " + ("quick, a sample of all tests; `--extent whole` has all" if extent == "quick" else extent)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is not to be tried. Of several workers, none is to be left alone with much at the end: they begin
    with what waits for other processes, and with the files that have the most tests."""
    items[:], left = part(items, config.getoption("extent"))
    if left:
        config.hook.pytest_deselected(items=left)
    if hasattr(config, "workerinput"):
        integration = Path(__file__).parent / "integration"
        counts = Counter(item.path for item in items)
        places = {path: (integration not in path.parents, -count) for path, count in counts.items()}
        items.sort(key=lambda item: places[item.path])


_TESTS = pytest.StashKey[int]()
_TESTS_BETWEEN = 100


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Take what stays to the end, twenty thousand tests, from the sight of the garbage collector.

    Many tests collect, to see that nothing was left open: with all that to look through, each would take a fifth of a
    second.
    """
    _freeze()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Take from its sight, every hundred tests, what was said of them as well, which stays to the end."""
    outcome = yield
    item.session.stash[_TESTS] = count = item.session.stash.get(_TESTS, 0) + 1
    if count % _TESTS_BETWEEN == 0:
        _freeze()
    return outcome


def _freeze() -> None:
    gc.collect()  # what is of no use any more does not stay
    gc.freeze()
