"""The tables: results as the documentation shows them."""

import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests.fairness.cases import CASES
from tests.fairness.trial import CLIENTS, FINE, NOT_TRIED, is_installed

__all__ = ["PAGE", "RESULTS", "merged", "put_in", "tables", "versions"]

RESULTS = Path(__file__).with_name("results.json")
PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "fairness.md"

_TABLES = re.compile(r"(?<=<!-- tables -->\n).*?(?=<!-- end of tables -->)", re.DOTALL)


def versions() -> dict[str, str]:
    """Return the versions of the clients that are installed."""
    found = {"smtplib": f"Python {platform.python_version()}", "poplib": f"Python {platform.python_version()}"}
    for name in ("mailwire", "aiosmtplib"):
        if is_installed(name):
            found[name] = version(name)
    for name in ("msmtp", "curl", "mpop", "fetchmail"):
        if is_installed(name):
            text = subprocess.run([name, "--version"], check=False, capture_output=True, text=True).stdout
            number = re.search(r"\d+(\.\d+)+", text)
            found[name] = number[0] if number else "?"
    return found


def tables(results: dict[str, Any]) -> str:
    """Return the tables of `results` in Markdown, one for each protocol, and the days on which it was tried."""
    texts = list[str]()
    for protocol, clients in CLIENTS.items():
        found = results["results"][protocol]
        shown = [client for client in clients if client in results["versions"]]
        heads = [f"{client} {results['versions'][client]}" for client in shown]
        lines = [f"| The {protocol.upper()} server | {' | '.join(heads)} |", "|---" * (len(shown) + 1) + "|"]
        for case in CASES:
            if case.plan.protocol == protocol and case.name in found:
                words = [found[case.name].get(client, "") for client in shown]
                lines.append(f"| {case.meaning} | {' | '.join(words)} |")
        words_of = {client: [words.get(client) for words in found.values()] for client in shown}
        counts = [f"{words.count(FINE)} of {len(words) - words.count(NOT_TRIED)}" for words in words_of.values()]
        lines.append(f"| **as it should** | {' | '.join(counts)} |")
        texts.append("\n".join(lines))
    texts.append(f"Tried on {' and '.join(results['days'])}.")
    return "\n\n".join(texts) + "\n"


def merged(before: dict[str, Any], results: dict[str, Any]) -> dict[str, Any]:
    """Return `results` with those of `before` for the cases that it has not, in the order of the cases.

    Raises ValueError where these are of other versions of the clients.
    """
    if before["versions"] != results["versions"]:
        raise ValueError("the clients are not the same as before: all cases must be tried anew")
    found: dict[str, dict[str, Any]] = {protocol: {} for protocol in CLIENTS}
    for case in CASES:
        for of_some in (before, results):
            of_protocol = of_some["results"][case.plan.protocol]
            if case.name in of_protocol:
                found[case.plan.protocol][case.name] = of_protocol[case.name]
    days = sorted({*before["days"], *results["days"]})
    return {"days": days, "versions": results["versions"], "results": found}


def put_in(page: str, results: dict[str, Any]) -> str:
    """Return the `page` with the tables of `results` between its marks."""
    return _TABLES.sub(lambda _: f"\n{tables(results)}\n", page)
