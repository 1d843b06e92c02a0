"""Regular expressions: none has a repetition that can be divided in many ways, so that none tries for ever.

An engine that backtracks, as Python's does, takes exponential time where one repetition stands within another and the
text can be given to either; and quadratic time where two that have a character in common follow each other. The shapes
are looked at here, not the clock.
"""

import ast
import importlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import mailwire
from mailwire.smtp.group_kind import _DONE, DATA, VERDICT, expected, expected_in_row
from tests.test_exports import MODULES

PACKAGE: Final = Path(mailwire.__file__).parent
# What is more often than that counts as often.
OFTEN: Final = 64
# Those that are made of others, as they may be made.
MADE: Final[dict[tuple[str, str], bytes | str]] = {
    ("smtp/group_kind.py", "b'(?:%b){%d}+%b' % (_DONE, count - 1, last) if count > 1 else last"): (
        b"(?:%b){%d}+%b" % (_DONE, 100, _DONE)
    ),
    ("smtp/group_kind.py", "b'(%b)(%b)' % (older.pattern, newer.pattern)"): (
        expected_in_row(expected(VERDICT, 1), expected(DATA, 100)).pattern
    ),
    ("testing/smtp_extensions.py", "value"): r"[0-9]{1,20}",  # and the others are its module's own
}
_PARSER: Any = importlib.import_module("re._parser")
_COMPILER: Any = importlib.import_module("re._compiler")
# What matches one character.
SINGLE: Final = ("LITERAL", "NOT_LITERAL", "IN", "ANY")

Item = tuple[Any, Any]


def patterns() -> dict[tuple[str, str | bytes], re.Pattern[Any]]:
    """Return every regular expression of the library, by the module and its text."""
    found: dict[tuple[str, str | bytes], re.Pattern[Any]] = {}
    private = [f"mailwire._wire.{path.stem}" for path in (PACKAGE / "_wire").glob("[!_]*.py")]
    for name in [*MODULES, *private]:
        module = importlib.import_module(name)
        for pattern in held(vars(module).values(), name):
            found[name, pattern.pattern] = pattern
        found |= {(name, pattern.pattern): pattern for pattern in in_calls(Path(str(module.__file__)))}
    return found


def held(values: Iterable[Any], module: str) -> Iterator[re.Pattern[Any]]:
    for value in values:
        if isinstance(value, re.Pattern):
            yield value
        elif isinstance(value, tuple | list | frozenset):
            yield from held(value, module)
        elif isinstance(value, dict) and "__builtins__" not in value:
            yield from held([*value, *value.values()], module)
        elif isinstance(value, type) and value.__module__ == module:
            yield from held(vars(value).values(), module)


def in_calls(path: Path) -> Iterator[re.Pattern[Any]]:
    """Yield those that are written where they are used."""
    tree = ast.parse(path.read_text("utf-8"))
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for node in ast.walk(function):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and ast.unparse(node.func.value) == "re"
                and node.func.attr != "escape"
            ):
                where = path.relative_to(PACKAGE).as_posix(), ast.unparse(node.args[0])
                if where in MADE:
                    yield re.compile(MADE[where])
                    continue
                assert isinstance(node.args[0], ast.Constant), f"{where[0]}: what does {where[1]} match?"
                text: Any = node.args[0].value
                yield re.compile(text)


class Shape:
    """The parts of one expression, and what characters they match."""

    def __init__(self, pattern: re.Pattern[Any]) -> None:
        self.is_bytes = isinstance(pattern.pattern, bytes)
        self.flags = pattern.flags
        self.tree = _PARSER.parse(pattern.pattern, pattern.flags)

    def one(self, item: Item) -> frozenset[int]:
        """Return which characters an item that matches one character does match."""
        alone = _COMPILER.compile(_PARSER.SubPattern(self.tree.state, [item]), self.flags)
        numbers = range(256)
        if self.is_bytes:
            return frozenset(number for number in numbers if alone.fullmatch(bytes([number])))
        return frozenset(number for number in [*numbers, 0x3B1, 0x2028, 0x1F600] if alone.fullmatch(chr(number)))

    def characters(self, items: Iterable[Item]) -> frozenset[int]:
        """Return all characters that may be in a match of these items."""
        found: frozenset[int] = frozenset()
        for item in items:
            name = str(item[0])
            if name in SINGLE:
                found |= self.one(item)
            for inner in parts(item):
                found |= self.characters(inner)
        return found

    def first(self, items: Iterable[Item]) -> frozenset[int]:
        """Return the characters that a match of these items may begin with."""
        found: frozenset[int] = frozenset()
        for item in items:
            name = str(item[0])
            if name in SINGLE:
                found |= self.one(item)
            elif not name.startswith("ASSERT"):
                for inner in parts(item):
                    found |= self.first(inner)
            if not is_nullable(item):
                break
        return found

    def faults(self, items: Any = None) -> Iterator[str]:
        items = list(self.tree if items is None else items)
        for number, item in enumerate(items):
            if is_often(item) and is_tried_again(item):
                (body,) = parts(item)
                yield from self.nested(list(body))
                shared = self.characters([item]) & self.first(up_to_repetition(items[number + 1 :]))
                if shared:
                    yield f"two repetitions that follow each other have {sorted(map(chr, shared))[:5]} in common"
            for inner in parts(item):
                yield from self.faults(inner)

    def nested(self, body: list[Item]) -> Iterator[str]:
        # What is repeated has repetitions in it: something must say where the next turn begins.
        if len(body) == 1 and str(body[0][0]) in ("BRANCH", "SUBPATTERN"):
            ways = parts(body[0])
            for at, way in enumerate(ways):
                yield from self.nested(list(way))
                if any(not self.differ(way, other) for other in ways[at + 1 :]):
                    yield "two ways of a repetition begin in the same way"
            return
        variable = [item for item in flat(body) if is_variable(item) and is_tried_again(item)]
        taken = self.characters(variable)
        marks = [item for item in body if str(item[0]) in SINGLE]
        if variable and not any(not self.one(mark) & taken for mark in marks):
            yield "a repetition stands in another, and nothing says where the next turn begins"
        if all(map(is_nullable, body)):
            yield "what is repeated may be nothing"

    def differ(self, way: Iterable[Item], other: Iterable[Item]) -> bool:
        # One character of the text, not further than both are fixed, says which of the two it is.
        for one, another in zip(way, other, strict=False):
            if not self.first([one]) & self.first([another]):
                return not is_nullable(one) and not is_nullable(another)
            if str(one[0]) not in SINGLE or str(another[0]) not in SINGLE:
                return False
        return False


def up_to_repetition(items: list[Item]) -> list[Item]:
    """Return the first of the items that are repeated often and can be reached by nothing, or none."""
    for item in items:
        if is_often(item) and is_tried_again(item):
            return [item]
        if not is_nullable(item):
            break
    return []


def parts(item: Item) -> list[Any]:
    """Return what an item is made of."""
    name, value = str(item[0]), item[1]
    if name.endswith("REPEAT"):
        return [value[2]]
    if name == "SUBPATTERN":
        return [value[3]]
    if name == "BRANCH":
        return list(value[1])
    if name in ("ASSERT", "ASSERT_NOT"):
        return [value[1]]
    return [value] if name == "ATOMIC_GROUP" else []


def flat(items: Iterable[Item]) -> Iterator[Item]:
    for item in items:
        if str(item[0]).startswith("ASSERT"):
            continue
        yield item
        for inner in parts(item):
            yield from flat(inner)


def is_tried_again(item: Item) -> bool:
    # What is possessive gives nothing back.
    return str(item[0]) != "POSSESSIVE_REPEAT"


def is_often(item: Item) -> bool:
    return str(item[0]).endswith("REPEAT") and int(item[1][1]) > OFTEN


def is_variable(item: Item) -> bool:
    return str(item[0]).endswith("REPEAT") and item[1][0] != item[1][1]


def is_nullable(item: Item) -> bool:
    name = str(item[0])
    if name.endswith("REPEAT"):
        return item[1][0] == 0 or all(map(is_nullable, item[1][2]))
    if name == "BRANCH":
        return any(all(map(is_nullable, way)) for way in parts(item))
    if name in ("SUBPATTERN", "ATOMIC_GROUP"):
        return all(map(is_nullable, parts(item)[0]))
    return name in ("AT", "ASSERT", "ASSERT_NOT")


def faults(pattern: re.Pattern[Any]) -> list[str]:
    return list(Shape(pattern).faults())


def test_shapes_are_told_apart() -> None:
    for bad in (r"(a+)+\Z", r"(?:ab|[ab])*c", r"(?:\w+\s?)*\Z", r"(?:a*)*", r"\s*,?\s*$", r".*.*=", r"(?:(?:ab)+c?)*x"):
        assert faults(re.compile(bad)), bad
    for good in (
        r"a+b+",
        r"(?:a+,)*\Z",
        r"(?:,a+)*",
        r"\d{1,3}(?:\.\d{1,3}){3}",
        r"[^\n]*\n",
        r"(?:a|b)*c",
        r"x{1,9}y*",
    ):
        assert not faults(re.compile(good)), good


def test_no_pattern_can_be_made_to_try_for_ever() -> None:
    found = patterns()
    assert len(found) > 60
    bad = {f"{module}: {text!r}": told for (module, text), pattern in found.items() if (told := faults(pattern))}
    assert not bad, "\n".join(f"{where}: {'; '.join(told)}" for where, told in bad.items())
