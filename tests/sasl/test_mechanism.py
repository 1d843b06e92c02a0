from mailwire.sasl import Mechanism, MechanismFailed


class Anonymous(Mechanism):
    """ANONYMOUS (RFC 4505), as somebody outside would write it."""

    name = "ANONYMOUS"
    exposes_password = False

    def initial_response(self) -> bytes:
        return b"sirhc"

    def respond(self, challenge: bytes) -> bytes:
        raise MechanismFailed("ANONYMOUS expects no challenge")


class ServerFirst(Mechanism):
    """A mechanism without an initial response, that leaves out all it may leave out."""

    name = "SERVER-FIRST"

    def initial_response(self) -> None: ...

    def respond(self, challenge: bytes) -> bytes:
        return challenge


def test_a_mechanism_of_ones_own_needs_two_methods() -> None:
    mechanism = Anonymous()
    assert mechanism.initial_response() == b"sirhc"
    assert mechanism.is_complete


def test_a_mechanism_is_taken_to_expose_the_password_unless_it_says_otherwise() -> None:
    assert Mechanism.exposes_password
    assert not Anonymous.exposes_password


def test_a_mechanism_proves_no_server_and_has_no_secrets_unless_it_says_otherwise() -> None:
    assert not Mechanism.proves_server
    assert (Anonymous().proves_server, list(Anonymous().secrets)) == (False, [])


def test_the_server_speaks_first_where_there_is_no_initial_response() -> None:
    mechanism: Mechanism = ServerFirst()
    assert mechanism.initial_response() is None
    assert mechanism.respond(b"?") == b"?"
    assert mechanism.is_complete


def test_a_failed_mechanism_is_no_error_of_mailwire() -> None:
    assert MechanismFailed.__bases__ == (Exception,)
