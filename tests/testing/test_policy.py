from typing import Any

import pytest

from mailwire.smtp import Mailbox
from mailwire.testing import MECHANISMS, Account, Maildrop, Policy, SMTPServer


class Address(str):
    """An address that knows how often addresses like it were looked at."""

    __slots__ = ()
    times = 0

    def __hash__(self) -> int:
        Address.times += 1
        return super().__hash__()


def test_the_addresses_of_replies_are_looked_at_once_and_not_for_each_recipient() -> None:
    replies: dict[str, str] = {Address(f"user{number}@example.org"): "450 later" for number in range(10)}
    policy = Policy(recipient_replies=replies, delivery_replies=replies)
    assert policy.recipient_reply(Mailbox.parse("other@example.org")) is policy.delivery_reply("other@example.org")
    times = Address.times
    for number in range(10):
        address = f"user{number}@example.org"
        assert policy.recipient_reply(Mailbox.parse(address)) == policy.delivery_reply(address) == "450 later"
    assert Address.times == times


def test_replies_may_be_changed_while_a_server_runs() -> None:
    replies = {"a@example.org": "450 later"}
    policy = Policy(recipient_replies=replies)
    assert policy.recipient_reply(Mailbox.parse("A@example.org")) == "450 later"
    replies["a@example.org"] = "550 never"
    assert policy.recipient_reply(Mailbox.parse("A@example.org")) == "550 never"
    replies.clear()
    assert policy.recipient_reply(Mailbox.parse("A@example.org")) is None


def test_a_sender_is_refused_by_address_whatever_its_case() -> None:
    policy = Policy(refused_senders=("spam@example.org",))

    assert policy.refuses(Mailbox.parse("Spam@Example.org"))
    assert not policy.refuses(Mailbox.parse("ham@example.org"))


def test_nobody_is_refused_by_default() -> None:
    assert not Policy().refuses(Mailbox.parse("spam@example.org"))


def test_every_mechanism_can_be_offered_and_no_other() -> None:
    assert Policy(mechanisms=MECHANISMS).mechanisms == MECHANISMS
    for name in ("APOP", "plain", "SCRAM-SHA-224", ""):
        with pytest.raises(ValueError, match=r"expected mechanisms of SCRAM-SHA-512-PLUS, .*ANONYMOUS; got"):
            Policy(mechanisms=("PLAIN", name))


def test_the_mechanisms_with_the_password_itself_are_offered_by_default() -> None:
    assert Policy().mechanisms == ("PLAIN", "LOGIN")


@pytest.mark.parametrize("iterations", [0, -1, 2**31])
def test_a_number_of_iterations_is_one_that_can_be_done(iterations: int) -> None:
    assert Policy(scram_iterations=1).scram_iterations == 1
    assert Policy(scram_iterations=2**31 - 1).scram_iterations == 2**31 - 1
    with pytest.raises(ValueError, match="iterations"):
        Policy(scram_iterations=iterations)


def test_a_timestamp_is_a_message_identifier_and_never_said_again() -> None:
    policy = Policy(hostname="mail.example.org")
    timestamps = {policy.new_timestamp() for _ in range(10)}

    assert len(timestamps) == 10
    assert all(timestamp.startswith("<") and timestamp.endswith("@mail.example.org>") for timestamp in timestamps)
    assert Policy(make_nonce=lambda: "1896.697170952").new_timestamp() == "<1896.697170952@localhost>"


@pytest.mark.parametrize("made", ["", "a b", "a,b", "<a", "a>", "a@b", "\xe9", "a\r\n", b"abc", None])
def test_what_is_no_nonce_is_told(made: Any) -> None:
    with pytest.raises(RuntimeError, match="expected make_nonce to make printable ASCII"):
        Policy(make_nonce=lambda: made).new_timestamp()


def test_whatever_a_nonce_may_hold_it_holds() -> None:
    nonce = "".join(chr(octet) for octet in range(0x21, 0x7F) if chr(octet) not in ",<>@")
    assert Policy(make_nonce=lambda: nonce).new_nonce() == nonce


@pytest.mark.parametrize("made", [b"", "salt", None])
def test_what_is_no_salt_is_told(made: Any) -> None:
    with pytest.raises(RuntimeError, match="expected make_salt to make bytes, one at least"):
        Policy(make_salt=lambda: made).new_salt()


def test_scram_takes_no_nonce_and_no_salt_that_are_none() -> None:
    for settings in ({"make_nonce": lambda: "a,b"}, {"make_salt": lambda: b""}):
        policy = Policy(mechanisms=("SCRAM-SHA-256",), **settings)
        session = SMTPServer(Maildrop([Account("alice", "secret")]), policy=policy)
        session.receive_data(b"EHLO c\r\n")
        with pytest.raises(RuntimeError):
            session.receive_data(b"AUTH SCRAM-SHA-256 biwsbj1hbGljZSxyPWFiYw==\r\n")


def test_an_extension_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="got 'XYZ'"):
        Policy(extensions=["SIZE", "XYZ"])


def test_a_limit_is_one_at_least() -> None:
    with pytest.raises(ValueError, match="got 0"):
        Policy(recipient_limit=0)
    with pytest.raises(ValueError, match="got -1"):
        Policy(recipient_domain_limit=1, message_limit=-1)
    assert not Policy().limits


@pytest.mark.parametrize("line", ["no", "354 go", "650 no", "250-more", "250 two\r\n250 lines"])
def test_a_line_that_is_no_reply_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="expected a reply"):
        Policy(recipient_replies={"a@example.org": line})
    with pytest.raises(ValueError, match="expected a reply"):
        Policy(delivery_replies={"a@example.org": line})
    with pytest.raises(ValueError, match="expected a reply"):
        Policy(sender_replies={"a@example.org": line})


def test_replies_are_found_whatever_the_case() -> None:
    policy = Policy(recipient_replies={"A@example.org": "450 later"}, delivery_replies={"a@EXAMPLE.org": "550"})

    assert policy.recipient_reply(Mailbox.parse("a@Example.org")) == "450 later"
    assert policy.recipient_reply(Mailbox.parse("b@example.org")) is None
    assert policy.delivery_reply("A@example.org") == "550"
    assert policy.delivery_reply("b@example.org") is None


def test_a_message_has_a_reply_where_all_recipients_have_the_same() -> None:
    policy = Policy(
        delivery_replies={"a@example.org": "450 later", "b@example.org": "450 later", "c@example.org": "550"}
    )
    replies = {
        names: policy.message_reply(f"{name}@example.org" for name in names) for names in ("a", "Ab", "bc", "ad")
    }
    assert replies == {"a": "450 later", "Ab": "450 later", "bc": None, "ad": None}
    assert Policy().message_reply(["a@example.org"]) is None


def test_addresses_are_compared_as_they_are_meant() -> None:
    policy = Policy(refused_senders=['"spam"@example.org'], recipient_replies={'"a"@example.org': "450 later"})

    assert policy.refuses(Mailbox.parse("spam@example.org"))
    assert policy.recipient_reply(Mailbox.parse("a@example.org")) == "450 later"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"hostname": 1}, "expected hostname to be text, got 1"),
        ({"hostname": ""}, "expected a domain name"),
        ({"hostname": "a\r\n250 b"}, r"got 'a\\r\\n250 b'"),
        ({"size_limit": "1000"}, "expected size_limit to be a whole number, 1 at least, got '1000'"),
        ({"size_limit": 0}, "1 at least, got 0"),
        ({"require_auth": "no"}, "expected require_auth to be True or False, got 'no'"),
        ({"apop": 1}, "expected apop to be True or False, got 1"),
        ({"mechanisms": "PLAIN"}, r"in which one alone is \[text\], got 'PLAIN'"),
        ({"mechanisms": [None]}, "expected each of mechanisms to be text, got None"),
        ({"extensions": "SIZE"}, r"in which one alone is \[text\], got 'SIZE'"),
        ({"extensions": iter(["SIZE"])}, "expected extensions to be a collection of texts"),
        ({"scram_iterations": 4096.5}, "from 1 to 2147483647, got 4096.5"),
        ({"oauth_scope": None}, "expected oauth_scope to be text, got None"),
        ({"make_nonce": "1896"}, "expected make_nonce to be a function, got '1896'"),
        ({"make_salt": b"salt"}, "expected make_salt to be a function, got b'salt'"),
        ({"refused_senders": "spam@example.org"}, r"in which one alone is \[text\], got 'spam@example.org'"),
        ({"refused_senders": ["spam"]}, "expected an address like name@example.org, got 'spam'"),
        ({"refused_senders": [1]}, "expected each of refused_senders to be text, got 1"),
        ({"recipient_limit": True}, "expected recipient_limit to be a whole number, 1 at least, got True"),
        ({"recipient_domain_limit": "1"}, "got '1'"),
        ({"message_limit": 1.5}, "got 1.5"),
        ({"recipient_replies": ["450"]}, r"a mapping of addresses to replies, got \['450'\]"),
        ({"recipient_replies": {"bob": "450"}}, "got 'bob'"),
        ({"recipient_replies": {1: "450"}}, "expected each address of recipient_replies to be text, got 1"),
        ({"delivery_replies": {"a@example.org": 450}}, "expected each reply of delivery_replies to be text, got 450"),
    ],
)
def test_a_value_of_another_kind_is_told(settings: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Policy(**settings)
