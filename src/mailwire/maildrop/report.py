"""RetrievalReport: what a run did."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self

from ..error_record import error_from_dict, error_to_dict
from ..errors import MailwireError
from ..pop3 import Finding, FindingKind
from .message_report import Deleted, MessageReport, MessageReports, Outcome
from .plan import Caution, CautionKind

__all__ = ["RetrievalReport"]


@dataclass(frozen=True, slots=True)
class RetrievalReport:
    """What a run did.

    account: whose mail it was about, as the ledger names it; server: where, as a URL without credentials.
    began: when; seconds: how long it took.
    listed: how many messages the server had; known: how many of them were stored by earlier runs and left alone.
    messages: what became of each of the others: of those that it dealt with, in their order, and of those that it did
        not come to. There may be a million of these, so that a report of one is made when it is asked for.
    cautions: what kept the run from doing all that the policy says; findings: what was wrong with what the server said.
    error: what ended it before its end; None if it came to its end.
    login_delay: how many seconds the server wants between two logins (LOGIN-DELAY, RFC 2449 6.5).
    is_finished: whether the run has come to its end, or to the error that ended it; not while it is under way, nor
        where it was cancelled.
    """

    account: str
    server: str
    began: datetime
    seconds: float = 0
    listed: int = 0
    known: int = 0
    messages: Sequence[MessageReport] = ()
    cautions: tuple[Caution, ...] = ()
    findings: tuple[Finding, ...] = ()
    error: Exception | None = None
    login_delay: int = 0
    is_finished: bool = True

    @property
    def stored(self) -> tuple[MessageReport, ...]:
        """The messages that this run has stored."""
        return self._all.having(Outcome.STORED)

    @property
    def failed(self) -> tuple[MessageReport, ...]:
        """The messages that failed, in this run or too often before it."""
        return self._all.having(Outcome.FAILED, Outcome.SKIPPED)

    @property
    def deleted(self) -> tuple[MessageReport, ...]:
        """The messages that the server says are gone."""
        return tuple(message for message in self._all.told if message.deleted is Deleted.COMMITTED)

    @property
    def octets(self) -> int:
        """How much mail came."""
        return sum(message.octets for message in self._all.told)

    @property
    def is_complete(self) -> bool:
        """Whether the run came to its end, and no message failed."""
        is_at_end = self.is_finished and self.error is None
        return is_at_end and not self.counts.keys() & {Outcome.FAILED, Outcome.SKIPPED}

    @property
    def counts(self) -> Mapping[Outcome, int]:
        """How many messages had each outcome."""
        counts = Counter(self._all.counts)
        counts[Outcome.KNOWN] += self.known
        return {outcome: counts[outcome] for outcome in Outcome if counts[outcome]}

    @property
    def _all(self) -> MessageReports:
        return self.messages if isinstance(self.messages, MessageReports) else MessageReports(self.messages)

    def to_dict(self) -> dict[str, Any]:
        """Return it as values that JSON has, its times to the millisecond."""
        return {
            "account": self.account,
            "server": self.server,
            "began": self.began.isoformat(),
            "seconds": round(self.seconds, 3),
            "listed": self.listed,
            "known": self.known,
            "octets": self.octets,
            "is_complete": self.is_complete,
            "is_finished": self.is_finished,
            "messages": [message.to_dict() for message in self.messages],
            "cautions": [{"kind": caution.kind.value, "text": caution.text} for caution in self.cautions],
            "findings": list(map(_finding_to_dict, self.findings)),
            "error": _error_to_dict(self.error),
            "login_delay": self.login_delay,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return what `to_dict` was called on; its `error` holds it in turn, and is a RuntimeError with class and text
        where it was none of mailwire's. Raises KeyError, TypeError, ValueError or AttributeError for what it did not
        return."""
        report = cls(
            account=str(data["account"]),
            server=str(data["server"]),
            began=datetime.fromisoformat(data["began"]),
            seconds=float(data["seconds"]),
            listed=int(data["listed"]),
            known=int(data["known"]),
            messages=tuple(map(MessageReport.from_dict, data["messages"])),
            cautions=tuple(Caution(CautionKind(each["kind"]), str(each["text"])) for each in data["cautions"]),
            findings=tuple(map(_finding_from_dict, data["findings"])),
            login_delay=int(data["login_delay"]),
            is_finished=bool(data.get("is_finished", True)),  # it may be missing
        )
        if data["error"] is None:
            return report
        error = _error_from_dict(data["error"])
        report = replace(report, error=error)
        if isinstance(error, MailwireError):
            error.report = report
        return report

    @property
    def summary(self) -> str:
        """The report in a line; it names the error by which the run ended, if there was one."""
        parts = [f"{count:,} {outcome.value}" for outcome, count in self.counts.items()]
        deletions = Counter(message.deleted for message in self._all.told if message.deleted)
        parts += [f"{deletions[deleted]:,} {deleted.value}" for deleted in Deleted if deletions[deleted]]
        said = ", ".join(parts) or ("no mail" if self.is_finished and self.error is None else "nothing done")
        ended = "" if self.is_finished else "; not at its end"
        ended = ended if self.error is None else f"; ended by {type(self.error).__name__}"
        return f"{self.account}: {said}; {self.octets:,} octets in {self.seconds:.1f} s{ended}"

    def __str__(self) -> str:
        """The summary, and a line for each message, caution and finding, and for the error."""
        lines = [self.summary, *map(str, self.messages)]
        lines += [f"caution: {caution}" for caution in self.cautions]
        lines += [f"finding: {finding}" for finding in self.findings]
        lines += [f"error: {type(self.error).__name__}: {self.error}"] if self.error else []
        return "\n".join(lines)


def _finding_to_dict(finding: Finding) -> dict[str, Any]:
    said = finding.said.decode("latin-1")
    return {"kind": finding.kind.name, "number": finding.number, "said": said, "text": str(finding)}


def _finding_from_dict(data: Mapping[str, Any]) -> Finding:
    number = data["number"]
    return Finding(FindingKind[data["kind"]], None if number is None else int(number), data["said"].encode("latin-1"))


def _error_to_dict(error: Exception | None) -> dict[str, Any] | None:
    if error is None or isinstance(error, MailwireError):
        return None if error is None else error_to_dict(error)
    return {"kind": type(error).__name__, "text": str(error)}


def _error_from_dict(data: Mapping[str, Any]) -> Exception:
    return error_from_dict(data) if "attributes" in data else RuntimeError(f"{data['kind']}: {data['text']}")
