import pickle

import pytest

from mailwire.smtp import Delivery, Receipt, RecipientReceipt, Reply

OK, LATER, NEVER = Reply(250, (b"ok",)), Reply(452, (b"too many",)), Reply(550, (b"who?",))


def receipt(*recipients: RecipientReceipt, delivery: Delivery = Delivery.ACCEPTED) -> Receipt:
    return Receipt(delivery, "a@example.org", recipients, OK, 392)


def test_recipients_are_sorted_by_what_became_of_their_mail() -> None:
    taken = RecipientReceipt("b@example.org", OK, Delivery.ACCEPTED)
    refused = RecipientReceipt("c@example.org", NEVER, Delivery.REFUSED)
    deferred = RecipientReceipt("d@example.org", LATER, Delivery.REFUSED)
    untried = RecipientReceipt("e@example.org", None, Delivery.NOT_SENT)
    doubtful = RecipientReceipt("f@example.org", OK, Delivery.UNKNOWN)
    whole = receipt(taken, refused, deferred, untried, doubtful)
    assert whole.accepted == ("b@example.org",)
    assert whole.refused == (refused, deferred)
    assert whole.recipients == (taken, refused, deferred, untried, doubtful)


def test_a_recipient_given_twice_is_there_twice() -> None:
    entry = RecipientReceipt("b@example.org", OK, Delivery.ACCEPTED)
    assert receipt(entry, entry).accepted == ("b@example.org", "b@example.org")


def test_the_words_for_delivery_are_four() -> None:
    assert [word.value for word in Delivery] == ["not sent", "refused", "accepted", "unknown"]
    assert repr(Delivery.UNKNOWN) == "Delivery.UNKNOWN"


def test_a_receipt_is_a_value() -> None:
    entry = RecipientReceipt("b@example.org", OK, Delivery.ACCEPTED)
    assert receipt(entry) == pickle.loads(pickle.dumps(receipt(entry)))
    assert hash(receipt(entry)) == hash(receipt(entry))
    with pytest.raises(AttributeError):
        receipt(entry).delivery = Delivery.UNKNOWN  # type: ignore[misc]
