from pathlib import Path

from tests.integration.conftest import demand_libraries
from tests.mutation.mutants import Mutant, plant

CHANGE = "-    self._is_open = False\n+    self._is_open = None"
MUTANT = Mutant("smtp/a", "mailwire.smtp.a.xǁAǁclose", "mailwire.smtp.a.xǁAǁclose__mutmut_1", CHANGE, "a.py", range(1))


def test_a_mutant_is_known_by_what_it_writes_where_and_instead_of_what() -> None:
    for part in (
        "_is_open = None\n",
        "close: self._is_open = None\n",
        "self._is_open = False => self._is_open = None\n",
        "close: self._is_open = False => ",
    ):
        assert MUTANT.writes(part), part
    for part in ("_is_open = False\n", "open: self._is_open = None", "True => self._is_open = None"):
        assert not MUTANT.writes(part), part


def test_what_is_declared_and_has_no_code_is_left_alone(tmp_path: Path) -> None:
    demand_libraries("mutmut")
    source = tmp_path / "src" / "mailwire"
    source.mkdir(parents=True)
    text = "class A:\n    def declared(self, a: int = 1) -> int:\n        'Say it.'\n\n"
    (source / "a.py").write_text(f"{text}    def done(self, a: int = 1) -> int:\n        return a\n")

    mutants = plant(tmp_path / "src", ["a"], tmp_path / "ground")
    assert {mutant.function for mutant in mutants} == {"mailwire.a.xǁAǁdone"}


def test_what_a_package_does_itself_is_known_by_the_name_of_the_package(tmp_path: Path) -> None:
    demand_libraries("mutmut")
    source = tmp_path / "src" / "mailwire"
    (source / "a").mkdir(parents=True)
    for path in (source, source / "a"):
        (path / "__init__.py").write_text("def done(a: int = 1) -> int:\n    return a\n")

    mutants = plant(tmp_path / "src", ["__init__", "a/__init__"], tmp_path / "ground")
    assert [mutant.function for mutant in mutants] == ["mailwire.x_done", "mailwire.a.x_done"]
