import json
import pickle
from copy import copy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire.smtp import Delivery, Receipt, RecipientReceipt, Reply
from mailwire.smtp.receipt import NO_TIMINGS

OK, LATER, NEVER = Reply(250, (b"2.0.0 ok",)), Reply(452, (b"4.5.3 too many",)), Reply(550, (b"5.1.1 who?",))
QUEUED = Reply(250, (b"2.0.0 Ok: queued as 7F94E1C0299",))

TAKEN = RecipientReceipt("b@example.org", OK, Delivery.ACCEPTED, QUEUED)
REFUSED = RecipientReceipt("c@example.org", NEVER, Delivery.REFUSED)
DEFERRED = RecipientReceipt("d@example.org", LATER, Delivery.REFUSED)
UNTRIED = RecipientReceipt("e@example.org", None, Delivery.NOT_SENT)
DOUBTFUL = RecipientReceipt("f@example.org", OK, Delivery.UNKNOWN)
ALL = (TAKEN, REFUSED, DEFERRED, UNTRIED, DOUBTFUL)


def receipt(*recipients: RecipientReceipt, delivery: Delivery = Delivery.ACCEPTED, **more: Any) -> Receipt:
    return Receipt(delivery, "a@example.org", recipients, QUEUED, 392, **more)


def test_recipients_are_sorted_by_what_became_of_their_mail() -> None:
    whole = receipt(*ALL)
    assert whole.accepted == ("b@example.org",)
    assert whole.refused == (REFUSED, DEFERRED)
    assert whole.deferred == (DEFERRED,)
    assert whole.unknown == (DOUBTFUL,)
    assert whole.retryable == (DEFERRED, UNTRIED)
    assert whole.recipients == ALL


def test_a_recipient_given_twice_is_there_twice() -> None:
    assert receipt(TAKEN, TAKEN).accepted == ("b@example.org", "b@example.org")


@pytest.mark.parametrize(
    ("entry", "decisive", "transient", "retryable"),
    [
        (TAKEN, QUEUED, False, False),
        (REFUSED, NEVER, False, False),
        (DEFERRED, LATER, True, True),
        (UNTRIED, None, False, True),
        (DOUBTFUL, None, False, False),
        # RFC 5321 4.5.3.1.10: 552 to RCPT says "too many", and is to be read as 452.
        (RecipientReceipt("b", Reply(552, (b"",)), Delivery.REFUSED), Reply(552, (b"",)), True, True),
        (RecipientReceipt("b", OK, Delivery.REFUSED, Reply(552, (b"",))), Reply(552, (b"",)), False, False),
        (RecipientReceipt("b", OK, Delivery.REFUSED, LATER), LATER, True, True),
        (RecipientReceipt("b", None, Delivery.REFUSED, LATER), LATER, True, True),
        (RecipientReceipt("b", None, Delivery.REFUSED), None, False, False),
        (RecipientReceipt("b", OK, Delivery.NOT_SENT), None, False, True),
        # 421 says nothing of the message: nobody may try again without knowing that.
        (RecipientReceipt("b", OK, Delivery.UNKNOWN, Reply(421, (b"",))), Reply(421, (b"",)), False, False),
    ],
)
def test_the_reply_that_decided_says_whether_to_try_again(
    entry: RecipientReceipt, decisive: Reply | None, transient: bool, retryable: bool
) -> None:
    assert entry.decisive_reply == decisive
    assert entry.is_transient is transient
    assert entry.is_retryable is retryable
    assert entry.enhanced_code == (decisive and decisive.enhanced_code)


def test_what_is_unknown_is_never_retryable() -> None:
    for reply in (None, OK, LATER, NEVER):
        for final in (None, OK, LATER, NEVER):
            assert not RecipientReceipt("b", reply, Delivery.UNKNOWN, final).is_retryable


def test_the_queue_id_is_that_of_an_accepted_mail() -> None:
    assert TAKEN.queue_id == "7F94E1C0299"
    assert replace(TAKEN, delivery=Delivery.UNKNOWN).queue_id is None
    assert replace(TAKEN, final_reply=None).queue_id is None
    assert receipt(REFUSED, TAKEN).queue_id == "7F94E1C0299"
    assert receipt(REFUSED).queue_id is None


def test_a_receipt_prints_as_one_line() -> None:
    assert str(receipt(TAKEN)) == "accepted for 1 of 1 recipients (250 2.0.0 Ok: queued as 7F94E1C0299)"
    assert str(replace(receipt(*ALL), reply=None)) == (
        "accepted for 1 of 5 recipients; c@example.org: refused (550 5.1.1 who?); "
        "d@example.org: refused (452 4.5.3 too many); e@example.org: not sent; f@example.org: unknown"
    )


def test_a_receipt_is_a_value() -> None:
    whole = receipt(*ALL, extensions=("SIZE",), timings={"MAIL": 0.5})
    assert whole == pickle.loads(pickle.dumps(whole))
    again = receipt(*ALL, extensions=("SIZE",), timings={"MAIL": 0.75})
    assert (again, hash(again)) == (whole, hash(whole))
    assert pickle.loads(pickle.dumps(whole)).timings == {"MAIL": 0.5}
    with pytest.raises(AttributeError):
        whole.delivery = Delivery.UNKNOWN  # type: ignore[misc]
    with pytest.raises(TypeError):
        whole.timings["MAIL"] = 1.0  # type: ignore[index]
    assert receipt().timings is NO_TIMINGS


def test_a_receipt_says_in_json_what_can_be_read_without_us() -> None:
    data = json.loads(json.dumps(receipt(TAKEN, UNTRIED, timings={"MAIL": 0.5}).to_dict()))
    assert data == {
        "delivery": "accepted",
        "sender": "a@example.org",
        "recipients": [
            {
                "address": "b@example.org",
                "delivery": "accepted",
                "reply": {"code": 250, "text": "2.0.0 ok", "lines": ["2.0.0 ok"]},
                "final_reply": {
                    "code": 250,
                    "text": "2.0.0 Ok: queued as 7F94E1C0299",
                    "lines": ["2.0.0 Ok: queued as 7F94E1C0299"],
                },
            },
            {"address": "e@example.org", "delivery": "not sent", "reply": None, "final_reply": None},
        ],
        "reply": {
            "code": 250,
            "text": "2.0.0 Ok: queued as 7F94E1C0299",
            "lines": ["2.0.0 Ok: queued as 7F94E1C0299"],
        },
        "queue_id": "7F94E1C0299",
        "octets": 392,
        "extensions": [],
        "timings": {"MAIL": 0.5},
    }


replies = st.none() | st.builds(
    Reply, st.integers(200, 599), st.lists(st.binary(max_size=20), min_size=1, max_size=3).map(tuple)
)
entries = st.builds(RecipientReceipt, st.text(max_size=10), replies, st.sampled_from(Delivery), replies)
receipts = st.builds(
    Receipt,
    st.sampled_from(Delivery),
    st.text(max_size=10),
    st.lists(entries, max_size=3).map(tuple),
    replies,
    st.integers(0),
    st.lists(st.text(max_size=5), max_size=2).map(tuple),
    st.dictionaries(st.text(max_size=5), st.floats(0, 1e9), max_size=2),
)


@given(receipts)
def test_whatever_was_written_as_json_is_read_back(whole: Receipt) -> None:
    again = Receipt.from_dict(json.loads(json.dumps(whole.to_dict())))
    assert again == whole
    assert again.timings == whole.timings
    assert "\n" not in str(replace(whole, sender="", recipients=()))


@pytest.mark.parametrize("spoilt", ["delivery", "recipients", "reply", "octets", "timings"])
def test_what_is_no_receipt_in_json_is_an_error(spoilt: str) -> None:
    data = receipt(TAKEN).to_dict()
    for value in ("x", [5], 5.5):
        if spoilt == "octets" and value == 5.5:
            continue
        with pytest.raises((KeyError, TypeError, ValueError)):
            Receipt.from_dict({**data, spoilt: value})
    del data[spoilt]
    with pytest.raises(KeyError):
        Receipt.from_dict(data)


# Several transactions


def test_receipts_of_one_mail_are_joined() -> None:
    first = receipt(TAKEN, DEFERRED, extensions=("SIZE", "DSN"), timings={"MAIL": 1.0, "DATA": 2.0})
    second = Receipt(
        Delivery.REFUSED, "a@example.org", (REFUSED,), NEVER, 5, extensions=("DSN", "X"), timings={"MAIL": 0.5}
    )
    whole = Receipt.joined([first, second])
    assert whole == Receipt(
        Delivery.ACCEPTED,
        "a@example.org",
        (TAKEN, DEFERRED, REFUSED),
        QUEUED,
        397,
        extensions=("SIZE", "DSN", "X"),
        timings={"MAIL": 1.5, "DATA": 2.0},
    )
    assert Receipt.joined([first, second], [(0, 2), (1,)]).recipients == (TAKEN, REFUSED, DEFERRED)
    assert Receipt.joined([first]) == first
    assert whole.timings == {"MAIL": 1.5, "DATA": 2.0}


@pytest.mark.parametrize(
    ("words", "word"),
    [
        ("ACCEPTED UNKNOWN REFUSED NOT_SENT", Delivery.UNKNOWN),
        ("REFUSED ACCEPTED NOT_SENT", Delivery.ACCEPTED),
        ("NOT_SENT REFUSED", Delivery.REFUSED),
        ("NOT_SENT NOT_SENT", Delivery.NOT_SENT),
    ],
)
def test_the_word_for_the_whole_is_the_most_doubtful_else_the_best(words: str, word: Delivery) -> None:
    parts = [
        Receipt(Delivery[name], "", (), Reply(200 + number, (b"",)), 0) for number, name in enumerate(words.split())
    ]
    whole = Receipt.joined(parts)
    assert whole.delivery is word
    assert whole.reply == next(part.reply for part in parts if part.delivery is word)


@pytest.mark.parametrize(
    ("parts", "places", "message"),
    [
        ([], None, "expected receipts to join, got none"),
        ([receipt(TAKEN)], [], "expected a place for each of 1 recipients, got 0"),
        ([receipt(TAKEN)], [(1,)], "expected a place for each of 1 recipients, got 1"),
        ([receipt(TAKEN, TAKEN)], [(0, 0)], "expected a place for each of 2 recipients, got 2"),
    ],
)
def test_what_does_not_make_a_whole_is_refused(
    parts: list[Receipt], places: list[tuple[int, ...]] | None, message: str
) -> None:
    with pytest.raises(ValueError) as refusal:
        Receipt.joined(parts, places)
    assert str(refusal.value) == message


def test_a_receipt_that_is_written_when_it_is_read_is_like_any_other() -> None:
    whole = Receipt(Delivery.ACCEPTED, "a@x", (RecipientReceipt("b@x", OK, Delivery.ACCEPTED, OK),), OK, 7, ("SIZE",))
    made: list[Receipt] = []

    def write() -> Receipt:
        made.append(whole)
        return whole

    def lazy() -> Receipt:
        return Receipt.to_write(Delivery.ACCEPTED, write)

    assert lazy().delivery is Delivery.ACCEPTED
    assert made == []
    assert lazy() == whole
    assert hash(lazy()) == hash(whole)
    assert repr(lazy()) == repr(whole)
    assert pickle.loads(pickle.dumps(lazy())) == copy(lazy()) == whole
    assert lazy().to_dict() == whole.to_dict()
    made.clear()
    receipt = lazy()
    assert (receipt.octets, receipt.sender, receipt.reply) == (7, "a@x", OK)
    assert len(made) == 1
    assert not hasattr(receipt, "colour")
    assert not hasattr(whole, "colour")
