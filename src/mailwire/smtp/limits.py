"""Limits: how many recipients, mails and domains a server takes (RFC 9422), and the splitting of a mail by them."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from .extensions import Extensions
from .paths import Mailbox

__all__ = ["Batch", "each_batch", "split_recipients"]


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
    return list(each_batch(recipients, offered, mails=mails, domains=domains))


def each_batch(
    recipients: Sequence[Mailbox], offered: Extensions, *, mails: int = 0, domains: Collection[str] = ()
) -> Iterator[Batch]:
    """Return what `split_recipients` returns, one batch at a time: where only the next is wanted, the others cost
    nothing."""
    rcptmax, mailmax, domain_limit = offered.rcptmax or max(1, len(recipients)), offered.mailmax, offered.rcptdomainmax
    named = {domain.lower() for domain in domains}
    for places in _by_domain(recipients, domain_limit, named):
        wanted = set() if domain_limit is None else {recipients[place].domain.lower() for place in places}
        begins_session = domain_limit is not None and len(named | wanted) > domain_limit
        named |= wanted
        for start in range(0, len(places), rcptmax):
            if begins_session or (mailmax is not None and mails >= mailmax):
                begins_session, mails, named = True, 0, set(wanted)
            mails += 1
            yield Batch(tuple(places[start : start + rcptmax]), begins_session)
            begins_session = False


def _by_domain(recipients: Sequence[Mailbox], most: int | None, named: Collection[str]) -> Sequence[Sequence[int]]:
    # Groups of places with at most so many domains each; what the session has named already is grouped first.
    if most is None:
        return [range(len(recipients))]
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
