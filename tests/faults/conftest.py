"""The event loop in which the flows go, and what they begin with."""

import gc

import pytest

from tests.integration.conftest import demand_libraries


@pytest.fixture
def loop(pytestconfig: pytest.Config) -> str:
    """Its name, as `--loop` has it: "asyncio" or "uvloop"; its time passes in a moment anyway."""
    name = str(pytestconfig.getoption("loop")).partition("-")[0]
    demand_libraries(name)
    return name


@pytest.fixture(scope="module", autouse=True)
def nothing_left_by_others() -> None:
    """Let go of what tests before have left to the garbage collector: it would be taken for files that were closed."""
    gc.collect()
