"""LOGIN (draft-murchison-sasl-login): the user name and the password, each asked for.

It was never standardised, and servers word the two prompts as they like: only their order counts.
"""

from .credentials import Password
from .mechanism import Mechanism, MechanismFailed

__all__ = ["Login"]


class Login(Mechanism):
    """LOGIN. Raises ValueError for an empty user name or password, and for an authzid, which it cannot carry."""

    name = "LOGIN"

    def __init__(self, credentials: Password) -> None:
        if credentials.authzid:
            raise ValueError("LOGIN has no place for an authzid")
        if not credentials.user or not credentials.password:
            raise ValueError("LOGIN needs a user and a password that are not empty")
        self._password = credentials.password.encode()
        self._responses = [credentials.user.encode(), self._password]

    def initial_response(self) -> None:
        return None

    def respond(self, challenge: bytes) -> bytes:
        if not self._responses:
            raise MechanismFailed("LOGIN expects no third challenge")
        return self._responses.pop(0)

    @property
    def is_complete(self) -> bool:
        return not self._responses

    @property
    def secrets(self) -> tuple[bytes, ...]:
        return (self._password,)
