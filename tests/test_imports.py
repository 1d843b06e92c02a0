"""Who may know whom: read off the imports, not promised."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import mailwire

PACKAGE = Path(mailwire.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

# What the core may not touch: anything that waits, reads a clock, or prints by itself.
IO = {
    "asyncio",
    "socket",
    "ssl",
    "select",
    "selectors",
    "threading",
    "time",
    "concurrent",
    "logging",
    "subprocess",
    "os",
}
CORE = ("_wire", "sasl", "smtp", "pop3")

# Each room may import those of the rooms below it, and itself.
BELOW = {
    "errors": (),
    "_wire": ("errors",),
    "sasl": ("errors", "_wire"),
    "smtp": ("errors", "_wire", "sasl"),
    "pop3": ("errors", "_wire", "sasl"),
    "transcript": ("_wire",),
    "endpoint": ("errors", "_wire", "sasl", "smtp"),
    "message": ("errors", "_wire", "smtp"),
    "aio": ("errors", "_wire", "sasl", "smtp", "pop3", "transcript", "endpoint", "message"),
    "__init__": ("aio", "endpoint", "errors", "message", "pop3", "sasl", "smtp", "transcript"),
    "testing": ("errors", "_wire", "sasl", "smtp"),
    "cli": ("__init__", "aio", "endpoint", "errors", "message", "sasl", "smtp", "testing", "transcript"),
    "__main__": ("cli",),
}


def imported(module: Path) -> Iterator[str]:
    """Yield the absolute name of every module that `module` imports when it runs."""
    package = ("mailwire", *module.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(without_type_checking(ast.parse(module.read_text()))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            name = ".".join((*base, *(node.module or "").split("."))).strip(".")
            yield from [name] if node.module else [f"{name}.{alias.name}" for alias in node.names]


def without_type_checking(tree: ast.Module) -> ast.Module:
    tree.body = [
        node
        for node in tree.body
        if not (isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING")
    ]
    return tree


def room(name: str) -> str:
    """Return the room that the module called `name` is in: mailwire.smtp.reply is in smtp."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in BELOW else "__init__"


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_imports_run_one_way(module: Path) -> None:
    parts = module.relative_to(PACKAGE).with_suffix("").parts
    here = parts[0]
    allowed = {here, *BELOW[here]}

    for name in imported(module):
        if name.split(".")[0] == "mailwire":
            assert room(name) in allowed, f"{'.'.join(parts)} imports {name}"


@pytest.mark.parametrize("place", CORE)
def test_the_core_does_no_input_or_output(place: str) -> None:
    modules = sorted((PACKAGE / place).rglob("*.py"))
    assert len(modules) > 3

    for module in modules:
        assert not {name.split(".")[0] for name in imported(module)} & IO, module


def test_importing_mailwire_needs_nothing_outside_the_standard_library() -> None:
    program = (
        "import json, sys\n"
        f"sys.path.insert(0, {str(PACKAGE.parent)!r})\n"
        "before = set(sys.modules)\n"
        "import mailwire, mailwire.smtp, mailwire.pop3, mailwire.sasl, mailwire.testing, mailwire.cli\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in set(sys.modules) - before})))"
    )
    # -I and -S: no environment, no user's and no site's packages. What is not found then, is not there.
    result = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True)

    assert set(json.loads(result.stdout)) - {"mailwire"} <= set(sys.stdlib_module_names)
