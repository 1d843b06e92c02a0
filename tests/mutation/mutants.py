"""Mutants, as mutmut makes them: all in one file with the code they were made of; one comes to life by name."""

import ast
import difflib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.mutation.bare import bared

__all__ = ["Mutant", "plant"]

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_MARK = "__mutmut_"
_IMPOSSIBLE = re.compile(r"-\s*raise AssertionError\(")  # what cannot be reached by construction
_ENCODING = re.compile(r"'(?:ASCII|UTF-8|UTF-8-SIG|LATIN-1)'")


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one function. `function` is how the code of that knows itself, `name` how the mutant does.

    path: where the code is; lines: which of the original's lines were changed. Who does not run through one of these,
    cannot see a difference.
    """

    module: str
    function: str
    name: str
    change: str
    path: str
    lines: range

    def writes(self, part: str) -> bool:
        """Whether `part` is in what it has written, behind the name of the function and before a line end:
        `__init__: self._said = None`; or in the same with what was there before: `__init__: self._said = b'' => …`."""
        name = self.function.rpartition(".")[2].rpartition("ǁ")[2].removeprefix("x_")
        before, after = (
            " ".join(line[1:].strip() for line in self.change.split("\n") if line.startswith(sign)) for sign in "-+"
        )
        return part in f"{name}: {after}\n" or part in f"{name}: {before} => {after}\n"


def plant(source: Path, modules: list[str], ground: Path) -> list[Mutant]:
    """Copy `source` to `ground`, with mutants in the `modules` (`smtp/paths`), and return these."""
    from mutmut.mutation.file_mutation import mutate_file_contents  # the suite does without: it plants none

    shutil.rmtree(ground, ignore_errors=True)
    shutil.copytree(source, ground, ignore=shutil.ignore_patterns("__pycache__"))
    mutants = []
    for module in modules:
        path = ground / "mailwire" / f"{module}.py"
        mutated = mutate_file_contents(str(path), bared(path.read_text()))
        path.write_text(mutated.code)
        functions = _functions(mutated.code)
        for name in mutated.mutant_names:
            function = name.partition(_MARK)[0]
            dotted = f"mailwire.{module.replace('/', '.')}".removesuffix(".__init__")
            before, after = functions[f"{function}{_MARK}orig"], functions[name]
            if _is_declared_alone(before):
                continue
            change = _change(_text(before), _text(after))
            if _says_the_same(change) or _IMPOSSIBLE.match(change):
                continue
            lines = _changed_lines(before, after)
            mutants.append(Mutant(module, f"{dotted}.{function}", f"{dotted}.{name}", change, str(path), lines))
    return mutants


def _is_declared_alone(function: _Function) -> bool:
    # What a protocol wants its classes to have: no code of its own is run.
    return all(isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant) for part in function.body)


def _functions(code: str) -> dict[str, _Function]:
    functions = (node for node in ast.walk(ast.parse(code)) if isinstance(node, _Function))
    return {node.name: node for node in functions if _MARK in node.name}


def _text(function: _Function) -> str:
    return ast.unparse(function).replace(function.name, "itself", 1)


def _change(before: str, after: str) -> str:
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm=""))[2:]
    return "\n".join(line for line in lines if not line.startswith("@@"))


def _says_the_same(change: str) -> bool:
    # The name of an encoding in capitals names the same encoding.
    before, _, after = change.partition("\n+")
    return before[1:] == _ENCODING.sub(lambda found: found[0].lower(), after) and before[1:] != after


def _changed_lines(before: ast.AST, after: ast.AST) -> range:
    """Return the lines of the smallest part of a function that holds all that differs: a statement, or its head."""
    parts = [(name, part) for name, part in ast.iter_fields(before) if _is_block(part)]
    if _head(before) != _head(after):
        lines = _lines(before)
        if isinstance(before, ast.stmt) and parts and _MARK not in getattr(before, "name", ""):
            # Of an `if`, a loop, a `with`: what is there before its first block. The head of the function itself is run
            # through by nobody who calls it.
            return range(lines.start, max(lines.start + 1, _lines(parts[0][1][0]).start))
        return lines
    changed = [(part, getattr(after, name)) for name, part in parts if _dump(part) != _dump(getattr(after, name))]
    if len(changed) == 1 and len(changed[0][0]) == len(changed[0][1]):
        pairs = [(old, new) for old, new in zip(*changed[0], strict=True) if _dump([old]) != _dump([new])]
        if len(pairs) == 1:
            return _changed_lines(*pairs[0])
    return _lines(before)


def _is_block(part: object) -> bool:
    blocks = (ast.stmt, ast.excepthandler, ast.match_case)
    return isinstance(part, list) and bool(part) and all(isinstance(each, blocks) for each in part)


def _dump(part: list[ast.AST]) -> str:
    return "\n".join(map(ast.dump, part))


def _head(node: ast.AST) -> list[str]:
    # All of it but its blocks, and but the name by which a mutant differs in any case.
    fields = [(name, part) for name, part in ast.iter_fields(node) if name != "name" and not _is_block(part)]
    return [f"{name}: {ast.dump(part) if isinstance(part, ast.AST) else _shown(part)}" for name, part in fields]


def _shown(part: object) -> str:
    return _dump(part) if isinstance(part, list) and all(isinstance(each, ast.AST) for each in part) else repr(part)


def _lines(node: ast.AST) -> range:
    first, last = (node.pattern, node.body[-1]) if isinstance(node, ast.match_case) else (node, node)
    return range(first.lineno, (last.end_lineno or last.lineno) + 1)  # type: ignore[attr-defined]
