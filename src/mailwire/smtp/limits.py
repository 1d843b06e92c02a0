"""Limits: how many recipients, mails and domains a server takes (RFC 9422), and the splitting of a mail by them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from .extensions import Extensions
from .paths import Mailbox

__all__ = ["Batch", "split_recipients"]


@dataclass(frozen=True, slots=True)
class Batch:
    """The recipients of one transaction, as places in the list of all of them.

    begins_session: the transaction needs a connection of its own, for the one before has reached a limit.
    """

    places: tuple[int, ...]
    begins_session: bool = False


def split_recipients(
    recipients: Sequence[Mailbox], offered: Extensions, *, mails: int = 0, domains: Collection[str] = ()
) -> list[Batch]:
    """Split `recipients` into transactions that a server which has `offered` this can take.

    RCPTMAX bounds the recipients of a transaction, MAILMAX the transactions of a session, RCPTDOMAINMAX the domains of
    a session. Where domains count, the recipients of one stay together. Within a transaction the order is kept, and
    those given first go first.

    mails: how many MAIL commands the session has had.
    domains: which domains its recipients have had.
    """
    rcptmax = offered.rcptmax or max(1, len(recipients))
    batches: list[Batch] = []
    named = {domain.lower() for domain in domains}
    for places in _by_domain(recipients, offered.rcptdomainmax, named):
        wanted = {recipients[place].domain.lower() for place in places} if offered.rcptdomainmax else set()
        begins_session = offered.rcptdomainmax is not None and len(named | wanted) > offered.rcptdomainmax
        for start in range(0, len(places), rcptmax):
            if begins_session or (offered.mailmax is not None and mails >= offered.mailmax):
                begins_session, mails, named = True, 0, set()
            mails += 1
            named |= wanted
            batches.append(Batch(tuple(places[start : start + rcptmax]), begins_session))
            begins_session = False
    return batches


def _by_domain(recipients: Sequence[Mailbox], most: int | None, named: Collection[str]) -> list[list[int]]:
    # Groups of places with at most so many domains each; what the session has named already is grouped first.
    if most is None:
        return [list(range(len(recipients)))]
    by_domain: dict[str, list[int]] = {}
    for place, recipient in enumerate(recipients):
        by_domain.setdefault(recipient.domain.lower(), []).append(place)
    order = sorted(by_domain, key=lambda domain: domain not in named)  # stable: those given first go first
    groups: list[list[int]] = []
    room = most - len(named)
    begins = True
    for domain in order:
        if domain not in named:
            if room <= 0:
                room, begins = most, True
            room -= 1
        if begins:
            groups.append([])
            begins = False
        groups[-1].extend(by_domain[domain])
    return [sorted(group) for group in groups]
