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
