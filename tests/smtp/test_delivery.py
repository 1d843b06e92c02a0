from itertools import product

import pytest

from mailwire.smtp import Delivery, Reply
from mailwire.smtp.delivery import Heard, joined_word
from tests.smtp.oracle import Account, word_for, words_for


def reply(code: int | None) -> Reply | None:
    return None if code is None else Reply(code, (b"",))


def test_the_words_are_four() -> None:
    assert [word.value for word in Delivery] == ["not sent", "refused", "accepted", "unknown"]
    assert repr(Delivery.UNKNOWN) == "Delivery.UNKNOWN"


def test_the_word_for_several_transactions_is_the_first_of_an_order() -> None:
    order = [Delivery.UNKNOWN, Delivery.ACCEPTED, Delivery.REFUSED, Delivery.NOT_SENT]
    for words in product(order, repeat=3):
        assert joined_word(words) is min(words, key=order.index)
    assert joined_word(()) is Delivery.NOT_SENT


@pytest.mark.parametrize("lmtp", [False, True])
def test_the_law_is_the_oracles_for_all_that_can_be_heard(lmtp: bool) -> None:
    """Every answer to MAIL, two RCPT, DATA or a chunk, and the end, as far as answers come in order."""
    codes = (None, 250, 450, 550, 421)
    for mail, first, second, data, chunk, early, ended in product(
        codes, codes, codes, (None, 354, 451, 421), (None, 250, 552), (None, 552, 421), (False, True)
    ):
        answered = [mail, first, second]
        if None in answered and any(code is not None for code in answered[answered.index(None) :]):
            continue
        if (data is not None and (None in answered or chunk is not None)) or (early is not None and data != 354):
            continue
        if (chunk is not None and None in answered) or (ended and early is not None):
            continue
        stood = sum(code == 250 for code in (first, second))
        due = stood if lmtp and stood and (chunk is None or chunk == 250) else 1
        for ends in [(), *product((250, 451, 554, 421), repeat=1), *product((250, 554), repeat=2)]:
            if len(ends) > due or (ends and (not ended or None in answered)):
                continue
            account = Account(mail, [first, second], data, [] if chunk is None else [chunk], ended, list(ends), early)
            verdicts = ends if early is None else (early,)
            heard = Heard(
                mail=reply(mail),
                recipients=[Reply(code, (b"",)) for code in (first, second) if code is not None],
                data=reply(data),
                chunk=reply(chunk) if chunk == 552 else None,
                verdicts=[Reply(code, (b"",)) for code in verdicts],
                is_early=early is not None,
            )
            in_doubt = ended or early is not None
            words = heard.words(2, in_doubt=in_doubt and early is None, lmtp=lmtp)
            assert words == words_for(account, 2, lmtp=lmtp), account
            for all_or_nothing in (False, True):
                assert heard.word(words, all_or_nothing=all_or_nothing) is word_for(
                    words, all_or_nothing=all_or_nothing
                )


@pytest.mark.parametrize("lmtp", [False, True])
def test_where_there_was_a_reply_too_many_nothing_is_known_of_anybody(lmtp: bool) -> None:
    yes, no = Reply(250, (b"",)), Reply(550, (b"",))
    heard = Heard(mail=no, recipients=[yes, no], chunk=no, verdicts=[yes], is_miscounted=True)
    assert heard.words(3, in_doubt=True, lmtp=lmtp) == [Delivery.UNKNOWN] * 3


def test_each_recipient_of_lmtp_has_the_verdict_in_its_place() -> None:
    yes, no = Reply(250, (b"",)), Reply(550, (b"",))
    heard = Heard(recipients=[yes, no, yes, yes], verdicts=[yes, no, yes])
    assert heard.words(4, in_doubt=True, lmtp=True) == [
        *(Delivery.ACCEPTED, Delivery.REFUSED, Delivery.REFUSED, Delivery.ACCEPTED)
    ]
