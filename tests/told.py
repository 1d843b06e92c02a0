"""What docs/explanation/reliability.md says was tried, held to by what is tried.

Who knows a figure says the words around it, with {} in its place: `assert_page_says("{} transcripts of SMTP", 64)`.
Where a figure is another by now, the failure has the words as they should be.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["PAGE", "Words", "assert_page_says", "words_in_tests"]

_TESTS: Final = Path(__file__).parent
PAGE: Final = re.sub(r"\s+", " ", (_TESTS.parent / "docs/explanation/reliability.md").read_text("utf-8"))
"""The text of the page, in a line."""

_FIGURE: Final = r"\d+(?:,\d{3})*(?:\.\d+)?"


class Words:
    """Words of the page, with {} for each figure in them."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._pattern = re.compile(_FIGURE.join(map(re.escape, text.split("{}"))))

    def places(self, page: str = PAGE) -> list[slice]:
        """Return where the page has them, whatever the figures."""
        return [slice(*found.span()) for found in self._pattern.finditer(page)]

    def filled(self, *figures: float) -> str:
        """Return them with these figures."""
        assert self.text.count("{}") == len(figures), f"{figures} do not fill {self.text!r}"
        return self.text.format(*(f"{figure:,}" for figure in figures))


def assert_page_says(text: str, *figures: float, page: str = PAGE) -> None:
    """Assert that the page has these words once, with these figures."""
    words = Words(text)
    expected, found = words.filled(*figures), [page[place] for place in words.places(page)]
    assert found == [expected], f"docs/explanation/reliability.md has to say {expected!r}, and says {found}"


def words_in_tests() -> Iterator[Words]:
    """Yield all that tests assert to be told, as it stands in their source."""
    for path in sorted(_TESTS.rglob("*.py")):
        source = path.read_text("utf-8")
        for node in ast.walk(ast.parse(source)) if "assert_page_says(" in source else ():
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "assert_page_says":
                text = node.args[0]
                assert isinstance(text, ast.Constant), f"the words are to stand in {path}:{node.lineno}"
                yield Words(str(text.value))
