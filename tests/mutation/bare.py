"""Properties and functions that remember what they returned, written so that mutmut finds mutants in them.

mutmut leaves alone what has a decorator, but for methods of classes and static ones. Here `@property def x(self): …`
becomes `def _property_x(self): …` and `x = property(_property_x)`.
"""

import ast
from typing import Final

__all__ = ["bared"]

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_LEFT: Final = {"classmethod", "staticmethod", "overload", "abstractmethod"}  # mutmut's own, and those with nothing in
_LEFT_CLASSES: Final = {"Protocol", "Enum"}  # what is in these, says what they are


def bared(code: str) -> str:
    """Return `code`, that of a module, with its decorated functions as plain ones, each above what its decorators make
    of it."""
    lines = code.splitlines()
    for function in sorted(_decorated(ast.parse(code)), key=lambda function: -function.lineno):
        decorators = [ast.unparse(decorator) for decorator in function.decorator_list]
        kind = _name(function.decorator_list[-1])
        plain = f"_{kind}_{function.name}"
        made = "".join(f"{decorator}(" for decorator in decorators) + plain + ")" * len(decorators)
        assert function.end_lineno
        lines.insert(function.end_lineno, f"{' ' * function.col_offset}{function.name} = {made}")
        head = lines[function.lineno - 1].replace(f"def {function.name}", f"def {plain}", 1)
        lines[function.decorator_list[0].lineno - 1 : function.lineno] = [head]
    return "\n".join(lines) + "\n"


def _decorated(module: ast.Module) -> list[_Function]:
    classes = [part for part in module.body if isinstance(part, ast.ClassDef)]
    blocks = [module.body] + [each.body for each in classes if not _LEFT_CLASSES & {*map(_name, each.bases)}]
    functions = [part for block in blocks for part in block if isinstance(part, _Function)]
    return [each for each in functions if each.decorator_list and not _LEFT & {*map(_name, each.decorator_list)}]


def _name(node: ast.expr) -> str:
    # The last word: lru_cache of functools.lru_cache(16).
    while isinstance(node, (ast.Call, ast.Subscript)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
