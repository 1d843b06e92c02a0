"""The event loop in which the flows go."""

import pytest

from tests.integration.conftest import demand_libraries


@pytest.fixture
def loop(pytestconfig: pytest.Config) -> str:
    """Its name, as `--loop` has it: "asyncio" or "uvloop"; its time passes in a moment anyway."""
    name = str(pytestconfig.getoption("loop")).partition("-")[0]
    demand_libraries(name)
    return name
