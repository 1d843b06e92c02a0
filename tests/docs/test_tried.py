"""What the page about reliability says was tried, is what there is to be tried: counted, and not done."""

import ast
import importlib
import re
from collections.abc import Iterable
from datetime import date
from itertools import chain
from pathlib import Path
from typing import Any

from hypothesis import settings

from tests.docs.blocks import ROOT
from tests.told import PAGE, assert_page_says, words_in_tests


def of_tests(name: str) -> Any:
    """Return a module of the tests, after they were collected: it is imported for them first, and once."""
    return importlib.import_module(f"tests.{name}")


def size(things: Iterable[object]) -> int:
    return sum(1 for _ in things)


def test_every_figure_of_what_was_tried_is_held_by_a_test() -> None:
    table = slice(PAGE.index("| what | how much |"), PAGE.index("The flows are:"))
    held = {place for words in words_in_tests() for span in words.places() for place in range(span.start, span.stop)}
    loose, rows = [], set[str]()
    for row in re.finditer(r"\| ([^|]+) (\|[^|]*\|[^|]*)\|[^|]*\|", PAGE[table]):
        rows.add(row[1])
        for figure in re.finditer(r"(?<![\w.,`])\d", row[2]):
            place = table.start + row.start(2) + figure.start()
            is_version = re.search(r"(Python|3\.\d\d,|and|all of) $", PAGE[:place]) and PAGE[place:].startswith("3.1")
            if place not in held and not is_version:
                loose.append(f"{row[1]}: {PAGE[place - 30 : place + 20]}")
    assert loose == []
    assert {"faults on the way", "interruptions", "soak", "cuts on the machines", "fuzzing", "mutation"} <= rows


def test_every_run_has_its_day() -> None:
    runs = re.search(r"\| part \| day \| what was reached \|(.*?) Ten million", PAGE)
    assert runs is not None
    days = re.findall(r"\| ([^|]+) \| (\d{4}-\d\d-\d\d) \| [^|]+ \|", runs[1])
    assert len(days) == runs[1].count("|") // 4 - 1
    assert all(date.fromisoformat(day) for _, day in days)
    # What of the table above is behind the marker `exhaustive`, by its name there or in more words.
    told = [part for part, _ in days]
    long = ("a call of the system fails", "interruptions", "faults on the way", "the disk fails", "soak", "linearity")
    for name in (*long, "splits on the machines", "cuts on sockets", "a message of a GiB", "fuzzing, by the command"):
        assert any(part.startswith(name) for part in told), name


def functions_in(file: str) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name: node for node in ast.parse((ROOT / file).read_text("utf-8")).body if isinstance(node, kinds)}


def called_by(test: str, functions: dict[str, ast.FunctionDef | ast.AsyncFunctionDef]) -> set[str]:
    """What is called by name in `test`, and in those `functions` that it calls."""
    called, to_read = set[str](), [test]
    while to_read:
        nodes = ast.walk(functions[to_read.pop()])
        names = {node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
        to_read += (names - called) & functions.keys()
        called |= names
    return called


def faults_in(head: str, end: str, columns: int) -> list[tuple[str, str]]:
    """The tests in the last column of a table of faults, each as its file and its name; of a transcript, the file is
    empty."""
    table = PAGE[PAGE.index(head) : PAGE.index(end)]
    rows = re.findall(r"\| (?:`([\w-]+)`|`(tests/[\w/]+\.py)`: `(test_\w+)`) \|", table)
    assert len(rows) == table.count("|") // (columns + 1) - 2
    found = [(file, transcript or test) for transcript, file, test in rows]
    assert len(found) == len(set(found))
    return found


def test_every_fault_found_in_a_dialogue_has_its_transcript() -> None:
    found = faults_in("| | what was wrong | transcript |", " What showed in no dialogue", 3)
    assert {file.partition("/test_")[0] for file, _ in found} == {"", "tests/aio", "tests/maildrop", "tests/smtp"}
    for file, name in found:
        if file:
            assert called_by(name, functions_in(file)) & {"ScriptedPeer", "parse"}, name
        else:
            assert (ROOT / "tests" / "transcripts" / f"{name}.txt").is_file(), name


def test_every_fault_found_in_no_dialogue_has_its_test() -> None:
    for file, name in faults_in("| what was wrong | test |", " The changelog has more", 2):
        assert file, name
        assert name in functions_in(file), name


def test_the_faults_of_every_run_are_as_many_as_is_told() -> None:
    on_the_way = of_tests("faults.test_faults_on_the_way")
    uvloop = sum(size(on_the_way.some_under_uvloop(flow)) for flow in of_tests("faults.flows").FLOWS)
    assert_page_says("| {}, and {} under uvloop |", size(on_the_way.some()), uvloop)


def test_as_many_faults_happen_on_the_way_as_is_told() -> None:
    matrix, flows = of_tests("faults.matrix"), of_tests("faults.flows").FLOWS.values()
    faults, places = len(matrix.FAULTS), len(matrix.POSITIONS)
    runs = faults * len(flows) * places
    assert_page_says("{} faults of a connection x {} flows x {} places = {}.", faults, len(flows), places, runs)


def test_calls_fail_in_as_many_flows_as_is_told() -> None:
    fails = of_tests("faults.test_call_k_fails")
    assert_page_says("and the files of messages, in {} flows, in {} ways", len(fails.ALL), len(fails.KINDS))
    some, pieces = len(fails.ORDINARY), len({*fails.IN_PIECES} & {*fails.ORDINARY})
    assert_page_says("| {} flows, in one way; {} of them where little is taken; one under uvloop |", some, pieces)


def test_as_many_flows_are_interrupted_as_is_told() -> None:
    interruptions, more = of_tests("faults.test_interruptions"), of_tests("faults.other_flows").MORE
    flows, ways = len(interruptions.ALL), len(interruptions.INTERRUPTS)
    assert_page_says("at every turn of the event loop, in {} flows, in {} ways:", flows, ways)
    assert_page_says("while messages are read from files, and in {} more:", len(more))
    assert_page_says("| every {}th turn; cancelled again under uvloop", interruptions.STRIDE)


def test_as_many_sessions_are_soaked_as_is_told() -> None:
    soak = of_tests("faults.test_soak")
    assert_page_says("{} sessions of two mails each, and {} under TLS", soak.SESSIONS, soak.SESSIONS)
    assert_page_says("under TLS, {} at once, every tenth with a fault", soak.AT_ONCE)
    assert_page_says("| {} of each, and {} in debug mode |", soak.AT_ONCE, soak.FEW)
    resident = soak.RESIDENT[1] // soak.MEBIBYTE
    assert_page_says("did not grow by {} MiB behind the first {},", resident, soak.WARM)
    assert_page_says("and what remains must not have grown by {} MiB:", resident)
    allowed = soak.TRACED[1] // soak.KIBIBYTE
    assert_page_says("and what Python has allocated by less than {} KiB", allowed)
    assert_page_says("by a loop in debug mode {} of each", soak.DEBUGGED)


def test_as_many_hostile_servers_are_met_as_is_told() -> None:
    hostile = of_tests("hostile.test_hostile")
    cases, plays = sum(map(len, hostile.CASES.values())), size(hostile.plays())
    assert_page_says("{} cases, by sockets, streams and ports, with asyncio and uvloop: {} plays.", cases, plays)


def test_hostile_servers_get_no_more_than_is_told() -> None:
    cases, bounds = of_tests("hostile.test_hostile").CASES.values(), of_tests("hostile.case")
    outcomes = [case.outcome for chapter in cases for case in chapter]
    assert_page_says("grow by {} MiB at most, by {} where a million", *sorted({outcome.growth for outcome in outcomes}))
    kibibytes = bounds.TAKEN_OF_A_LINE // 1024
    assert_page_says("Of a line without end less than {} KiB are held, in every play", kibibytes)
    (turn,) = {outcome.turn for outcome in outcomes}
    assert_page_says("no turn takes {} ms of the processor's time", round(turn * 1000))
    huge = of_tests("hostile.smtp_sending").HUGE
    assert_page_says("A refusal in the middle of {} MB takes", round(len(huge) / 1e6))
    # Those of bombs and counts of iterations, and those of a refusal; the others have longer for more.
    work = min(outcome.work for outcome in outcomes if outcome.work is not None)
    assert_page_says("a bomb or an absurd count of iterations less than {} ms", round(work * 1000))


def test_dialogues_are_cut_on_the_machines_as_often_as_is_told() -> None:
    machines = of_tests("transcripts.test_transcripts")
    smtp, pop3, ends = len(machines.SMTP), len(machines.POP3), len(machines.ENDS)
    places = sum(len(machines.places_of_cuts(story.transcript)) for story in machines.STORIES)
    assert_page_says("{} transcripts, {} of SMTP and LMTP and {} of POP3", smtp + pop3, smtp, pop3)
    assert_page_says("at {} places in {} ways: {} times", places, ends, places * ends)


def test_dialogues_are_split_as_often_as_is_told() -> None:
    machines = of_tests("transcripts.test_transcripts")
    every = len(machines.STORIES)
    places = sum(size(story.transcript.cuts(1)) for story in machines.STORIES)
    pairs = sum(machines.PAIRS.values())
    assert_page_says("the same {} transcripts: what is said in a turn at once,", every)
    assert_page_says("at each of {} places within a turn, at each of {} pairs of such places", places, pairs)
    short = sum(machines.PAIRS[story] for story in machines.SHORT)
    assert_page_says("all but the pairs, of which {}, those of the {} shortest", short, len(machines.SHORT))
    assert_page_says("and {} times at {} places by chance", machines.BY_CHANCE_EXHAUSTIVE, machines.PLACES_BY_CHANCE)
    assert_page_says("and {} times by chance", machines.BY_CHANCE)


def test_clients_write_in_as_small_pieces_as_is_told() -> None:
    links, widths = of_tests("transcripts.test_on_sockets").LINKS, of_tests("transcripts.test_in_small_writes").WIDTHS
    assert_page_says("{}, {}, {}, {}, {} or {} octets at a time", *widths)
    assert_page_says(
        "in the clear and under TLS: {} dialogues x {} = {}", len(links), len(widths), len(links) * len(widths)
    )


def test_dialogues_are_cut_on_sockets_as_often_as_is_told() -> None:
    on_sockets = of_tests("transcripts.test_on_sockets")
    every, by_machines = len(on_sockets.CALLS), len(on_sockets.MACHINE_ALONE)
    assert_page_says("{} transcripts, {} by mailwire's own clients, {} that", every, every - by_machines, by_machines)
    places = {
        (str(calls.story), calls.is_starttls): size(chain(*on_sockets.places_of(calls))) for calls in on_sockets.CALLS
    }
    everywhere, upgraded = sum(places.values()), sum(count for (_, starttls), count in places.items() if starttls)
    encrypted = everywhere - upgraded
    # By FIN, and by RST.
    assert_page_says("{} times in the clear, STARTTLS included, {} under TLS", 2 * everywhere, 2 * encrypted)
    assert_page_says("{} times behind STARTTLS or STLS, {} where TLS comes first", upgraded, encrypted)


def test_there_are_as_many_properties_and_models_as_is_told() -> None:
    amounts = of_tests("model_settings")
    sources = [path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py")]
    properties = sum(len(re.findall(r"^ *@given\(", source, re.MULTILINE)) for source in sources)
    models = [
        int(examples)
        for source in sources
        for examples in re.findall(r"\.settings = model_settings\(examples=(\d+)", source)
    ]
    assert_page_says("| properties | {} of them", properties)
    assert_page_says("for all values: {} examples of each", amounts.EXAMPLES["thorough"])
    assert_page_says("| {} of each, or what the test names", settings.get_profile("mailwire").max_examples)
    assert_page_says("{} models, {} runs of {} steps each", len(models), amounts.MODELS["thorough"], amounts.STEPS)
    assert_page_says("| {} to {} runs of each |", min(models), max(models))


def test_as_much_is_fuzzed_as_is_told() -> None:
    parts = [part for part in of_tests("long_tier").PARTS if part.arguments[0] == "tests.fuzzing"]
    (runs,) = {int(argument.removeprefix("-runs=")) for part in parts for argument in part.whole}
    assert_page_says("atheris, {} targets:", len(parts))
    # What a command is for. What was reached by it, stands among the runs of a day.
    assert_page_says("One command of the long tier is for {} runs of one of them;", runs)
    assert f"-m tests.fuzzing smtp_session -runs={runs}" in PAGE
    longest = of_tests("fuzzing.__main__").LONGEST
    assert {*longest} == {*of_tests("fuzzing.corpus").TARGETS}
    assert_page_says("inputs are short: {} to {} octets, by the target", min(longest.values()), max(longest.values()))
    assert_page_says("| the corpus and {} mutations of each |", of_tests("fuzzing.test_fuzzing").MUTATIONS)


def test_as_many_real_servers_are_tried_as_is_told() -> None:
    files = list((ROOT / "tests/integration").glob("test_*.py"))
    tests = sum(len(re.findall(r"^(?:async )?def test_", path.read_text("utf-8"), re.MULTILINE)) for path in files)
    assert_page_says("{} tests in {} files of `tests/integration`", tests, len(files))


def test_work_is_counted_up_to_what_is_told() -> None:
    linearity = of_tests("test_linearity")
    assert_page_says("steps per doubling <= {}:", linearity.RATIO)
    ways = (linearity.WAYS, linearity.BYTEWISE, linearity.LISTINGS, linearity.MANY)
    assert_page_says("recipients, in {} ways", sum(map(len, ways)))
    pieces, octets = linearity.PIECES[-1] // 2**20, linearity.OCTETS[-1] // 2**20
    assert_page_says("in pieces to {} MiB, octet by octet to {} MiB", pieces, octets)


def test_models_and_properties_are_tried_as_often_as_is_told() -> None:
    amounts = of_tests("model_settings")
    assert_page_says(
        "{} examples of each property and {} examples of {} steps of each model; the profile `thorough` has {} and {}",
        *(amounts.EXAMPLES["utmost"], amounts.MODELS["utmost"], amounts.STEPS),
        *(amounts.EXAMPLES["thorough"], amounts.MODELS["thorough"]),
    )
    assert_page_says("ordinarily it is {} or what a test names", settings.get_profile("mailwire").max_examples)


def test_the_suite_is_run_on_what_is_told() -> None:
    platforms, flows = of_tests("platforms"), of_tests("faults.flows").FLOWS
    assert_page_says("asyncio; uvloop in {} flows and in the plays", len(flows))
    *others, newest = platforms.MINORS
    versions, loops = f"{', '.join(others)} and {newest}", " and with ".join(platforms.LOOPS)
    assert f"the whole suite on Python {versions} with {loops}, each in an environment of its own" in PAGE


def test_as_many_squares_are_planted_as_is_told() -> None:
    assert_page_says("{} ways to take the square of the time", len(of_tests("test_linearity").QUADRATIC))


def test_as_many_mutants_are_told_together_as_module_by_module() -> None:
    rows = re.findall(r"\| `[a-z_/0-9]+`\*? \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|", PAGE)
    made, killed, same, live = (sum(int(row[column].replace(",", "")) for row in rows) for column in range(4))
    assert live == 0
    assert made == killed + same
    assert_page_says("{} mutants of {} modules: [below](#mutants)", made, len(rows))
    assert_page_says("| {} killed, {} change nothing, none lives", killed, same)


def test_the_modules_without_a_row_are_told() -> None:
    table, source = of_tests("mutation.table").TESTS, ROOT / "src/mailwire"
    without: dict[str, list[str]] = {}
    for path in sorted(source.rglob("*.py")):
        module = path.relative_to(source).with_suffix("").as_posix()
        folder, _, name = module.rpartition("/")
        if folder not in ("cli", "testing") and module not in table and has_code(path):
            without.setdefault(folder or "mailwire", []).append(f"`{name}`")
    count = sum(map(len, without.values()))
    words = "; ".join(f"of `{folder}` {', '.join(names)}" for folder, names in without.items())
    modules, are = ("module", "is") if count == 1 else ("modules", "are")
    told = f"{count} {modules} with code, outside `cli` and `testing`, {are} not in the table: {words}."
    assert told in PAGE or not count, f"docs/explanation/reliability.md has to say: {told}"
    assert PAGE.count(" not in the table:") == int(count > 0), "every module is in the table"


def has_code(path: Path) -> bool:
    """Whether there is a function in it, of which mutants could be made."""
    nodes = ast.walk(ast.parse(path.read_text("utf-8")))
    return any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in nodes)


def test_what_was_worked_on_since_its_mutants_were_tried_has_a_star() -> None:
    is_as_tried = of_tests("mutation.tried").is_as_tried
    rows = re.findall(r"\| `([a-z_/0-9]+)`(\*?) \| [\d,]+ \|", PAGE)
    assert {module for module, _ in rows} == set(of_tests("mutation.table").TESTS)
    assert [module for module, star in rows if bool(star) is is_as_tried(module)] == []
