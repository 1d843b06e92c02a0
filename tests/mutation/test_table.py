from pathlib import Path

from tests.mutation.same import SAME
from tests.mutation.table import TESTS

ROOT = Path(__file__).parents[2]


def test_the_table_names_modules_and_tests_that_there_are() -> None:
    for module, tests in TESTS.items():
        assert (ROOT / "src/mailwire" / f"{module}.py").is_file(), module
        for test in tests:
            path, _, name = test.partition("::")
            assert f"def {name}" in (ROOT / "tests" / path).read_text("utf-8"), test


def test_what_changes_nothing_is_in_a_module_of_the_table_and_has_a_reason() -> None:
    for (module, part), reason in SAME.items():
        assert module in TESTS
        assert part
        assert reason
