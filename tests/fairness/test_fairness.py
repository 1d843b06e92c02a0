"""The comparison of tests/fairness works, and the documentation says what came of it."""

import json
import poplib
import re
import socket
from dataclasses import dataclass, replace
from datetime import date
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.fairness.__main__ import main
from tests.fairness.cases import CASES, EIGHT_BIT, LEFT_OUT, MAILS, MESSAGE, MIB, NEW, Case
from tests.fairness.rude_server import END, Record, serving
from tests.fairness.table import PAGE, RESULTS, merged, put_in, tables, versions
from tests.fairness.trial import CLIENTS, FINE, HANGS, MEMORY, NOT_TRIED, SECONDS, Trial, judge, perform, try_out
from tests.hostile.test_hostile import CLASSES

BY_NAME = {(case.plan.protocol, case.name): case for case in CASES}
STORED = Record(stored=[(("b@example.org",), MESSAGE)])
RESULTS_OF = json.loads(RESULTS.read_text("utf-8"))["results"]


def smtp(name: str) -> Case:
    return BY_NAME["smtp", name]


def pop3(name: str) -> Case:
    return BY_NAME["pop3", name]


def test_the_page_shows_the_results() -> None:
    results = json.loads(RESULTS.read_text("utf-8"))
    page = PAGE.read_text("utf-8")
    assert put_in(page, results) == page
    assert tables(results) in page


def test_there_is_a_result_of_every_client_for_every_case() -> None:
    found = json.loads(RESULTS.read_text("utf-8"))
    for protocol, clients in CLIENTS.items():
        assert list(found["results"][protocol]) == [case.name for case in CASES if case.plan.protocol == protocol]
        for words in found["results"][protocol].values():
            assert tuple(words) == clients
            assert all(words.values())
    assert set(found["versions"]) == {client for clients in CLIENTS.values() for client in clients}
    assert found["days"]
    assert found["days"] == sorted(day for day in found["days"] if date.fromisoformat(day))


def test_the_page_says_what_the_words_mean_and_what_was_asked() -> None:
    page = re.sub(r"\s+", " ", PAGE.read_text("utf-8"))
    said = {word for words in of_all_cases() for word in words}
    assert said <= set(re.findall(r"\*\*([^*]+)\*\*", page.partition("<!-- tables -->")[0]))
    assert (SECONDS, HANGS) == (5, 60)
    assert "timeouts of five seconds" in page
    assert "did not end within a minute, though it was told to wait for nothing longer than five seconds" in page
    mebibytes = [octets // MIB for octets in (END, MEMORY)]
    assert "of which the server says {} MiB, it held more than {} in memory".format(*mebibytes) in page
    assert (pop3("uidl-million").memory, pop3("uidl-million").patience) == (64 * MIB, 300)
    assert smtp("pipeline-deadlock").patience == 300
    assert {case.name for case in CASES if case.patience != HANGS} == {"uidl-million", "pipeline-deadlock"}
    assert "list a million messages, or answer 10,000 recipients, it is five minutes" in page
    assert "of a million messages it held more than 64 MiB in memory" in page
    assert f"a line of a message has more than {vars(poplib)['_MAXLINE']:,} octets" in page


def test_the_results_of_some_cases_take_the_place_of_those_before() -> None:
    before = json.loads(RESULTS.read_text("utf-8"))
    other = {"mailwire": "no"}
    found = {"smtp": {"lf-only-server": other}, "pop3": {}}
    results = {"days": ["2100-01-01"], "versions": before["versions"], "results": found}
    whole = merged(before, results)
    assert whole["days"] == [*before["days"], "2100-01-01"]
    both = whole["results"]
    assert both["smtp"] == {**before["results"]["smtp"], "lf-only-server": other}
    assert list(both["smtp"]) == list(before["results"]["smtp"])
    assert both["pop3"] == before["results"]["pop3"]
    with pytest.raises(ValueError, match="all cases must be tried anew"):
        merged(before, {**results, "versions": {**before["versions"], "curl": "9"}})


def test_the_page_says_which_cases_others_do_not_meet() -> None:
    met = [case.name for case in CASES]
    for protocol in CLIENTS:
        classes = CLASSES[protocol.upper()].split()
        assert not [name for name in classes if name not in met and name not in LEFT_OUT]
    assert not set(LEFT_OUT) & set(met)
    assert set(LEFT_OUT) <= set(" ".join(CLASSES.values()).split())
    told = PAGE.read_text("utf-8").partition("<!-- end of tables -->")[2]
    assert all(f"`{name}`" in told for name in LEFT_OUT)


def test_most_cases_are_no_distinction_of_ours_and_ours_are_as_they_should_be() -> None:
    cases = of_all_cases()
    assert sum(set(words) <= {FINE, NOT_TRIED} for words in cases) > len(cases) / 2
    found = json.loads(RESULTS.read_text("utf-8"))["results"]
    assert {words["mailwire"] for protocol in CLIENTS for words in found[protocol].values()} == {FINE}


def of_all_cases() -> list[list[str]]:
    """The words for all clients, of each case."""
    found = json.loads(RESULTS.read_text("utf-8"))["results"]
    return [list(words.values()) for protocol in CLIENTS for words in found[protocol].values()]


# Those that end by a deadline, which is as short here as for the tables. Those that end otherwise have as long as they
# want, however slow the machine is.
BY_DEADLINE = (
    *(smtp("greeting-1Bps"), smtp("stall-after-dot"), smtp("auth-334-bad-base64")),
    *(pop3("greeting-1Bps"), pop3("capa-1Bps"), pop3("list-1Bps"), pop3("retr-stall")),
)
SLOW = (*BY_DEADLINE, smtp("pipeline-deadlock"), pop3("uidl-million"))


def seconds_of(case: Case) -> int:
    return SECONDS if case in BY_DEADLINE else 300


@cache
def usual_memory(protocol: Literal["smtp", "pop3"]) -> int:
    """What mailwire takes where nothing is wrong."""
    return perform("mailwire", BY_NAME[protocol, "well-behaved-tls"], seconds=300, hangs=600).memory


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=[pytest.mark.exhaustive] if case in SLOW else []) for case in CASES],
    ids=[f"{case.plan.protocol} {case.name}" for case in CASES],
)
def test_mailwire_does_in_each_case_what_the_page_says(case: Case) -> None:
    for variant in case.variants:
        trial = perform("mailwire", variant, seconds_of(case), hangs=600)
        word = judge(variant, trial, usual_memory(case.plan.protocol))
        assert word == RESULTS_OF[case.plan.protocol][case.name]["mailwire"] == FINE, trial


@pytest.mark.parametrize(
    ("client", "case"),
    [("smtplib", smtp("well-behaved-tls")), ("poplib", pop3("dots"))],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_another_client_is_tried(client: str, case: Case) -> None:
    trial = perform(client, case, seconds=300, hangs=600)  # however slow the machine is
    assert judge(case, trial, trial.memory) == FINE, trial


@dataclass
class Program:
    """The comparison, of two clients and two cases, that writes into a folder of the test's."""

    results: Path
    page: Path
    monkeypatch: pytest.MonkeyPatch

    def run(self, *arguments: str) -> None:
        self.monkeypatch.setattr("sys.argv", ["fairness", *arguments])
        main()

    @property
    def written(self) -> dict[str, Any]:
        written: dict[str, Any] = json.loads(self.results.read_text("utf-8"))
        return written


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """It has written what this repository has, by clients of the versions that are here."""
    patient = partial(perform, seconds=300, hangs=600)
    monkeypatch.setattr("tests.fairness.__main__.CLIENTS", {"smtp": (), "pop3": ("mailwire", "poplib")})
    monkeypatch.setattr("tests.fairness.__main__.CASES", (pop3("well-behaved-tls"), pop3("greeting-err")))
    monkeypatch.setattr("tests.fairness.__main__.perform", patient)
    monkeypatch.setattr("tests.fairness.trial.perform", patient)
    program = Program(tmp_path / "results.json", tmp_path / "page.md", monkeypatch)
    monkeypatch.setattr("tests.fairness.__main__.RESULTS", program.results)
    monkeypatch.setattr("tests.fairness.__main__.PAGE", program.page)
    before = {**json.loads(RESULTS.read_text("utf-8")), "versions": versions()}
    program.results.write_text(json.dumps(before), "utf-8")
    program.page.write_text(PAGE.read_text("utf-8"), "utf-8")
    return program


def with_another_curl(program: Program) -> dict[str, Any]:
    """Have the results before be of another version of a client."""
    before = {**program.written, "versions": {**versions(), "curl": "9"}}
    program.results.write_text(json.dumps(before), "utf-8")
    return before


def test_the_program_prints_the_tables(program: Program, capsys: pytest.CaptureFixture[str]) -> None:
    before, page = program.written, program.page.read_text("utf-8")
    program.run("greeting-err")
    printed = capsys.readouterr().out
    assert "pop3 greeting-err: mailwire: yes\n" in printed
    assert "| greets with -ERR | yes |" in printed
    assert (program.written, program.page.read_text("utf-8")) == (before, page)


def test_the_program_writes_what_it_has_found_of_all_cases_whatever_the_versions_were(
    program: Program, capsys: pytest.CaptureFixture[str]
) -> None:
    with_another_curl(program)
    program.run("--write")
    both = {"mailwire": FINE, "poplib": FINE}
    found = {"smtp": {}, "pop3": {"well-behaved-tls": both, "greeting-err": both}}
    written = program.written
    assert written["results"] == found
    assert written["versions"] == versions()
    assert len(written["days"]) == 1
    assert tables(written) in program.page.read_text("utf-8")
    assert tables(written) in capsys.readouterr().out


def test_the_program_keeps_what_was_found_of_the_cases_that_are_not_named(program: Program) -> None:
    before = program.written
    program.run("greeting-err", "--write")
    written = program.written
    found = {**before["results"]["pop3"], "greeting-err": {"mailwire": FINE, "poplib": FINE}}
    assert written["results"] == {"smtp": before["results"]["smtp"], "pop3": found}
    assert {*before["days"]} <= {*written["days"]}
    assert tables(written) in program.page.read_text("utf-8")


def test_the_program_tries_no_case_whose_result_could_not_stand_beside_the_others(
    program: Program, capsys: pytest.CaptureFixture[str]
) -> None:
    before, page = with_another_curl(program), program.page.read_text("utf-8")
    with pytest.raises(SystemExit):
        program.run("greeting-err", "--write")
    said = capsys.readouterr()
    assert "all cases must be tried anew" in said.err
    assert said.out == ""
    assert (program.written, program.page.read_text("utf-8")) == (before, page)


def test_a_client_that_says_all_before_it_hears_is_caught_by_a_server_that_does_not_hear() -> None:
    with serving(smtp("pipeline-deadlock").plan) as (port, _), socket.create_connection(("localhost", port)) as client:
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.sendall(b"RCPT TO:<recipient@example.org>\r\n" * 10_000)


def test_a_client_that_has_nothing_to_do_a_case_with_is_not_tried() -> None:
    assert try_out("poplib", pop3("renumbered-maildrop"), 0) == NOT_TRIED


PLAIN = MAILS[0].replace(b"\r\n", b"\n")
DONE = Trial(ok=True, record=STORED)
KEPT = Trial(ok=True, mails=list(MAILS))
IN_EIGHT_BITS = Record(stored=[(("b@example.org",), EIGHT_BIT)])
ALL_EVER = [*MAILS, NEW]
FAILED = Trial(error="SMTPException")


@pytest.mark.parametrize(
    ("case", "trial", "word"),
    [
        (smtp("well-behaved"), DONE, FINE),
        (smtp("well-behaved"), replace(DONE, hangs=True), "hangs"),
        (smtp("well-behaved"), replace(DONE, crashed=True), "crashes"),
        (smtp("well-behaved"), replace(DONE, memory=MEMORY + 1), "takes all of it in"),
        (smtp("well-behaved"), FAILED, "says that it failed"),
        (smtp("well-behaved"), Trial(ok=True), "changes the mail"),
        (smtp("well-behaved"), Trial(ok=True, record=Record(stored=[((), MESSAGE)])), "changes the mail"),
        (smtp("greeting-554"), FAILED, FINE),
        (smtp("greeting-554"), replace(FAILED, typed=False), "undocumented error (SMTPException)"),
        (smtp("greeting-554"), replace(FAILED, record=Record(said=["EHLO", "MAIL"])), "goes on"),
        (smtp("greeting-421"), DONE, "says that all is well"),
        (smtp("rst-after-dot"), FAILED, "fails, without the doubt"),
        (smtp("rst-after-dot"), replace(FAILED, doubt=True), FINE),
        (smtp("rst-after-dot"), DONE, "says that all is well"),
        (smtp("too-many-452"), replace(DONE, told=["r2@example.org"]), FINE),
        (smtp("too-many-452"), DONE, "says that all is well"),
        (smtp("too-many-452"), FAILED, FINE),
        (smtp("too-many-452"), replace(FAILED, record=STORED), "sends, and says that it failed"),
        (pop3("well-behaved"), KEPT, FINE),
        (pop3("well-behaved"), FAILED, "says that it failed"),
        (pop3("well-behaved"), replace(KEPT, mails=list(MAILS[:2])), "changes the mail"),
        (pop3("well-behaved"), replace(KEPT, mails=[b"Received: x\n" + PLAIN, *MAILS[1:]]), FINE),
        (pop3("dele-err"), KEPT, "says that all is well"),
        (pop3("dele-err"), replace(KEPT, told=["1"]), FINE),
        (pop3("quit-err"), replace(FAILED, mails=list(MAILS)), FINE),
        (pop3("quit-err"), replace(FAILED, mails=[MAILS[0]]), "leaves the others"),
        (pop3("retr-cut-plain"), replace(FAILED, mails=[MAILS[0]]), FINE),
        (pop3("retr-cut-plain"), replace(FAILED, mails=[MAILS[0], MAILS[1][:-9]]), "keeps a part as a mail"),
        (pop3("retr-err-2-of-3"), replace(KEPT, mails=[MAILS[0], MAILS[2]]), "says that all is well"),
        (pop3("retr-err-2-of-3"), replace(KEPT, mails=[MAILS[0], MAILS[2]], told=["2"]), FINE),
        (pop3("retr-err-2-of-3"), replace(FAILED, mails=[MAILS[0]]), "leaves the others"),
        (smtp("well-behaved"), Trial(ok=True, record=Record(stored=2 * STORED.stored)), "sends it twice"),
        (smtp("354-none-valid"), replace(FAILED, record=Record(stored=[((), b"")])), FINE),
        (smtp("354-none-valid"), replace(FAILED, record=Record(stored=[((), MESSAGE)])), "goes on"),
        (smtp("greeting-554"), replace(FAILED, doubt=True), "doubts what is certain"),
        (smtp("advertised-then-555"), replace(FAILED, record=Record(["MAIL"], ["MAIL BODY=8BITMIME"])), FINE),
        (smtp("advertised-then-555"), replace(FAILED, record=Record(["MAIL"] * 2, ["MAIL BODY=8BITMIME"])), "goes on"),
        (smtp("advertised-then-555"), replace(DONE, record=IN_EIGHT_BITS), NOT_TRIED),
        (smtp("advertised-then-555"), FAILED, "says that it failed"),
        (pop3("uidl-million"), replace(FAILED, memory=64 * MIB), FINE),
        (pop3("uidl-million"), replace(FAILED, memory=64 * MIB + 1), "takes much memory"),
        (pop3("dots"), replace(KEPT, mails=[MAILS[0]] * 3), "changes the mail"),
        (pop3("terminator-split"), replace(KEPT, mails=[MAILS[0]] * 5), "changes the mail"),
        (pop3("uidl-duplicate"), KEPT, FINE),
        (pop3("uidl-duplicate"), replace(KEPT, mails=list(MAILS[1:])), "says that all is well"),
        (pop3("uidl-duplicate"), replace(KEPT, mails=list(MAILS[1:]), told=["1"]), FINE),
        (pop3("uidl-duplicate"), replace(FAILED, record=Record(deleted=[1])), "deletes what it has not stored"),
        (pop3("uidl-duplicate"), replace(KEPT, mails=[*MAILS, b"y"]), "changes the mail"),
        (pop3("renumbered-maildrop"), replace(KEPT, mails=ALL_EVER, record=Record(deleted=[1, 2, 3])), FINE),
        (pop3("renumbered-maildrop"), replace(KEPT, mails=[*ALL_EVER, MAILS[0]]), "stores it again"),
        (pop3("renumbered-maildrop"), KEPT, "says that all is well"),
        (pop3("renumbered-maildrop"), replace(KEPT, record=Record(deleted=[1])), "deletes what it has not stored"),
        (pop3("top-unsupported"), KEPT, NOT_TRIED),
        (pop3("top-unsupported"), replace(FAILED, record=Record(lines=["TOP 1 0"])), FINE),
    ],
)  # fmt: skip
def test_the_word_for_what_came_of_it(case: Case, trial: Trial, word: str) -> None:
    assert judge(case, trial, 0) == word
