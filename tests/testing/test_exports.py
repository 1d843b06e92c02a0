import importlib
import pkgutil
import subprocess
import sys

import pytest

import mailwire.testing

MODULES = sorted(module.name for module in pkgutil.iter_modules(mailwire.testing.__path__))


@pytest.mark.parametrize("name", ["", *(f".{module}" for module in MODULES)])
def test_every_module_exports_what_it_has(name: str) -> None:
    module = importlib.import_module(f"mailwire.testing{name}")

    assert module.__all__ == sorted(set(module.__all__), key=_export_order)
    for exported in module.__all__:
        assert hasattr(module, exported)


def _export_order(name: str) -> tuple[int, str]:
    # Constants, then classes, then functions, as ruff sorts them.
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name


def test_pytest_is_not_needed() -> None:
    program = "import sys; sys.modules['pytest'] = None; import mailwire.testing"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
