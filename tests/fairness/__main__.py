"""Run the hostile cases against other clients as well, and print who does what::

    python -m tests.fairness [--write] [CASE ...]

With --write, what came of it is written to tests/fairness/results.json, and the tables into
docs/explanation/fairness.md. Where cases are named, the results of the others stay as they are, which wants the same
versions of the clients as before. It takes some minutes, in which most clients wait for a server that hangs.
"""

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from tests.fairness.cases import CASES, Case
from tests.fairness.table import PAGE, RESULTS, merged, put_in, tables, versions
from tests.fairness.trial import CLIENTS, is_installed, perform, try_out

_AT_ONCE = 4


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fairness")
    parser.add_argument("cases", nargs="*", help="the names of cases; by default all")
    parser.add_argument("--write", action="store_true", help="write the results and the page")
    arguments = parser.parse_args()
    before = json.loads(RESULTS.read_text("utf-8")) if arguments.write and arguments.cases else None
    if before is not None and before["versions"] != versions():
        parser.error("the clients are not the same as before: all cases must be tried anew")
    chosen = [case for case in CASES if not arguments.cases or case.name in arguments.cases]
    today = datetime.now(UTC).date().isoformat()
    usual = {
        (protocol, client): perform(client, case).memory
        for protocol, clients in CLIENTS.items()
        for case in CASES
        if (case.plan.protocol, case.name) == (protocol, "well-behaved-tls")
        for client in clients
        if is_installed(client)
    }

    def do(job: tuple[str, Case]) -> tuple[Case, str, str]:
        client, case = job
        return case, client, try_out(client, case, usual[case.plan.protocol, client])

    jobs = [(client, case) for case in chosen for client in CLIENTS[case.plan.protocol] if is_installed(client)]
    found: dict[str, dict[str, dict[str, str]]] = {protocol: {} for protocol in CLIENTS}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for case, client, word in pool.map(do, jobs):
            found[case.plan.protocol].setdefault(case.name, {})[client] = word
            print(f"{case.plan.protocol} {case.name}: {client}: {word}", flush=True)
    results = {"days": [today], "versions": versions(), "results": found}
    print("\n", tables(results), sep="")
    if before is not None:
        results = merged(before, results)
    if arguments.write:
        RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", "utf-8")
        PAGE.write_text(put_in(PAGE.read_text("utf-8"), results), "utf-8")


if __name__ == "__main__":
    main()
