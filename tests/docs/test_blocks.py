"""Every block of code is run by a test, or is on a list that says why not; and the lists are not stale."""

import re

from tests.docs.blocks import BLOCKS, PAGES, ROOT
from tests.docs.exemptions import EXEMPT, RUN_ELSEWHERE
from tests.docs.test_docstrings import EXAMPLES as DOCSTRINGS
from tests.docs.test_python_blocks import EXAMPLES as PYTHON
from tests.docs.test_shell_blocks import EXAMPLES as SHELL
from tests.docs.test_text_blocks import TEXTS

# What the paths begin with that the pages name.
ROOMS = {path.name for path in (ROOT / "src" / "mailwire").iterdir()} | {"docs", "mailwire", "src", "tests"}
# What the making of the site runs, its warnings as errors.
DIRECTIVES = {"{eval-rst}", "{include}", "{literalinclude}", "{toctree}"}


def test_there_are_blocks_of_each_kind() -> None:
    assert len(PYTHON) > 80
    assert len(SHELL) > 3
    assert len(DOCSTRINGS) > 15


def test_every_block_is_run_or_said_not_to_be() -> None:
    run = {*map(str, PYTHON), *map(str, SHELL), *map(str, DOCSTRINGS)}
    run |= {str(block) for block in BLOCKS if (block.place, block.head) in TEXTS}
    for block in BLOCKS:
        name = (block.place, block.head)
        ways = [
            str(block) in run,
            name in EXEMPT,
            name in RUN_ELSEWHERE,
            block.is_directive and block.language.split()[0] in DIRECTIVES,
        ]
        assert ways.count(True) == 1, f"{block} ({block.language}, {block.head!r}) is run {ways.count(True)} times"


def test_no_exemption_is_stale() -> None:
    names = [(block.place, block.head) for block in BLOCKS]
    for name in [*EXEMPT, *RUN_ELSEWHERE, *TEXTS]:
        assert names.count(name) == 1, f"{name} is the name of {names.count(name)} blocks"
    assert all(EXEMPT.values())


def test_the_tests_that_run_blocks_elsewhere_exist() -> None:
    for test in RUN_ELSEWHERE.values():
        file, _, name = test.partition("::")
        assert re.search(rf"^(async )?def {name}\b", (ROOT / file).read_text("utf-8"), re.MULTILINE), test


def test_what_a_page_includes_is_a_file_that_tests_run() -> None:
    tests = "".join(path.read_text("utf-8") for path in sorted((ROOT / "tests").rglob("*.py")))
    for block in BLOCKS:
        if block.language.startswith("{literalinclude}"):
            file = (ROOT / block.place).parent / block.language.split()[1]
            assert file.is_file(), f"{block}: {file}"
            # By its name in tests, or as a module of the package that is tested.
            assert f'"{file.stem}' in tests or f"taskiq_mail.{file.stem}" in tests, file


def test_the_links_between_the_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_files_and_modules_that_the_pages_name_are_there() -> None:
    named = 0
    for page in PAGES:
        text = page.read_text("utf-8")
        for name in re.findall(r"\bpython3? -m (tests[\w.]*)", text):
            path = ROOT / name.replace(".", "/")
            assert path.is_dir() or path.with_suffix(".py").is_file(), f"{page.name} names {name}"
            named += 1
        # From the root of the project, or from that of the library.
        for name in re.findall(r"(?<![\w/.-])((?:\w+/)+[\w-]+\.(?:py|md|txt|json|svg))\b", text):
            if name.partition("/")[0] in ROOMS:
                roots = (ROOT, ROOT / "src" / "mailwire", ROOT / "src", page.parent)
                assert any((root / name).is_file() for root in roots), f"{page.name} names {name}"
                named += 1
    assert named > 100
