from mailwire.testing import Channel
from mailwire.testing.channel import NO_CHANNEL


def test_without_tls_there_is_nothing_to_authenticate_by() -> None:
    assert not NO_CHANNEL.bindings
    assert not NO_CHANNEL.client_names


def test_the_bindings_are_not_shown() -> None:
    channel = Channel({"tls-unique": b"of the session's secrets"}, frozenset({"alice"}))

    assert "secrets" not in repr(channel)
    assert "alice" in repr(channel)
