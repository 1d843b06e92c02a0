"""Write the pages of the reference about what no front offers: docs/reference/beneath.

    python docs/beneath.py

What a front offers (`mailwire`, `mailwire.smtp` and so on) is put on the other pages by hand, where it belongs. Every
other name in `__all__` of a public module is listed here, module by module.
"""

import ast
import enum
import importlib
import importlib.util
import inspect
import pkgutil
import re
from collections import defaultdict
from functools import cache
from itertools import groupby
from pathlib import Path

import mailwire

REFERENCE = Path(__file__).parent / "reference"
ENTRY = re.compile(r"^\.\. auto(?:class|exception|function|data):: (mailwire[\w.]*)\.(\w+)$", re.MULTILINE)
TITLES = {
    "aio": "Beneath the clients",
    "cli": "Beneath the command line",
    "maildrop": "Beneath leaving mail",
    "message": "Beneath messages",
    "pop3": "Beneath the POP3 machine",
    "sasl": "Beneath SASL",
    "smtp": "Beneath the SMTP machine",
    "testing": "Beneath the loopback server",
}

Place = tuple[str, str]  # a module and a name in it


def public_modules() -> list[str]:
    """Return the names of all modules of mailwire that are public."""
    found = [name for _, name, _ in pkgutil.walk_packages(mailwire.__path__, "mailwire.")]
    return ["mailwire", *sorted(name for name in found if "._" not in name)]


@cache
def imports_of(name: str) -> dict[str, Place]:
    """Return where the names come from that a module imports from another one of ours."""
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError:
        return {}  # the page that names it is older, and about to be written anew
    imported: dict[str, Place] = {}
    # The front's imports are there for type checkers: it makes its names when they are asked for.
    for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level and node.module:
            source = importlib.util.resolve_name("." * node.level + node.module, str(module.__package__))
            imported.update({alias.asname or alias.name: (source, alias.name) for alias in node.names})
    return imported


def origin(place: Place) -> Place:
    """Return where a name was made, whichever front offers it."""
    module, name = place
    source = imports_of(module).get(name)
    return place if source is None else origin(source)


@cache
def offers() -> dict[Place, set[Place]]:
    """Return the places from which each public name may be imported with the fewest words, by where it was made."""
    found: dict[Place, set[Place]] = defaultdict(set)
    for module in public_modules():
        for name in importlib.import_module(module).__all__:
            found[origin((module, name))].add((module, name))
    for made, places in found.items():
        fewest = min(module.count(".") for module, _ in places)
        found[made] = {place for place in places if place[0].count(".") == fewest}
    return dict(found)


@cache
def entries() -> dict[Place, list[tuple[str, Place]]]:
    """Return the entries of the reference with their pages, by where that of which they are was made."""
    found: dict[Place, list[tuple[str, Place]]] = defaultdict(list)
    for page in sorted(REFERENCE.rglob("*.md")):
        for module, name in ENTRY.findall(page.read_text("utf-8")):
            found[origin((module, name))].append((page.relative_to(REFERENCE).as_posix(), (module, name)))
    return dict(found)


def directive(place: Place) -> str:
    """Return how the entry of a name is written."""
    module, name = place
    thing = getattr(importlib.import_module(module), name)
    if inspect.isclass(thing):
        kind = "exception" if issubclass(thing, BaseException) else "class"
    else:
        kind = "function" if inspect.isfunction(inspect.unwrap(thing)) else "data"  # a cache may be around it
    text = f".. auto{kind}:: {module}.{name}"
    if inspect.isclass(thing) and issubclass(thing, enum.Enum):
        text += "\n   :members:\n   :undoc-members:"
    # What is too long to be shown says no more than its type does.
    return text + "\n   :no-value:" if kind == "data" and len(repr(thing)) > 60 else text


def pages() -> dict[str, str]:
    """Return the text of each page by the name of its package."""
    written = {made for made, found in entries().items() if any(not page.startswith("beneath/") for page, _ in found)}
    # What a front offers belongs on a page that is written by hand. mailwire.aio and mailwire.cli are no fronts.
    beneath = sorted(
        min(places)
        for made, places in offers().items()
        if made not in written and (min(places)[0].count(".") > 1 or min(places)[0] in ("mailwire.aio", "mailwire.cli"))
    )
    texts = {}
    for package, of_package in groupby(beneath, key=lambda place: place[0].split(".")[1]):
        texts[package] = (
            f"# {TITLES[package]}\n\nThe parts of `mailwire.{package}` that its front does not offer, module by module."
            " They are for who reads or changes the\nsource: [no release promises them](../../changelog.md).\n"
        )
        for module, of_module in groupby(of_package, key=lambda place: place[0]):
            listed = "\n\n".join(map(directive, of_module))
            texts[package] += f"\n## `{module}`\n\n```{{eval-rst}}\n{listed}\n```\n"
    return texts


if __name__ == "__main__":
    for package, text in pages().items():
        (REFERENCE / "beneath" / f"{package}.md").write_text(text, "utf-8")
