"""StoredKeys: what a server keeps of a password for SCRAM (RFC 5802 3), so that it need not keep the password.

The testing server does know the password; it works with these so that what it does is what RFC 5802 describes, and so
that a large number of iterations is paid for once.
"""

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Self

__all__ = ["StoredKeys"]


@dataclass(frozen=True, slots=True)
class StoredKeys:
    """StoredKey and ServerKey of a user, for one hash function, called as hashlib calls it."""

    function: str
    salt: bytes
    iterations: int
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)

    @classmethod
    def derive(cls, function: str, password: bytes, salt: bytes, iterations: int) -> Self:
        """Derive them from `password`, which is prepared and in UTF-8."""
        salted_password = hashlib.pbkdf2_hmac(function, password, salt, iterations)
        client_key = hmac.digest(salted_password, b"Client Key", function)
        stored_key = hashlib.new(function, client_key).digest()
        return cls(function, salt, iterations, stored_key, hmac.digest(salted_password, b"Server Key", function))

    def verify(self, auth_message: bytes, proof: bytes) -> bool:
        """Whether `proof`, which the client said with the AuthMessage, is made with the ClientKey."""
        client_signature = hmac.digest(self.stored_key, auth_message, self.function)
        if len(proof) != len(client_signature):
            return False
        client_key = bytes(a ^ b for a, b in zip(proof, client_signature, strict=True))
        return hmac.compare_digest(hashlib.new(self.function, client_key).digest(), self.stored_key)

    def sign(self, auth_message: bytes) -> bytes:
        """Return the ServerSignature."""
        return hmac.digest(self.server_key, auth_message, self.function)
