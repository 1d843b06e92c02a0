"""`__all__` is honest: it names what is there, in ruff's order (RUF022), and what is public is named."""

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import mailwire

MODULES = [
    "mailwire",
    *sorted(
        name
        for _, name, _ in pkgutil.walk_packages(mailwire.__path__, "mailwire.")
        if not any(part.startswith("_") for part in name.split(".")[1:])
    ),
]


def in_order(names: list[str]) -> list[str]:
    """Sort as ruff does: CONSTANTS, then Classes, then the rest, numbers by their value."""

    def key(name: str) -> tuple[int, list[tuple[int, str]]]:
        kind = 0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2
        return kind, [(int(digits or -1), text) for digits, text in re.findall(r"(\d+)|(\D+)", name)]

    return sorted(names, key=key)


def defined_in(module: ModuleType) -> set[str]:
    """The public names that a module makes itself; its type variables serve it alone."""
    tree = ast.parse(Path(str(module.__file__)).read_text("utf-8"))
    return {name for name in _bound(tree) if not name.startswith("_") and not name.endswith("_co") and len(name) > 1}


def _bound(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        match node:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                yield node.name
            case ast.Assign():
                yield from (target.id for target in node.targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name


def imported_by(package: ModuleType) -> set[str]:
    """The names that a package takes from its own modules."""
    tree = ast.parse(Path(str(package.__file__)).read_text("utf-8"))
    return {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module
        for alias in node.names
    }


def test_the_modules_were_found() -> None:
    assert {"mailwire", "mailwire.smtp", "mailwire.smtp.connection", "mailwire.aio.stream", "mailwire.testing"} <= set(
        MODULES
    )
    assert "mailwire._wire.lines" not in MODULES


@pytest.mark.parametrize("name", MODULES)
def test_a_public_module_names_what_is_there_in_order(name: str) -> None:
    module = importlib.import_module(name)
    names = module.__all__
    assert isinstance(names, list)
    assert names == in_order(names)
    assert len(set(names)) == len(names)
    assert all(hasattr(module, exported) for exported in names)
    assert not [exported for exported in names if exported.startswith("_")]


@pytest.mark.parametrize("name", MODULES)
def test_what_a_public_module_makes_is_named(name: str) -> None:
    module = importlib.import_module(name)
    assert defined_in(module) <= set(module.__all__), "public names that __all__ leaves out"


# The front has functions of its own; the other packages are shop windows.
PACKAGES = [name for name in MODULES[1:] if hasattr(importlib.import_module(name), "__path__")]


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_offers_what_it_takes_from_its_modules(name: str) -> None:
    package = importlib.import_module(name)
    assert imported_by(package) <= set(package.__all__), "imported for nobody"
    assert not defined_in(package)


@pytest.mark.parametrize("name", MODULES)
def test_what_a_package_offers_is_offered_by_the_module_that_made_it(name: str) -> None:
    package = importlib.import_module(name)
    for exported in package.__all__:
        thing = getattr(package, exported)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            maker = importlib.import_module(thing.__module__)
            assert exported in maker.__all__, f"{thing.__module__} does not offer {exported}"


@pytest.mark.parametrize("name", MODULES)
def test_what_is_offered_says_what_it_is(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    for exported in module.__all__:
        thing = getattr(module, exported)
        if inspect.isclass(thing) or inspect.isfunction(thing):
            assert inspect.getdoc(thing), f"{name}.{exported}"


@pytest.mark.parametrize(
    ("names", "ordered"),
    [
        (["b", "A", "a", "B", "C_D", "Ab"], ["C_D", "A", "Ab", "B", "a", "b"]),
        (["x10", "x9", "POP3Client", "Password"], ["POP3Client", "Password", "x9", "x10"]),
    ],
)
def test_the_order_is_that_of_the_linter(names: list[str], ordered: list[str]) -> None:
    assert in_order(names) == ordered


def test_the_front_makes_its_names_when_they_are_asked_for() -> None:
    program = (
        "import sys, mailwire\n"
        "assert set(mailwire.__all__) <= set(dir(mailwire))\n"
        "assert not [name for name in sys.modules if name.startswith('mailwire.')]\n"
        "assert 'SMTPClient' not in vars(mailwire)\n"
        "assert mailwire.SMTPClient is mailwire.SMTPClient is vars(mailwire)['SMTPClient']\n"
        "for name in 'aio', 'endpoint', 'errors', 'maildrop', 'message', 'pop3', 'sasl', 'smtp', 'transcript':\n"
        "    assert name in dir(mailwire)\n"
        "    assert getattr(mailwire, name) is sys.modules['mailwire.' + name]\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    with pytest.raises(AttributeError, match=r"^module 'mailwire' has no attribute 'SMTPSClient'$"):
        mailwire.__getattr__("SMTPSClient")
    with pytest.raises(ImportError, match="cannot import name 'SMTPSClient'"):
        exec("from mailwire import SMTPSClient")


def told_to_type_checkers() -> dict[str, object]:
    tree = ast.parse(Path(str(mailwire.__file__)).read_text("utf-8"))
    return {
        alias.name: getattr(importlib.import_module(f"mailwire.{node.module}"), alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level == 1
        for alias in node.names
    }


def test_the_front_tells_type_checkers_of_the_names_that_it_makes() -> None:
    told = told_to_type_checkers()
    assert sorted(told) == sorted(mailwire.__all__)
    for name, made in told.items():
        assert getattr(mailwire, name) is made


def test_the_front_has_what_it_was_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, made in told_to_type_checkers().items():
        monkeypatch.delitem(vars(mailwire), name, raising=False)
        assert name in dir(mailwire)
        assert getattr(mailwire, name) is made
        assert vars(mailwire)[name] is made
    for name in ("aio", "endpoint", "errors", "maildrop", "message", "pop3", "sasl", "smtp", "transcript"):
        package = importlib.import_module(f"mailwire.{name}")
        monkeypatch.delitem(vars(mailwire), name, raising=False)
        assert name in dir(mailwire)
        assert getattr(mailwire, name) is package
    assert dir(mailwire) == sorted({*dir(mailwire)})
