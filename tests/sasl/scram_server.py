"""The server's side of SCRAM, written from RFC 5802 alone and sharing nothing with mailwire: HMAC and Hi() are spelled
out over plain hash functions, and messages are taken apart by hand. To try a client against, and for nothing else."""

import base64
import hashlib
from dataclasses import dataclass, field

__all__ = ["Account", "Refusal", "ScramServer", "hi", "keyed"]

BLOCK_SIZES = {"sha1": 64, "sha256": 64, "sha512": 128}


def plain_hash(function: str, data: bytes) -> bytes:
    return hashlib.new(function, data).digest()


def keyed(function: str, key: bytes, data: bytes) -> bytes:
    """HMAC (RFC 2104 2)."""
    block = BLOCK_SIZES[function]
    if len(key) > block:
        key = plain_hash(function, key)
    key += bytes(block - len(key))
    inner = plain_hash(function, bytes(octet ^ 0x36 for octet in key) + data)
    return plain_hash(function, bytes(octet ^ 0x5C for octet in key) + inner)


def exclusive_or(one: bytes, other: bytes) -> bytes:
    assert len(one) == len(other)
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def hi(function: str, text: bytes, salt: bytes, iterations: int) -> bytes:
    """Hi() (RFC 5802 2.2)."""
    last = result = keyed(function, text, salt + b"\0\0\0\1")
    for _ in range(iterations - 1):
        last = keyed(function, text, last)
        result = exclusive_or(result, last)
    return result


class Refusal(Exception):
    """The server-error-value (RFC 5802 7)."""


@dataclass
class Account:
    """What a server keeps of a user: it does not know the password."""

    function: str
    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes

    @classmethod
    def of(cls, function: str, password: str, salt: bytes = b"sixteen octets..", iterations: int = 4096) -> "Account":
        return cls.from_salted(function, hi(function, password.encode(), salt, iterations), salt, iterations)

    @classmethod
    def with_many_iterations(cls, function: str, password: str, iterations: int) -> "Account":
        """The same, but that Hi() is the standard library's: spelled out, it takes seconds."""
        salt = b"sixteen octets.."
        salted = hashlib.pbkdf2_hmac(function, password.encode(), salt, iterations)
        return cls.from_salted(function, salted, salt, iterations)

    @classmethod
    def from_salted(cls, function: str, salted: bytes, salt: bytes, iterations: int) -> "Account":
        """Of the SaltedPassword (RFC 5802 3)."""
        stored_key = plain_hash(function, keyed(function, salted, b"Client Key"))
        return cls(function, salt, iterations, stored_key, keyed(function, salted, b"Server Key"))


@dataclass
class ScramServer:
    """One exchange. `binding` is what the server sees of the TLS session, by type; `offers_plus` whether it says so."""

    accounts: dict[str, Account]
    nonce: str = "3rfcNHYJY1ZVvWVs7j"
    offers_plus: bool = False
    bindings: dict[str, bytes] = field(default_factory=dict)
    user: str = ""
    authzid: str = ""

    def hear_first(self, message: bytes, *, is_plus: bool = False) -> bytes:
        """Take client-first, return server-first."""
        flag, authzid, bare = message.decode().split(",", 2)
        self.flag, self.header, self.bare = flag, f"{flag},{authzid},", bare
        if flag == "y" and self.offers_plus:
            raise Refusal("server-does-support-channel-binding")
        if flag.startswith("p=") != is_plus:
            raise Refusal("channel-binding-not-supported")
        if is_plus and flag[2:] not in self.bindings:
            raise Refusal("unsupported-channel-binding-type")
        assert flag in ("n", "y") or is_plus
        if authzid:
            assert authzid.startswith("a=")
            self.authzid = self.unescape(authzid[2:])
        name, nonce = bare.split(",")
        assert name.startswith("n=")
        assert nonce.startswith("r=")
        self.user = self.unescape(name[2:])
        self.whole_nonce = nonce[2:] + self.nonce
        if self.user not in self.accounts:
            raise Refusal("unknown-user")
        self.account = self.accounts[self.user]
        salt = base64.b64encode(self.account.salt).decode()
        self.server_first = f"r={self.whole_nonce},s={salt},i={self.account.iterations}"
        return self.server_first.encode()

    def hear_final(self, message: bytes) -> bytes:
        """Take client-final, return server-final."""
        account = self.account
        without_proof, proof = message.decode().rsplit(",p=", 1)
        binding, nonce = without_proof.split(",")
        assert binding.startswith("c=")
        assert nonce == f"r={self.whole_nonce}"
        expected = self.header.encode()
        if self.flag.startswith("p="):
            expected += self.bindings[self.flag[2:]]
        if base64.b64decode(binding[2:], validate=True) != expected:
            raise Refusal("channel-bindings-dont-match")
        auth_message = f"{self.bare},{self.server_first},{without_proof}".encode()
        signature = keyed(account.function, account.stored_key, auth_message)
        client_key = exclusive_or(base64.b64decode(proof, validate=True), signature)
        if plain_hash(account.function, client_key) != account.stored_key:
            raise Refusal("invalid-proof")
        return b"v=" + base64.b64encode(keyed(account.function, account.server_key, auth_message))

    @staticmethod
    def unescape(name: str) -> str:
        assert name.replace("=2C", "").replace("=3D", "").count("=") == 0
        return name.replace("=2C", ",").replace("=3D", "=")
