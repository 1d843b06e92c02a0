from typing import Any

import pytest

from mailwire.smtp import Mailbox
from mailwire.testing import Account, Envelope, Maildrop

ALICE = Account("alice", "secret", ("alice@example.org", "Postmaster@example.org"))
BOB = Account("bob", "hidden", ("bob@example.org",))


def maildrop() -> Maildrop:
    return Maildrop([ALICE, BOB])


# Accounts


def test_an_account_without_addresses_has_its_own_name_for_one() -> None:
    assert Account("alice", "secret").addresses == ("alice@localhost",)
    assert Account("alice@example.org", "secret").addresses == ("alice@example.org",)


def test_an_account_does_not_show_its_password_and_its_tokens() -> None:
    assert "secret" not in repr(ALICE)
    assert "covert" not in repr(Account("alice", "", access_tokens=["covert"]))


@pytest.mark.parametrize("user", ["", "al\rice", "al\nice", "al\0ice"])
def test_a_user_has_a_name_that_can_stand_in_a_reply(user: str) -> None:
    with pytest.raises(ValueError, match="user name"):
        Account(user, "secret")


def test_an_address_is_an_address() -> None:
    with pytest.raises(ValueError, match="expected an address"):
        Account("alice", "secret", ("alice",))


def test_a_user_is_taken_once() -> None:
    with pytest.raises(ValueError, match="there is an account 'alice' already"):
        maildrop().add(Account("alice", "other", ("other@example.org",)))


def test_an_address_has_one_owner_whatever_its_case() -> None:
    drop = maildrop()

    with pytest.raises(ValueError, match=r"the address ALICE@example.org belongs to 'alice' already"):
        drop.add(Account("carol", "other", ("carol@example.org", "ALICE@example.org")))
    assert drop.accounts == (ALICE, BOB)


def test_an_account_is_found_by_its_user() -> None:
    drop = maildrop()

    assert drop.find("alice") == ALICE
    assert drop.find("Alice") is None
    assert drop.find("carol") is None


def test_a_certificate_is_of_one_user() -> None:
    drop = Maildrop([Account("alice", "secret", certificate_name="alice@example.org")])
    drop.add(Account("bob", "hidden"))
    drop.add(Account("carol", "covert"))
    drop.add(Account("dave", "", certificate_name="Alice@example.org"))

    with pytest.raises(ValueError, match=r"the certificate name alice@example.org belongs to 'alice' already"):
        drop.add(Account("erin", "", certificate_name="alice@example.org"))
    assert drop.find("erin") is None


def test_one_token_is_no_collection_of_them() -> None:
    with pytest.raises(ValueError, match="expected access_tokens to be a collection") as refusal:
        Account("alice", "", access_tokens="covert")
    assert "covert" not in str(refusal.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"user": 1}, "expected user to be text, got 1"),
        ({"user": "\ud800"}, "expected user to be text that UTF-8 can express"),
        ({"password": None}, "expected the password of 'alice' to be text, got a value of the type NoneType"),
        ({"password": b"covert"}, "the password of 'alice' to be text, got a value of the type bytes"),
        ({"password": "covert\ud800"}, "to be text that UTF-8 can express, got a value of the type str"),
        ({"addresses": "alice@example.org"}, r"one alone is \[text\], got 'alice@example.org'"),
        ({"addresses": [1]}, "expected each of addresses to be text, got 1"),
        ({"access_tokens": b"covert"}, "got a value of the type bytes"),
        ({"access_tokens": [b"covert"]}, "expected each of access_tokens to be text, got a value of the type bytes"),
        ({"access_tokens": iter(["covert"])}, "expected access_tokens to be a collection of texts"),
        ({"certificate_name": 1}, "expected certificate_name to be text, got 1"),
        ({"certificate_name": ""}, "must not be empty"),
    ],
)
def test_a_value_of_another_kind_is_told_and_no_secret_with_it(settings: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refusal:
        Account(**{"user": "alice", "password": "", **settings})
    assert "covert" not in str(refusal.value)


def test_what_is_no_account_is_refused_and_not_shown() -> None:
    with pytest.raises(ValueError, match=r"expected accounts, such as .* got Account\(user='alice'"):
        Maildrop(Account("alice", "covert"))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected an Account, got a value of the type tuple") as refusal:
        Maildrop([("alice", "covert")])  # type: ignore[list-item]
    assert "covert" not in str(refusal.value)


def test_a_recipient_is_known_whatever_its_case() -> None:
    drop = maildrop()

    assert drop.has_recipient(Mailbox.parse("POSTMASTER@Example.org"))
    assert not drop.has_recipient(Mailbox.parse("carol@example.org"))


# Storing


def test_mail_is_delivered_once_to_each_owner_among_the_recipients() -> None:
    drop = maildrop()
    envelope = Envelope("", ("Alice@example.org", "postmaster@example.org", "bob@example.org", "nobody@example.org"))

    uid = drop.deliver(envelope, b"hello\r\n")

    (to_alice,), (to_bob,) = drop.messages("alice"), drop.messages("bob")
    assert to_alice == to_bob
    assert (to_alice.uid, to_alice.content, to_alice.envelope) == (uid, b"hello\r\n", envelope)


@pytest.mark.parametrize(
    ("content", "stored"),
    [
        (b"", b""),
        (b"one\r\ntwo\r\n", b"one\r\ntwo\r\n"),
        (b"one\ntwo\rthree", b"one\r\ntwo\r\nthree\r\n"),
        (b"one\r", b"one\r\n"),
        (b".\r\n..\r\n", b".\r\n..\r\n"),
    ],
)
def test_line_ends_are_normalised_when_a_message_is_put(content: bytes, stored: bytes) -> None:
    drop = maildrop()

    message = drop.put("alice", content)

    assert message.content == stored
    assert drop.messages("alice") == (message,)


def test_a_nul_is_not_stored() -> None:
    drop = maildrop()

    with pytest.raises(ValueError, match="holds a NUL"):
        drop.put("alice", b"a\0b")
    assert drop.messages("alice") == ()


def test_unique_ids_are_unique() -> None:
    drop = maildrop()
    drop.put("alice", b"a", uid="00000002")

    first = drop.put("alice", b"b")
    second = drop.deliver(Envelope("", ("alice@example.org",)), b"c\r\n")

    assert [message.uid for message in drop.messages("alice")] == ["00000002", first.uid, second]
    assert len({"00000002", first.uid, second}) == 3


def test_a_unique_id_is_not_given_again() -> None:
    drop = maildrop()
    drop.put("alice", b"a", uid="x")

    with pytest.raises(ValueError, match="'alice' has a message with the unique id x already"):
        drop.put("alice", b"b", uid="x")
    assert drop.put("bob", b"b", uid="x").uid == "x"


@pytest.mark.parametrize("uid", ["", "a b", "é", "x" * 71, "a\n"])
def test_a_unique_id_is_printable_and_short(uid: str) -> None:
    with pytest.raises(ValueError, match="a unique id is 1 to 70 printable ASCII characters"):
        maildrop().put("alice", b"a", uid=uid)


def test_a_message_is_octets_and_a_unique_id_is_text() -> None:
    with pytest.raises(ValueError, match="expected the octets of a message, got 'hello'"):
        maildrop().put("alice", "hello")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected uid to be text, got 1"):
        maildrop().put("alice", b"hello", uid=1)  # type: ignore[arg-type]
    assert maildrop().put("alice", bytearray(b"hello")).content == b"hello\r\n"


def test_an_account_that_is_none_has_no_mail() -> None:
    with pytest.raises(KeyError, match=r"there is no account 'carol'; there are 'alice', 'bob'"):
        maildrop().messages("carol")
    with pytest.raises(KeyError, match="there are none"):
        Maildrop().put("carol", b"a")


# Sessions


def test_one_session_at_a_time_has_the_mail() -> None:
    drop = maildrop()
    opened = drop.open("alice")
    assert opened is not None

    assert drop.open("alice") is None
    assert drop.open("bob") is not None
    opened.release()
    assert drop.open("alice") is not None


def test_deletions_take_effect_at_the_commit() -> None:
    drop = maildrop()
    first, second = drop.put("alice", b"a"), drop.put("alice", b"b")
    opened = drop.open("alice")
    assert opened is not None

    opened.delete(1)

    assert opened.remaining == {2: second}
    assert drop.messages("alice") == (first, second)
    opened.commit()
    assert drop.messages("alice") == (second,)
    assert drop.open("alice") is not None


def test_what_is_released_is_not_deleted() -> None:
    drop = maildrop()
    message = drop.put("alice", b"a")
    opened = drop.open("alice")
    assert opened is not None
    opened.delete(1)

    opened.release()

    assert drop.messages("alice") == (message,)
    assert drop.open("alice") is not None


def test_what_is_reset_is_not_deleted() -> None:
    drop = maildrop()
    message = drop.put("alice", b"a")
    opened = drop.open("alice")
    assert opened is not None
    opened.delete(1)

    opened.reset()

    assert opened.remaining == {1: message}
    opened.commit()
    assert drop.messages("alice") == (message,)


def test_numbers_hold_while_the_mail_is_open_and_new_mail_waits() -> None:
    drop = maildrop()
    first, second = drop.put("alice", b"a"), drop.put("alice", b"b")
    opened = drop.open("alice")
    assert opened is not None

    third = drop.put("alice", b"c")
    opened.delete(1)

    assert opened.remaining == {2: second}
    opened.commit()
    again = drop.open("alice")
    assert again is not None
    assert again.remaining == {1: second, 2: third}
    assert first not in again.remaining.values()
