"""Every public name has its place on exactly one page of the reference."""

import ast
import importlib
import inspect
import re
import runpy
from itertools import pairwise
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"

Place = tuple[str, str]  # a module and a name in it

SCRIPT = runpy.run_path(str(DOCS / "beneath.py"))
OFFERS: dict[Place, set[Place]] = SCRIPT["offers"]()
ENTRIES: dict[Place, list[tuple[str, Place]]] = SCRIPT["entries"]()


def test_there_are_names_and_entries() -> None:
    assert OFFERS["mailwire.smtp.commands", "Ehlo"] == {("mailwire.smtp", "Ehlo")}
    assert ENTRIES["mailwire.aio.smtp", "SMTPClient"] == [("clients.md", ("mailwire", "SMTPClient"))]


def test_every_public_name_has_an_entry_in_the_reference() -> None:
    missing = [min(places) for made, places in OFFERS.items() if made not in ENTRIES]
    fronts = [SCRIPT["directive"](place) for place in missing if place[0].count(".") < 2]
    assert not missing, f"run python docs/beneath.py; and add to pages of docs/reference: {fronts}"


def test_the_reference_has_no_entry_for_what_is_not_public() -> None:
    stale = [entry for made, found in ENTRIES.items() if made not in OFFERS for entry in found]
    assert not stale, "in no __all__ of a public module: run python docs/beneath.py, and take the others out by hand"


def test_a_page_that_names_a_module_which_is_gone_can_be_written_anew() -> None:
    gone = ("mailwire.smtp.gone", "Gone")
    assert SCRIPT["origin"](gone) == gone
    assert gone not in OFFERS


def test_nothing_has_two_entries_in_the_reference() -> None:
    assert not [found for found in ENTRIES.values() if len(found) > 1], "run python docs/beneath.py"


def test_the_reference_names_things_by_the_front_that_offers_them() -> None:
    for made, places in OFFERS.items():
        for page, place in ENTRIES[made]:
            assert place in places, f"{page}: expected one of {sorted(places)}, or run python docs/beneath.py"


def test_every_public_name_says_what_it_is() -> None:
    silent = [made for made in OFFERS if not says_what_it_is(*made)]
    assert not silent


def says_what_it_is(module_name: str, name: str) -> bool:
    module = importlib.import_module(module_name)
    thing = getattr(module, name)
    if inspect.isclass(thing) or inspect.isroutine(inspect.unwrap(thing)):
        return bool(thing.__doc__)
    # What is no class and no function has its docstring behind it, in the source.
    body = ast.parse(Path(str(module.__file__)).read_text("utf-8")).body
    for statement, following in pairwise(body):
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
        if isinstance(statement, ast.FunctionDef) and statement.name == name:  # a fixture of pytest
            return bool(ast.get_docstring(statement))
    return False


def test_every_page_of_the_documentation_is_in_a_table_of_contents() -> None:
    listed = {DOCS / "index.md"}
    for page in DOCS.rglob("*.md"):
        for tree in re.findall(r"^```\{toctree\}\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE):
            names = [line for line in tree.splitlines() if line and not line.startswith(":")]
            listed |= {(page.parent / f"{name}.md").resolve() for name in names}
    assert set(DOCS.rglob("*.md")) == listed
