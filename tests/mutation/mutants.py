"""Mutants, as mutmut makes them: all in one file with the code they were made of; one comes to life by name."""

import ast
import difflib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from mutmut.mutation.file_mutation import mutate_file_contents

__all__ = ["Mutant", "plant"]

_MARK = "__mutmut_"
_IMPOSSIBLE = re.compile(r"-\s*raise AssertionError\(")  # what cannot be reached by construction
_ENCODING = re.compile(r"'(?:ASCII|UTF-8|LATIN-1)'")


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one function. `function` is how the code of that knows itself, `name` how the mutant does."""

    module: str
    function: str
    name: str
    change: str

    @property
    def line(self) -> str:
        """What it has written."""
        return " ".join(line[1:].strip() for line in self.change.split("\n") if line.startswith("+"))


def plant(source: Path, modules: list[str], ground: Path) -> list[Mutant]:
    """Copy `source` to `ground`, with mutants in the `modules` (`smtp/paths`), and return these."""
    shutil.rmtree(ground, ignore_errors=True)
    shutil.copytree(source, ground, ignore=shutil.ignore_patterns("__pycache__"))
    mutants = []
    for module in modules:
        path = ground / "mailwire" / f"{module}.py"
        mutated = mutate_file_contents(str(path), path.read_text())
        path.write_text(mutated.code)
        texts = _functions(mutated.code)
        for name in mutated.mutant_names:
            function = name.partition(_MARK)[0]
            dotted = "mailwire." + module.replace("/", ".").removesuffix(".__init__")
            change = _change(texts[f"{function}{_MARK}orig"], texts[name])
            if _says_the_same(change) or _IMPOSSIBLE.match(change):
                continue
            mutants.append(Mutant(module, f"{dotted}.{function}", f"{dotted}.{name}", change))
    return mutants


def _functions(code: str) -> dict[str, str]:
    functions = (
        node for node in ast.walk(ast.parse(code)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    )
    texts = {node.name: ast.unparse(node) for node in functions if _MARK in node.name}
    return {name: text.replace(name, "itself", 1) for name, text in texts.items()}


def _change(before: str, after: str) -> str:
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm=""))[2:]
    return "\n".join(line for line in lines if not line.startswith("@@"))


def _says_the_same(change: str) -> bool:
    # The name of an encoding in capitals names the same encoding.
    before, _, after = change.partition("\n+")
    return before[1:] == _ENCODING.sub(lambda found: found[0].lower(), after) and before[1:] != after
