"""PLAIN (RFC 4616): the identity and the password in one message."""

from .credentials import Password
from .mechanism import Mechanism, MechanismFailed

__all__ = ["Plain"]


class Plain(Mechanism):
    """PLAIN. Raises ValueError for a NUL, which separates the fields, and for an empty user name or password."""

    name = "PLAIN"

    def __init__(self, credentials: Password) -> None:
        # The password is no local variable here: a traceback may show locals.
        if any("\0" in text for text in (credentials.authzid, credentials.user, credentials.password)):
            raise ValueError("neither authzid nor user nor password may hold a NUL for PLAIN")
        if not credentials.user or not credentials.password:
            raise ValueError("PLAIN needs a user and a password that are not empty (RFC 4616 2)")
        self._password = credentials.password.encode()
        self._message = f"{credentials.authzid}\0{credentials.user}\0".encode() + self._password
        self._said = False

    def initial_response(self) -> bytes:
        self._said = True
        return self._message

    def respond(self, challenge: bytes) -> bytes:
        # Where no initial response may be sent, the server asks for it with an empty challenge.
        if self._said or challenge:
            raise MechanismFailed("PLAIN expects no challenge behind its one message")
        return self.initial_response()

    @property
    def is_complete(self) -> bool:
        return self._said

    @property
    def secrets(self) -> tuple[bytes, ...]:
        return (self._password,)
