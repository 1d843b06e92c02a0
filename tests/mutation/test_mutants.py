from tests.mutation.mutants import Mutant

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
