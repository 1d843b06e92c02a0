"""Keys: what SCRAM derives from a password, and a cache for it (RFC 5802 3)."""

import hashlib
import hmac
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

__all__ = ["HASHES", "HashName", "KeyCache", "Keys"]

HashName: TypeAlias = Literal["SHA-1", "SHA-256", "SHA-512"]
"""A hash by its name in the name of a mechanism (SCRAM-SHA-256)."""

HASHES: Final[dict[HashName, str]] = {"SHA-1": "sha1", "SHA-256": "sha256", "SHA-512": "sha512"}
"""What hashlib calls a hash, by its name in the name of a mechanism."""


@dataclass(frozen=True, slots=True)
class Keys:
    """ClientKey and ServerKey. Whoever has them can log in as the user, and pose as the server to the user."""

    client: bytes = field(repr=False)
    server: bytes = field(repr=False)

    @classmethod
    def derive(cls, hash_name: HashName, password: bytes, salt: bytes, iterations: int) -> "Keys":
        """Derive them from `password`, which is prepared and in UTF-8. A million iterations take most of a second."""
        function = HASHES[hash_name]
        # RFC 5802 2.2: Hi() is PBKDF2 (RFC 8018 5.2) with HMAC, and as long as the hash.
        salted_password = hashlib.pbkdf2_hmac(function, password, salt, iterations)
        return cls(
            client=hmac.digest(salted_password, b"Client Key", function),
            server=hmac.digest(salted_password, b"Server Key", function),
        )


class KeyCache:
    """The keys of those who logged in before, by hash, password, salt and iteration count.

    RFC 5802 3 lets a client keep them, so that it need not iterate again while the server keeps its salt. Give one to
    every Scram of an account, or of many; the least recently used of more than `max_entries` are forgotten. To be used
    from one thread at a time.

    The password is part of what an entry is found by, as a digest under a key that this cache has for itself: someone
    who gives a wrong password for a user whose keys are here must not be logged in by them. Passwords are not kept.
    """

    # Five hundred bytes each. One account uses one entry per server and hash; a program with more accounts at work
    # than this has room for a larger one.
    def __init__(self, max_entries: int = 256) -> None:
        if max_entries < 1:
            raise ValueError(f"expected room for at least one entry, got {max_entries}")
        self.max_entries = max_entries
        self._entries: OrderedDict[tuple[HashName, bytes, bytes, int], Keys] = OrderedDict()
        self._digest_key = secrets.token_bytes(32)

    def find(self, hash_name: HashName, password: bytes, salt: bytes, iterations: int) -> Keys | None:
        """Return what would be derived from these, if it is known."""
        entry = (hash_name, self._digest(password), salt, iterations)
        keys = self._entries.get(entry)
        if keys is not None:
            self._entries.move_to_end(entry)
        return keys

    def store(self, hash_name: HashName, password: bytes, salt: bytes, iterations: int, keys: Keys) -> None:
        """Keep `keys`, which were derived from the rest and have proved right."""
        entry = (hash_name, self._digest(password), salt, iterations)
        self._entries[entry] = keys
        self._entries.move_to_end(entry)
        if len(self._entries) > self.max_entries:
            self._entries.popitem(last=False)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"<KeyCache of {len(self)} entries, at most {self.max_entries}>"

    def _digest(self, password: bytes) -> bytes:
        return hmac.digest(self._digest_key, password, "sha256")
