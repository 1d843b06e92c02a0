"""A Sphinx extension: docstrings in the style of the house, and what of them becomes links.

A docstring is plain text: paragraphs, literal blocks, and arguments as `name: text`, each at the beginning of a line or
behind a semicolon, with its further lines indented. What stands between backticks is code; it becomes a link where it
is the name of something that has its place in the reference, as seen from where the docstring stands. So does the name
of an error in a paragraph that begins with "Raises".
"""

import builtins
import inspect
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import PycodeError
from sphinx.pycode import ModuleAnalyzer

REFERENCE = Path(__file__).parent / "reference"
DIRECTIVE = re.compile(r"^\.\. auto(?:class|exception|function|data|type):: (\S+)", re.MULTILINE)
ARGUMENTS = re.compile(r"(\*{0,2}[a-z_][a-z_0-9]*(?:(?: and|,) [a-z_][a-z_0-9]*)*): (.+)")
CODE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
NAME = re.compile(r"\b[A-Z][A-Za-z0-9]+\b")


def look_up(path: str, scope: Any) -> Any:
    """Return what the dotted `path` names in `scope`, a module or a class; None for nothing."""
    thing = scope
    for part in path.split("."):
        try:
            # A module may make its names when they are asked for.
            thing = getattr(thing, part) if inspect.ismodule(thing) else inspect.getattr_static(thing, part)
        except AttributeError:
            return None
    return thing


@cache
def documented() -> dict[int, str]:
    """Return the path at which each thing of the reference is documented, by the identity of the thing."""
    places = {}
    for page in sorted(REFERENCE.glob("**/*.md")):
        for path in DIRECTIVE.findall(page.read_text("utf-8")):
            module, _, name = path.rpartition(".")
            places[id(getattr(import_module(module), name))] = path
    return places


def is_shown(owner: Any, name: str) -> bool:
    """Whether a member of a class has an entry of its own."""
    member = look_up(name, owner)
    return not name.startswith("_") and bool(inspect.getdoc(member)) and callable(getattr(owner, name, None))


def target_of(text: str, scopes: list[Any]) -> str | None:
    """Return the path of the entry for what a docstring calls `text`."""
    path = text.removeprefix("mailwire.").removesuffix("()")
    if not re.fullmatch(r"[A-Za-z_][\w.]*", path):
        return None
    for scope in scopes:
        thing = look_up(path, scope)
        if thing is None:
            continue
        if (place := documented().get(id(thing))) is not None and not isinstance(thing, (int, str)):
            return place
        owner_path, _, name = path.rpartition(".")
        owner = look_up(owner_path, scope) if owner_path else scope
        if inspect.isclass(owner) and (place := documented().get(id(owner))) is not None and is_shown(owner, name):
            return f"{place}.{name}"
    return None


def scopes_of(thing: Any, name: str) -> list[Any]:
    """Return where the words of a docstring are looked up, the nearest first."""
    scopes: list[Any] = []
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            module = import_module(".".join(parts[:length]))
        except ImportError:
            continue
        for end in range(length + 1, len(parts) + 1):
            owner = look_up(".".join(parts[length:end]), module)
            if inspect.isclass(owner):
                scopes.insert(0, owner)
        scopes.append(module)
        break
    for owner in [thing, *scopes]:
        home = sys.modules.get(getattr(owner, "__module__", None) or "")
        if isinstance(home, ModuleType) and home not in scopes:
            scopes.append(home)
    return [*scopes, import_module("mailwire"), import_module("mailwire.errors")]


def with_links(line: str, scopes: list[Any], *, errors: bool) -> str:
    """Return `line` with its code as code, and as links."""

    def linked(found: re.Match[str]) -> str:
        text = found[1]
        target = target_of(text, scopes)
        return f"``{text}``" if target is None else f":py:obj:`{text} <{target}>`"

    def linked_error(found: re.Match[str]) -> str:
        target = target_of(found[0], scopes)
        return found[0] if target is None else f":py:obj:`{found[0]} <{target}>`"

    pieces = CODE.split(line)
    plain = [re.sub(r"([*|]|_\b)", r"\\\1", piece) for piece in pieces[::2]]
    if errors:
        plain = [NAME.sub(linked_error, piece) for piece in plain]
    code = [CODE.sub(linked, f"`{piece}`") for piece in pieces[1::2]]
    return "".join(text for pair in zip(plain, [*code, ""], strict=True) for text in pair)


def arguments_of(thing: Any) -> set[str]:
    """Return the names of what a callable takes."""
    try:
        return set(inspect.signature(thing).parameters)
    except (TypeError, ValueError):
        return set()


def apart(lines: list[str], arguments: set[str]) -> Iterator[str]:
    """Yield the lines, with each of the `arguments` at the beginning of one."""
    for line in lines:
        told, *others = re.split(r"; ([a-z_][a-z_0-9]*)(?=: )", line)
        if ARGUMENTS.fullmatch(line) and arguments.issuperset(others[::2]):
            yield told
            yield from (name + text for name, text in zip(others[::2], others[1::2], strict=True))
        else:
            yield line


def converted(lines: list[str], arguments: set[str], scopes: list[Any], *, is_class: bool) -> Iterator[str]:
    """Yield the docstring in reStructuredText. That of a class may tell of its attributes as of arguments."""
    literal = errors = False
    names: list[str] = []  # the arguments that are being told of
    told: list[str] = []
    for line in [*apart(lines, arguments), ""]:
        indented = line.startswith(" ")
        if names and indented:
            told.append(with_links(line, scopes, errors=False))
            continue
        for name in names:
            yield f":{'param' if name in arguments else 'ivar'} {name}: {told[0]}"
            yield from told[1:]
        found = None if literal and indented else ARGUMENTS.fullmatch(line)
        said = re.split(r" and |, ", found[1]) if found else []
        if found and (is_class or arguments.issuperset(said)):
            if not names:
                yield ""
            names, told = said, [with_links(found[2], scopes, errors=False)]
            continue
        if names and line:
            yield ""
        names = []
        literal = literal and (indented or not line)
        errors = bool(line) and (errors or line.startswith(("Raises ", "raises ")))
        yield line if literal else with_links(line, scopes, errors=errors)
        literal = literal or line.endswith("::")


def written_at(name: str, thing: Any) -> list[str]:
    """Return what stands beneath a constant in the module that makes it, which its front does not show."""
    for path, module in sorted(sys.modules.items()):
        if path.startswith("mailwire.") and getattr(module, name, None) is thing:
            with suppress(PycodeError):  # a module that is not Python
                if found := ModuleAnalyzer.for_module(path).find_attr_docs().get(("", name)):
                    return found
    return []


def process_docstring(_app: Sphinx, what: str, name: str, thing: Any, _options: Any, lines: list[str]) -> None:
    """Turn a docstring of the house into reStructuredText, in place."""
    if what == "data" and "\n".join(lines).strip() == (inspect.getdoc(type(thing)) or "").strip():
        lines[:] = written_at(name.rpartition(".")[2], thing)  # and not the docstring of its type
    arguments = arguments_of(thing) if what in ("class", "exception", "function", "method") else set()
    lines[:] = converted(lines, arguments, scopes_of(thing, name), is_class=inspect.isclass(thing))


def process_signature(
    _app: Sphinx, _what: str, _name: str, _thing: Any, _options: Any, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Say by its name what a function is that is a default, and leave others open that have no expression: a signature
    that is no Python is taken apart at any comma."""
    if signature is not None:
        signature = re.sub(r"<function ([\w.]+)[^<>]*>", r"\1", signature)
        signature = re.sub(r"= ?<[^<>]*>", "=...", signature)
    return signature, returns


def skip_member(_app: Sphinx, _what: str, _name: str, thing: Any, _skip: bool, _options: Any) -> bool | None:
    """Leave out what every tuple with names says of its fields."""
    return True if type(thing).__name__ == "_tuplegetter" else None


def forgive(_app: Sphinx, _env: Any, node: nodes.Element, content: nodes.TextElement) -> nodes.TextElement | None:
    """Let the names of what has no entry stand as they are: the standard library's, type variables, what is private."""
    target = str(node.get("reftarget", ""))
    if node.get("refdomain") != "py":
        return None
    head, *_, last = target.split(".") * 2
    known = head in sys.stdlib_module_names or hasattr(builtins, head)
    is_private = any(part.startswith("_") for part in target.split("."))
    is_variable = re.fullmatch(r"[A-Z](_co|_contra)?", last) is not None
    # The names in docstrings are looked up before they are made links: those without an entry are beneath the fronts.
    return content if known or is_private or is_variable or node.get("reftype") == "obj" else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect it all."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", process_docstring)
    app.connect("autodoc-process-signature", process_signature)
    app.connect("autodoc-skip-member", skip_member)
    app.connect("missing-reference", forgive)
    return {"parallel_read_safe": True}
