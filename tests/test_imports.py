"""Who may know whom: read off the imports, not promised."""

import ast
import json
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import mailwire

PACKAGE = Path(mailwire.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
CORE = ("_wire", "sasl", "smtp", "pop3")

# What the core may not touch: what waits, what reads a clock, what prints by itself, and what could hide any of that.
IO = {
    *("asyncio", "socket", "ssl", "select", "selectors", "socketserver", "signal", "threading", "concurrent", "queue"),
    *("time", "sched", "logging", "subprocess", "multiprocessing", "os", "io", "pathlib", "tempfile", "importlib"),
}

# Each room may import those of the rooms below it, and itself. None but the command line knows the testing room.
BELOW: dict[str, tuple[str, ...]] = {
    "errors": (),
    "_wire": ("errors",),
    "sasl": ("errors", "_wire"),
    "smtp": ("errors", "_wire", "sasl"),
    "pop3": ("errors", "_wire", "sasl"),
    "transcript": ("_wire",),
    "endpoint": ("errors", "_wire", "sasl", "smtp"),
    "message": ("errors", "_wire", "smtp"),
    "aio": ("errors", "_wire", "sasl", "smtp", "pop3", "transcript", "endpoint", "message"),
    "error_record": ("errors", "_wire", "sasl", "smtp", "pop3", "message"),
    # What was retrieved is kept by those who know how it is retrieved, and not the other way round.
    "maildrop": ("errors", "_wire", "sasl", "pop3", "transcript", "endpoint", "message", "aio", "error_record"),
    "one_call": ("_wire", "aio", "endpoint", "errors", "maildrop", "message", "pop3", "sasl", "smtp", "transcript"),
    "__init__": (
        *("aio", "endpoint", "error_record", "errors", "maildrop", "message", "one_call"),
        *("pop3", "sasl", "smtp", "transcript"),
    ),
    # A scripted peer hands out the endpoint that leads to it.
    "testing": ("errors", "_wire", "sasl", "smtp", "pop3", "endpoint"),
    "cli": (
        "__init__",
        "_wire",
        "aio",
        "endpoint",
        "error_record",
        "errors",
        "maildrop",
        "message",
        "one_call",
        "pop3",
        "sasl",
        "smtp",
        "testing",
        "transcript",
    ),
    "__main__": ("cli",),
}


def imported(source: str, package: tuple[str, ...]) -> Iterator[str]:
    """Yield the absolute name of every module that `source`, a module of `package`, imports when it runs."""
    for node in running(ast.parse(source)):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom():
                base = package[: len(package) - node.level + 1] if node.level else ()
                names = [node.module] if node.module else [alias.name for alias in node.names]
                yield from (".".join((*base, name)) for name in names)
            case ast.Call(func=ast.Name(id="__import__")):
                yield "importlib"


def running(node: ast.AST) -> Iterator[ast.AST]:
    """Walk over all that runs: not over what is there for the type checker alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for other in child.orelse:
                yield other
                yield from running(other)
            continue
        yield child
        yield from running(child)


def imports_of(module: Path) -> set[str]:
    source = module.read_text("utf-8")
    if module == PACKAGE / "__init__.py":
        # What the front tells the type checker it imports, it does import, once it is asked for it.
        source = source.replace("if TYPE_CHECKING:", "if True:")
    return set(imported(source, ("mailwire", *module.relative_to(PACKAGE).parent.parts)))


def room(name: str) -> str:
    """Return the room that the module called `name` is in: mailwire.smtp.reply is in smtp."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in BELOW else "__init__"


def below(place: str) -> set[str]:
    """Return all that can be reached from `place`."""
    reached = set(BELOW[place])
    for other in BELOW[place]:
        reached |= below(other)
    return reached


def test_the_imports_are_read_rightly() -> None:
    source = """
import os.path, ssl
from . import a
from .b import c
from ..errors import D
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import asyncio
    from ..aio import x
else:
    import sched
def f():
    from socket import socket
    __import__("selectors")
"""
    assert set(imported(source, ("mailwire", "smtp"))) == {
        *("os.path", "ssl", "mailwire.smtp.a", "mailwire.smtp.b", "mailwire.errors", "typing", "sched", "socket"),
        "importlib",
    }
    assert "mailwire.errors" in imports_of(PACKAGE / "aio" / "client.py")


def test_every_module_is_in_a_room() -> None:
    assert {module.relative_to(PACKAGE).with_suffix("").parts[0] for module in MODULES} == set(BELOW)


def test_the_rooms_run_one_way() -> None:
    for place in BELOW:
        assert place not in below(place)  # a circle would not come back from below() at all
    assert "pop3" not in below("smtp")
    assert "smtp" not in below("pop3")
    assert [place for place in BELOW if "testing" in BELOW[place]] == ["cli"]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_imports_run_one_way(module: Path) -> None:
    here = module.relative_to(PACKAGE).with_suffix("").parts[0]
    for name in imports_of(module):
        if name.split(".")[0] == "mailwire":
            assert room(name) in {here, *BELOW[here]}, f"{module} imports {name}"


@pytest.mark.parametrize("place", CORE)
def test_the_core_does_no_input_or_output(place: str) -> None:
    modules = sorted((PACKAGE / place).rglob("*.py"))
    assert len(modules) > 3
    for module in modules:
        assert not {name.split(".")[0] for name in imports_of(module)} & IO, module


# What a module is for, its users have.
FOR_ITS_USERS = {"testing/pytest_plugin.py": {"pytest"}}


def test_nobody_imports_what_is_not_of_the_standard_library() -> None:
    for module in MODULES:
        ours = {"mailwire", *sys.stdlib_module_names, *FOR_ITS_USERS.get(module.relative_to(PACKAGE).as_posix(), ())}
        strangers = {name.split(".")[0] for name in imports_of(module)} - ours
        assert not strangers, module


def modules_after(*statements: str) -> list[set[str]]:
    """Return what an interpreter of its own has imported, beyond what it starts with, after each of the statements."""
    program = "import json, sys\n" + f"sys.path.insert(0, {str(PACKAGE.parent)!r})\nbefore = set(sys.modules)\n"
    for statement in statements:
        program += f"{statement}\nprint(json.dumps(sorted(set(sys.modules) - before)))\n"
    # -I and -S: no environment, no user's and no site's packages. What is not found then, is not there.
    result = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True)
    return [set(json.loads(line)) for line in result.stdout.splitlines()]


def roots(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules}


def test_importing_mailwire_needs_nothing_outside_the_standard_library() -> None:
    front, everything = modules_after(
        "from mailwire import *", "import mailwire.smtp, mailwire.pop3, mailwire.sasl, mailwire.testing, mailwire.cli"
    )
    assert roots(everything) - {"mailwire"} <= set(sys.stdlib_module_names)
    assert not [name for name in front if name.startswith(("mailwire.testing", "mailwire.cli"))]


# What takes long to import, and not everybody needs.
HEAVY = {"asyncio", "socket", "ssl", "email", "sqlite3", "logging", "threading", "concurrent", "tempfile", "pathlib"}


def test_importing_mailwire_imports_next_to_nothing() -> None:
    front, with_error, with_endpoint = modules_after(
        "import mailwire", "mailwire.MailwireError", "mailwire.Endpoint.parse('smtps://smtp.example.org')"
    )
    assert {name for name in front if name.startswith("mailwire")} == {"mailwire"}
    assert not roots(front) & (HEAVY | {"dataclasses", "enum", "hashlib", "inspect"})
    assert not roots(with_error) & HEAVY
    assert not roots(with_endpoint) & {"email", "sqlite3"}


@pytest.mark.parametrize("machine", ["smtp", "pop3", "sasl"])
def test_a_machine_comes_without_asyncio_and_without_the_other_protocol(machine: str) -> None:
    (modules,) = modules_after(f"import mailwire.{machine}")
    assert not roots(modules) & HEAVY
    rooms = {room(name) for name in modules if name.startswith("mailwire.")}
    assert rooms == {"errors", "_wire", "sasl", machine}


def test_a_client_comes_without_what_is_for_others() -> None:
    (sending,) = modules_after("import mailwire; mailwire.SMTPClient, mailwire.SMTPPool")
    assert "sqlite3" not in sending
    assert not [
        name for name in sending if name.startswith(("mailwire.maildrop", "mailwire.aio.pop3", "mailwire.pop3"))
    ]
    (retrieving,) = modules_after("import mailwire; mailwire.POP3Client")
    assert not {"sqlite3", "email"} & retrieving
    others = ("mailwire.maildrop", "mailwire.message", "mailwire.aio.smtp", "mailwire.smtp")
    assert not [name for name in retrieving if name.startswith(others)]
    (with_one_call,) = modules_after("import mailwire; mailwire.send")
    assert not [name for name in with_one_call if name.startswith(("mailwire.maildrop", "mailwire.pop3"))]


# How many modules there may be beyond asyncio's: ours, and of the standard library. The time that they take is told by
# python -m tests.benchmarks.imports.
FEW = {
    "mailwire": (1, 0),
    "mailwire.smtp": (60, 25),
    "mailwire.pop3": (57, 23),
    "SMTPClient": (105, 55),
    "POP3Client": (88, 27),
    "SMTPPool": (113, 55),
    "send": (110, 55),
}


def test_what_is_imported_beyond_asyncio_is_not_much() -> None:
    for name, (ours, theirs) in FEW.items():
        statement = f"import {name}" if name.startswith("mailwire") else f"import mailwire; mailwire.{name}"
        before, after = modules_after("import asyncio", statement)
        beyond = after - before
        made_here = {module for module in beyond if roots({module}) == {"mailwire"}}
        assert len(made_here) <= ours, name
        assert len(beyond - made_here) <= theirs, (name, sorted(beyond - made_here))


def test_the_plan_of_the_house_is_that_of_the_imports() -> None:
    images = Path(__file__).parents[1] / "docs" / "images"
    script = runpy.run_path(str(images / "house.py"))
    assert (images / "house.svg").read_text("utf-8") == script["picture"](), "run python docs/images/house.py"
    rooms: dict[str, set[str]] = script["imported_rooms"]()
    assert rooms["errors"] == set()
    assert rooms["sasl"] == {"_wire", "errors"}
    assert script["direct"](rooms)["aio"] == {"endpoint", "message", "pop3", "transcript"}
