"""The event loop in which the flows go."""

import pytest

from tests.integration.conftest import demand_libraries


@pytest.fixture
def loop(pytestconfig: pytest.Config) -> str:
    """Its name, as `--loop` has it: "asyncio" or "uvloop"."""
    name = str(pytestconfig.getoption("loop"))
    demand_libraries(name)
    return name
