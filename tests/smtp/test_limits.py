import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire.smtp import Mailbox
from mailwire.smtp.extensions import Extensions
from mailwire.smtp.limits import Batch, each_batch, split_recipients

A1, A2, A3 = (Mailbox(name, "a.example") for name in ("1", "2", "3"))
B1, B2 = (Mailbox(name, "B.example") for name in ("1", "2"))
C1 = Mailbox("1", "c.example")


def limits(**words: int) -> Extensions:
    return Extensions({"LIMITS": tuple(f"{name}={value}" for name, value in words.items())})


def test_where_no_limit_is_announced_a_mail_is_one_transaction() -> None:
    assert split_recipients([A1, B1, C1], Extensions()) == [Batch((0, 1, 2))]
    assert split_recipients([], Extensions()) == []
    assert split_recipients([], limits(RCPTMAX=1, MAILMAX=1, RCPTDOMAINMAX=1)) == []


def test_rcptmax_bounds_the_recipients_of_a_transaction() -> None:
    assert split_recipients([A1, A2, A3, B1, B2], limits(RCPTMAX=2)) == [Batch((0, 1)), Batch((2, 3)), Batch((4,))]
    assert split_recipients([A1, A1], limits(RCPTMAX=1)) == [Batch((0,)), Batch((1,))]


def test_mailmax_bounds_the_transactions_of_a_session() -> None:
    offered = limits(RCPTMAX=1, MAILMAX=2)
    assert split_recipients([A1, A2, A3, B1, B2], offered, mails=1) == [
        Batch((0,)),
        Batch((1,), begins_session=True),
        Batch((2,)),
        Batch((3,), begins_session=True),
        Batch((4,)),
    ]
    assert split_recipients([A1], offered, mails=2) == [Batch((0,), begins_session=True)]
    assert split_recipients([A1], limits(MAILMAX=1)) == list(each_batch([A1], limits(MAILMAX=1))) == [Batch((0,))]


def test_rcptdomainmax_bounds_the_domains_of_a_session() -> None:
    offered = limits(RCPTDOMAINMAX=1)
    assert split_recipients([A1, B1, A2, C1, B2], offered) == [
        Batch((0, 2)),
        Batch((1, 4), begins_session=True),
        Batch((3,), begins_session=True),
    ]
    assert split_recipients([A1, B1, A2, C1, B2], limits(RCPTDOMAINMAX=2)) == [
        Batch((0, 1, 2, 4)),
        Batch((3,), begins_session=True),
    ]


def test_a_domain_that_the_session_has_named_costs_nothing_more() -> None:
    offered = limits(RCPTDOMAINMAX=1)
    assert split_recipients([A1, B1], offered, domains=["b.EXAMPLE"]) == [Batch((1,)), Batch((0,), begins_session=True)]
    assert split_recipients([A1], offered, domains=["b.example"]) == [Batch((0,), begins_session=True)]
    assert split_recipients([A1, B1, C1], limits(RCPTDOMAINMAX=2), domains=["c.example"]) == [
        Batch((0, 2)),
        Batch((1,), begins_session=True),
    ]
    assert split_recipients([A1, B1, C1], limits(RCPTDOMAINMAX=3), domains=["d.example"]) == [
        Batch((0, 1)),
        Batch((2,), begins_session=True),
    ]


def test_a_batch_is_made_when_it_is_wanted() -> None:
    batches = each_batch([A1, B1, C1], limits(RCPTMAX=1, RCPTDOMAINMAX=3), mails=5, domains=["c.example"])
    assert next(batches) == Batch((0,))
    assert list(batches) == [Batch((1,)), Batch((2,))]


def test_a_session_that_begins_among_the_recipients_of_some_domains_has_named_them_all() -> None:
    offered = limits(RCPTMAX=1, MAILMAX=2, RCPTDOMAINMAX=2)
    assert split_recipients([A1, B1, A2, C1], offered, domains=["a.example"]) == [
        Batch((0,)),
        Batch((1,)),
        Batch((2,), begins_session=True),
        Batch((3,), begins_session=True),
    ]


domains = st.sampled_from(["a.example", "A.EXAMPLE", "b.example", "c.example", "d.example"])


@pytest.mark.parametrize("mails", [0, 1])
@given(
    st.lists(st.builds(Mailbox, st.sampled_from("xyz"), domains), max_size=12),
    st.fixed_dictionaries({}, optional={name: st.integers(1, 4) for name in ("RCPTMAX", "MAILMAX", "RCPTDOMAINMAX")}),
    st.sets(st.sampled_from(["a.example", "e.example"]), max_size=1),
)
def test_every_recipient_is_in_one_transaction_and_no_limit_is_exceeded(
    mails: int, recipients: list[Mailbox], words: dict[str, int], named: set[str]
) -> None:
    offered = limits(**words)
    batches = split_recipients(recipients, offered, mails=mails, domains=named)
    assert sorted(place for batch in batches for place in batch.places) == list(range(len(recipients)))
    count, seen = mails, set(named)
    for batch in batches:
        assert list(batch.places) == sorted(batch.places)
        if batch.begins_session:
            count, seen = 0, set()
        count += 1
        seen |= {recipients[place].domain.lower() for place in batch.places}
        assert 0 < len(batch.places) <= words.get("RCPTMAX", 100)
        assert count <= words.get("MAILMAX", 100)
        assert len(seen) <= words.get("RCPTDOMAINMAX", 100)
