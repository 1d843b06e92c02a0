"""The blocks of code in the pages of the documentation and in the docstrings of the library, in whatever language."""

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Final

__all__ = ["BLOCKS", "PAGES", "ROOT", "Block", "compiled"]

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
SOURCES: Final = tuple(sorted((ROOT / "src").rglob("*.py")))

_FENCED: Final = re.compile(r"^( *)(`{3,}|~{3,})([^\n]*)\n(.*?)^\1\2$", re.DOTALL | re.MULTILINE)
_LITERAL: Final = re.compile(r"^(?:.*::)\n\n((?:(?: .*)?\n)*(?: .*)(?:\n|\Z))", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """place: the file that it is in, from the root of the project.
    number: which one of that file it is.
    language: as the fence says; of a docstring's, "python" where it is that, and else "text".
    """

    place: str
    number: int
    language: str
    text: str

    @property
    def head(self) -> str:
        """The first line, or of a directive what it is told."""
        return self.text.splitlines()[0] if self.text else ""

    @property
    def is_directive(self) -> bool:
        """Whether it is no code, but told to what makes the site."""
        return self.language.startswith("{")

    @property
    def is_of_docstring(self) -> bool:
        return self.place.endswith(".py")

    def __str__(self) -> str:
        return f"{self.place}-{self.number}"


def compiled(text: str) -> CodeType:
    """Compile code that may await at its top level."""
    code: CodeType = compile(text, "<example>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    return code


def of_page(page: Path) -> Iterator[Block]:
    text = page.read_text("utf-8")
    place = page.relative_to(ROOT).as_posix()
    for number, found in enumerate(_FENCED.finditer(text)):
        yield Block(place, number, found[3].strip(), found[4])
    # What begins with a fence and was not found here would be seen by nobody.
    assert not re.search(r"^\s*(```|~~~)", _FENCED.sub("", text), re.MULTILINE), f"{place}: a fence without an end"


def of_module(path: Path) -> Iterator[Block]:
    """Yield the literal blocks of the docstrings in a module: of itself, of classes, functions and attributes."""
    source = path.read_text("utf-8")
    if "::" not in source and ">>> " not in source:
        return  # most have none, and to parse them all takes a second
    texts = [
        inspect.cleandoc(node.value.value)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    ]
    place = path.relative_to(ROOT).as_posix()
    number = 0
    for text in texts:
        for found in _LITERAL.finditer(text + "\n"):
            code = inspect.cleandoc("\n" + found[1]) + "\n"
            yield Block(place, number, _language(code), code)
            number += 1
        assert text.count("::\n") == len(_LITERAL.findall(text + "\n")), f"{place}: `::` with nothing behind it"
        assert ">>> " not in text, f"{place}: an example that nobody runs; write it as a literal block"


def _language(code: str) -> str:
    try:
        compiled(code)
    except SyntaxError:
        return "text"
    return "python"


BLOCKS: Final = (
    *(block for page in PAGES for block in of_page(page)),
    *(block for path in SOURCES for block in of_module(path)),
)
