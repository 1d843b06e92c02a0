import pytest

from mailwire.smtp import Mailbox
from mailwire.testing import MECHANISMS, Policy


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


def test_replies_are_found_whatever_the_case() -> None:
    policy = Policy(recipient_replies={"A@example.org": "450 later"}, delivery_replies={"a@EXAMPLE.org": "550"})

    assert policy.recipient_reply(Mailbox.parse("a@Example.org")) == "450 later"
    assert policy.recipient_reply(Mailbox.parse("b@example.org")) is None
    assert policy.delivery_reply("A@example.org") == "550"
    assert policy.delivery_reply("b@example.org") is None
