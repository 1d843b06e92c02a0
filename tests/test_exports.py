"""`__all__` is honest: what it names is there, and what is public is named."""

import importlib
import inspect
import pkgutil
from types import ModuleType

import pytest

import mailwire

# A module's public names besides __all__ are those it defines itself and does not begin with an underscore.
MODULES = sorted(
    name
    for _, name, _ in pkgutil.walk_packages(mailwire.__path__, "mailwire.")
    if not name.endswith(("__main__", "certificates"))
)


def defined_in(module: ModuleType) -> set[str]:
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
    }


@pytest.mark.parametrize("name", ["mailwire", *MODULES])
def test_every_public_module_names_what_it_offers(name: str) -> None:
    module = importlib.import_module(name)
    if name.endswith("_wire"):
        return  # the package of what both protocols share offers nothing by itself

    names = module.__all__
    assert len(set(names)) == len(names)
    assert all(hasattr(module, exported) for exported in names)
    assert defined_in(module) - {"demonstrate", "judge"} <= set(names)
    assert all(not exported.startswith("_") for exported in names)


@pytest.mark.parametrize("name", ["mailwire", *MODULES])
def test_every_public_thing_says_what_it_is(name: str) -> None:
    module = importlib.import_module(name)

    assert module.__doc__
    for exported in defined_in(module):
        assert inspect.getdoc(getattr(module, exported)), f"{name}.{exported}"
