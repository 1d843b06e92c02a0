from mailwire.smtp import Mailbox
from mailwire.testing import Policy


def test_a_sender_is_refused_by_address_whatever_its_case() -> None:
    policy = Policy(refused_senders=("spam@example.org",))

    assert policy.refuses(Mailbox.parse("Spam@Example.org"))
    assert not policy.refuses(Mailbox.parse("ham@example.org"))


def test_nobody_is_refused_by_default() -> None:
    assert not Policy().refuses(Mailbox.parse("spam@example.org"))
