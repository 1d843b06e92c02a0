"""EXTERNAL (RFC 4422 appendix A): the link below has proved already who we are."""

from .fields import encode_field
from .identities import External
from .mechanism import Mechanism, MechanismFailed

__all__ = ["ExternalMechanism"]


class ExternalMechanism(Mechanism):
    """EXTERNAL. Raises ValueError for a NUL in the authzid (RFC 4422 A.1)."""

    name = "EXTERNAL"
    exposes_password = False

    def __init__(self, credentials: External) -> None:
        self._message = encode_field("authzid", credentials.authzid)
        self._said = False

    def initial_response(self) -> bytes:
        self._said = True
        return self._message

    def respond(self, challenge: bytes) -> bytes:
        # Where no initial response may be sent, the server asks for it with an empty challenge.
        if self._said or challenge:
            raise MechanismFailed("EXTERNAL expects no challenge behind its one message")
        return self.initial_response()

    @property
    def is_complete(self) -> bool:
        return self._said
