"""Work counted exactly: mailwire's own modules, loaded once more, with a counter at all that takes more than a step.

Their source is rewritten before it is compiled. What is counted, inside functions:

- a call, and a turn of a loop or a comprehension: 1;
- octets, characters and items that are copied: by slices, by adding, multiplying and formatting, by `join`, by
  `bytes()`, `list()` and their like, and by the stars in a list;
- those that are looked at: by methods of octets and texts, by patterns, by `in` and by comparisons, alone or in a
  chain, and by whatever is not mailwire's and is given octets; and on the way to a place in the middle of a deque;
- those that are moved: where something goes from or into the middle of a list or a bytearray.

Where it is not known how far something has looked, it counts as having looked to the end. A slice of a memoryview
copies nothing, and what goes from a bytearray's beginning moves nothing.
"""

import ast
import operator
import re
import sys
from array import array
from collections import deque
from collections.abc import Callable, Mapping, Sequence, ValuesView
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import Any, Final, Self, TypeVar, cast

__all__ = ["Counted", "Work", "count", "instrumented"]

_Node = TypeVar("_Node", bound=ast.AST)

_TEXT: Final = (bytes, bytearray, str)
_COPIED: Final = (*_TEXT, list, tuple, array)
# What has all behind a place move, where its size changes there.
_MOVED: Final = (list, bytearray, array)
_MAKERS: Final = (bytes, bytearray, list, tuple, set, frozenset, dict, deque, array)
_CONSUMERS: Final = (sum, min, max, sorted, any, all)
# What is given octets and does not look at them.
_FREE: Final = (len, isinstance, issubclass, type, id, bool, getattr, hasattr, memoryview, iter, next, callable)
# Their frame is asked for by themselves.
_LEFT_ALONE: Final = frozenset({"super", "locals", "vars", "globals"})
_WORK: Final = "__work__"


class Work:
    """The counter, and what the rewritten code calls in the place of what it says."""

    def __init__(self) -> None:
        self.steps = 0

    def step(self) -> bool:
        """A turn of a loop."""
        self.steps += 1
        return True

    def call(self, function: Any, /, *args: Any, **settings: Any) -> Any:
        """A call."""
        self.steps += 1 + len(args)
        result = function(*args, **settings)
        self.steps += _cost(function, args, result)
        return result

    def read(self, value: Any, part: slice) -> Any:
        """A slice that is read."""
        return self.made(value[part])

    def made(self, result: Any) -> Any:
        """Whatever came of copying."""
        self.steps += _size(result)
        return result

    def add(self, left: Any, right: Any) -> Any:
        """Two parts that become one."""
        return self.made(left + right)

    def multiply(self, left: Any, right: Any) -> Any:
        """Something several times."""
        return self.made(left * right)

    def format(self, left: Any, right: Any) -> Any:
        """A text that is filled in."""
        return self.made(left % right)

    def add_in_place(self, left: Any, right: Any) -> Any:
        """A part that is added: to a list and a bytearray behind what they have, to all else by making it anew."""
        result = operator.iadd(left, right)
        self.steps += _size(right) if isinstance(left, (list, bytearray, deque, array)) else _size(result)
        return result

    def item(self, value: Any, key: Any) -> Any:
        """An item that is read: a deque is gone into from its nearer end."""
        self.steps += _way_into(value, key) if isinstance(value, deque) else 0
        return value[key]

    def store(self, value: Any, key: Any) -> Any:
        """An item or a slice that is about to be stored into. Return its key.

        Where a slice has another size than it had, all behind it moves. So that counts as moved, wherever it may.
        """
        if isinstance(key, slice):
            self.steps += len(value) - key.indices(len(value))[0] if isinstance(value, _MOVED) else 0
        elif isinstance(value, deque):
            self.steps += _way_into(value, key)
        return key

    def delete(self, value: Any, key: Any) -> Any:
        """An item or a slice that is about to be deleted. Return its key."""
        if isinstance(value, deque):
            self.steps += _way_into(value, key)
        elif isinstance(value, _MOVED):
            size = len(value)
            part = key if isinstance(key, slice) else slice(key, key + 1 or None)
            start, stop, _ = part.indices(size)
            begins_anew = isinstance(value, bytearray) and start == 0
            self.steps += stop - start if begins_anew else size - start
        return key

    def compare(self, name: str, left: Any, right: Any) -> Any:
        """A comparison alone, or a look for something."""
        return _COMPARISONS[name](left, self.look(name, left, right))

    def look(self, name: str, left: Any, right: Any) -> Any:
        """The same, about to be done. Return what is on its right, for the next in a chain."""
        if name in ("In", "NotIn"):
            self.steps += _way_to(left, right)
        elif isinstance(left, _COPIED) and isinstance(right, _COPIED):
            # What has another size is not equal without a look.
            self.steps += min(len(left), len(right)) if name not in ("Eq", "NotEq") or len(left) == len(right) else 0
        return right


def count(function: Callable[[], object], work: Work) -> int:
    """Return how many steps `function` takes, of code that counts by `work`."""
    before = work.steps
    function()
    return work.steps - before


def instrumented(source: str, name: str) -> CodeType:
    """Return the code of `source` with its counters. Where it is run, `__work__` must be a Work."""
    tree = ast.fix_missing_locations(_Counters().visit(ast.parse(source)))
    return compile(tree, f"<counted {name}>", "exec", dont_inherit=True)


class Counted:
    """A package loaded once more, with counters, and `others`, which use it, as they are; while it is entered, they are
    what is imported by these names.

    changes: what stands in the source of a module, once, and what is to stand there.
    work: the counter.
    """

    def __init__(self, package: str, *others: str, changes: Mapping[str, tuple[str, str]] | None = None) -> None:
        self.work = Work()
        self._others = others
        self._package = package
        self._finder = _Finder(package, self.work, changes or {})
        self._loaded: dict[str, ModuleType] = {}
        self._before: dict[str, ModuleType] = {}

    def __enter__(self) -> Self:
        self._before = self._replaced_by(self._loaded)
        sys.meta_path.insert(0, self._finder)
        return self

    def __exit__(self, *_: object) -> None:
        sys.meta_path.remove(self._finder)
        self._loaded = self._replaced_by(self._before)

    def _replaced_by(self, modules: Mapping[str, ModuleType]) -> dict[str, ModuleType]:
        present = {name: module for name, module in sys.modules.items() if self._is_ours(name)}
        for name in present:
            del sys.modules[name]
        sys.modules.update(modules)
        return present

    def _is_ours(self, name: str) -> bool:
        return name in self._others or name.partition(".")[0] == self._package


# What things cost


_COMPARISONS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "In": lambda item, container: item in container,
    "NotIn": lambda item, container: item not in container,
    "Eq": operator.eq,
    "NotEq": operator.ne,
    "Lt": operator.lt,
    "LtE": operator.le,
    "Gt": operator.gt,
    "GtE": operator.ge,
}


def _way_to(item: Any, container: Any) -> int:
    if isinstance(container, _TEXT):
        sought: Any = bytes([item]) if isinstance(item, int) else item
        place = container.find(sought)
        return len(container) if place < 0 else place + len(sought)
    return len(container) if isinstance(container, (list, tuple, deque, array, ValuesView)) else 0


def _way_into(items: "deque[Any]", place: int) -> int:
    place = place + len(items) if place < 0 else place
    return min(place, len(items) - place)


def _size(thing: object) -> int:
    return len(thing) if isinstance(thing, _COPIED) else 0


def _cost(function: Any, args: tuple[Any, ...], result: Any) -> int:
    owner = getattr(function, "__self__", None)
    if isinstance(owner, _TEXT):
        return _cost_of_text(owner, function.__name__, args, result)
    if isinstance(owner, re.Pattern):
        return _cost_of_pattern(function.__name__, args, result)
    if isinstance(owner, (list, deque, array)):
        return _cost_of_list(owner, function.__name__, args)
    if isinstance(owner, memoryview):
        return _size(result)
    if isinstance(owner, (dict, set, frozenset)) or function in _FREE:
        return 0
    if function in _MAKERS:
        return len(result)
    if function in _CONSUMERS or function in (map, filter):
        return sum(len(each) + sum(map(_size, each)) for each in args if isinstance(each, (list, tuple, deque)))
    if (getattr(function, "__module__", None) or "").partition(".")[0] == "mailwire":
        return 0
    return sum(map(_size, args)) + _size(result)


def _span(text: Any, args: tuple[Any, ...]) -> tuple[int, int]:
    start, stop, _ = (
        slice(*args[1:3] if len(args) > 2 else (*args[1:2], None)).indices(len(text)) if args else (0, 0, 1)
    )
    return start, stop


def _cost_of_text(text: Any, name: str, args: tuple[Any, ...], result: Any) -> int:
    if name in ("find", "index", "rfind", "rindex", "count"):
        start, stop = _span(text, args)
        if name == "count" or result < 0:
            return max(0, stop - start)
        return stop - int(result) if name.startswith("r") else int(result) - start + 1
    if name in ("startswith", "endswith"):
        return sum(map(len, args[0])) if isinstance(args[0], tuple) else len(args[0])
    if name in ("append", "clear", "pop"):
        return 1 if name != "pop" or not args else len(text)
    if name in ("join", "extend"):
        return _size(result) or _size(args[0])
    if result is text:  # it was not copied, and where that is found out depends on the method
        return len(text)
    return len(text) + (_size(result) if isinstance(result, _TEXT) else 0)


def _cost_of_pattern(name: str, args: tuple[Any, ...], result: Any) -> int:
    if name in ("sub", "subn"):
        return len(args[1])
    start, stop = _span(args[0], args)
    return (result.end() if isinstance(result, re.Match) else stop) - start


def _cost_of_list(items: Sequence[Any], name: str, args: tuple[Any, ...]) -> int:
    if name in ("append", "appendleft", "popleft", "clear"):
        return 1
    if name in ("extend", "extendleft", "frombytes", "fromlist"):
        return len(args[0]) if hasattr(args[0], "__len__") else 1
    if name == "pop":
        return len(items) - args[0] if args and args[0] >= 0 else 1
    return len(items)


# Rewriting


class _Finder(MetaPathFinder):
    def __init__(self, package: str, work: Work, changes: Mapping[str, tuple[str, str]]) -> None:
        self._package = package
        self._work = work
        self._changes = changes

    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname.partition(".")[0] != self._package:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = cast(Loader, _CountingLoader(fullname, spec.loader.path, self._work, self._changes))
        return spec


class _CountingLoader(SourceFileLoader):
    def __init__(self, name: str, path: str, work: Work, changes: Mapping[str, tuple[str, str]]) -> None:
        super().__init__(name, path)
        self._work = work
        self._changes = changes

    def get_code(self, fullname: str) -> CodeType:
        source = self.get_data(self.path).decode()
        if fullname in self._changes:
            before, behind = self._changes[fullname]
            assert source.count(before) == 1, f"{fullname} has no such line: {before!r}"
            source = source.replace(before, behind)
        return instrumented(source, fullname)

    def exec_module(self, module: ModuleType) -> None:
        setattr(module, _WORK, self._work)
        super().exec_module(module)


_BINARY: Final[dict[type[ast.operator], str]] = {ast.Add: "add", ast.Mult: "multiply", ast.Mod: "format"}


def _counted(name: str, *args: ast.expr, keywords: Sequence[ast.keyword] = ()) -> ast.Call:
    function = ast.Attribute(ast.Name(_WORK, ast.Load()), name, ast.Load())
    return ast.Call(function, list(args), list(keywords))


class _Counters(ast.NodeTransformer):
    # Puts them in, inside functions: what stands outside is done once.

    _depth = 0
    _names = 0  # of what is kept for a counter

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            self._depth += 1
            node.body = self._all(node.body)
            self._depth -= 1
            return node
        if isinstance(node, ast.ClassDef):
            node.body = self._all(node.body)
            return node
        if not self._depth:
            return self.generic_visit(node) if isinstance(node, (ast.Module, ast.If, ast.Try, ast.With)) else node
        return super().visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        node.value = node.value and self.visit(node.value)
        return node

    def visit_Lambda(self, node: ast.Lambda) -> Any:
        node.body = self.visit(node.body)
        return node

    def visit_Call(self, node: ast.Call) -> Any:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id in _LEFT_ALONE:
            return node
        return _at(node, _counted("call", node.func, *node.args, keywords=node.keywords))

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        self.generic_visit(node)
        if isinstance(node.ctx, ast.Load):
            if isinstance(node.slice, ast.Constant) and node.slice.value == 0:
                return node
            name = "read" if isinstance(node.slice, ast.Slice) else "item"
            return _at(node, _counted(name, node.value, _as_value(node.slice)))
        name = "store" if isinstance(node.ctx, ast.Store) else "delete"
        whole = self._name("whole")
        node.value = _at(node.value, ast.NamedExpr(ast.Name(whole, ast.Store()), node.value))
        node.slice = _at(node.slice, _counted(name, ast.Name(whole, ast.Load()), _as_value(node.slice)))
        return node

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        self.generic_visit(node)
        name = _BINARY.get(type(node.op))
        return node if name is None else _at(node, _counted(name, node.left, node.right))

    def visit_AugAssign(self, node: ast.AugAssign) -> Any:
        node.value = self.visit(node.value)
        target = node.target
        if not isinstance(node.op, ast.Add) or isinstance(target, ast.Subscript):
            return node
        if isinstance(target, ast.Name):
            present: ast.expr = ast.Name(target.id, ast.Load())
        else:
            present = ast.Attribute(target.value, target.attr, ast.Load())
        return _at(node, ast.Assign([target], _counted("add_in_place", present, node.value)))

    def visit_Assign(self, node: ast.Assign) -> Any:
        has_slice = any(isinstance(each, ast.Subscript) and isinstance(each.slice, ast.Slice) for each in node.targets)
        self.generic_visit(node)
        if has_slice:
            node.value = _at(node.value, _counted("made", node.value))
        return node

    def visit_Compare(self, node: ast.Compare) -> Any:
        self.generic_visit(node)
        names = [type(each).__name__ for each in node.ops]
        if len(names) == 1:
            if names[0] not in _COMPARISONS:
                return node
            return _at(node, _counted("compare", ast.Constant(names[0]), node.left, node.comparators[0]))
        # Each value is made once, and only if all before it hold: so the chain stays, and is looked at by the way.
        kept = [self._name("link") for _ in names]
        node.left = ast.NamedExpr(ast.Name(kept[0], ast.Store()), node.left)
        for place, name in enumerate(names):
            value = node.comparators[place]
            if place + 1 < len(names):
                value = ast.NamedExpr(ast.Name(kept[place + 1], ast.Store()), value)
            node.comparators[place] = _counted("look", ast.Constant(name), ast.Name(kept[place], ast.Load()), value)
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> Any:
        for each in node.values:
            if isinstance(each, ast.FormattedValue):
                each.value = self.visit(each.value)
        return _at(node, _counted("made", node))

    def visit_List(self, node: ast.List) -> Any:
        return self._built(node)

    def visit_Tuple(self, node: ast.Tuple) -> Any:
        return self._built(node)

    def visit_For(self, node: ast.For) -> Any:
        return self._loop(node)

    def visit_AsyncFor(self, node: ast.AsyncFor) -> Any:
        return self._loop(node)

    def visit_While(self, node: ast.While) -> Any:
        return self._loop(node)

    def visit_comprehension(self, node: ast.comprehension) -> Any:
        self.generic_visit(node)
        node.ifs.insert(0, _counted("step"))
        return node

    def _name(self, what: str) -> str:
        self._names += 1
        return f"_{what}_{self._names}"

    def _all(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        visited = [self.visit(each) for each in statements]
        return [each for part in visited for each in (part if isinstance(part, list) else [part])]

    def _loop(self, node: Any) -> Any:
        self.generic_visit(node)
        node.body.insert(0, _at(node.body[0], ast.Expr(_counted("step"))))
        return node

    def _built(self, node: ast.List | ast.Tuple) -> Any:
        self.generic_visit(node)
        has_parts = any(isinstance(each, ast.Starred) for each in node.elts)
        return _at(node, _counted("made", node)) if has_parts and isinstance(node.ctx, ast.Load) else node


def _at(place: ast.AST, node: _Node) -> _Node:
    return ast.copy_location(node, place)


def _as_value(part: ast.expr) -> ast.expr:
    if not isinstance(part, ast.Slice):
        return part
    bounds = [bound or ast.Constant(None) for bound in (part.lower, part.upper, part.step)]
    return ast.Call(ast.Name("slice", ast.Load()), bounds, [])
