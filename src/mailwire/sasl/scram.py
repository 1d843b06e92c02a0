"""SCRAM (RFC 5802, RFC 7677; SHA-512 as in draft-melnikov-scram-sha-512): each side proves to the other that it knows
the password, and neither tells it.

::

    C: client-first    n,,n=user,r=NONCE                      channel binding, user, nonce
    S: server-first    r=NONCENONCE,s=SALT,i=COUNT            both nonces, and how to derive the keys
    C: client-final    c=biws,r=NONCENONCE,p=PROOF            the client knows the password
    S: server-final    v=SIGNATURE                            the server knows it too, or keys derived from it
    C: (empty)

The server-final message comes as a challenge, answered by an empty response, before the success (RFC 4954 4, RFC 5034
4). A success without it proves nothing: `is_complete` is true only when the server's signature has been verified.
"""

import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from enum import Enum
from typing import Final

from .._wire.text import printable, quote
from .channel_binding import ChannelBinding
from .credentials import Password
from .fields import encode_saslname, gs2_header
from .keys import HASHES, HashName, KeyCache, Keys
from .mechanism import Mechanism, MechanismFailed
from .saslprep import saslprep
from .work import Work

__all__ = [
    "MAXIMUM_ITERATIONS",
    "MESSAGE_LIMIT",
    "MINIMUM_ITERATIONS",
    "WORK_ITERATIONS",
    "ProofMissing",
    "Scram",
    "check_iterations",
]

MINIMUM_ITERATIONS: Final = 4_096
"""A server that asks for fewer iterations is refused (RFC 7677 4, RFC 5802 5.1): it may be somebody who wants to guess
passwords cheaply from one proof."""

MAXIMUM_ITERATIONS: Final = 1_000_000
"""A server that asks for more iterations is refused: so many take two thirds of a second with SHA-512. OWASP advises
servers to use 600,000 with SHA-256; without a limit a server keeps a client busy for an hour by one number
(irssi#1630). Who has an account with more sets it."""

WORK_ITERATIONS: Final = 50_000
"""Above this a computation is handed out as Work: 50,000 take 30 ms with SHA-512, and a loop should stall no longer."""

MESSAGE_LIMIT: Final = 4_096
"""The octets that a server's message may have. Honest ones take two hundred. What is echoed of this one, the nonce,
must still leave our response within the line of 12,288 octets that RFC 4954 4 considers sufficient."""

# hashlib.pbkdf2_hmac() takes no more.
_COUNT_LIMIT: Final = 2**31 - 1

# RFC 5802 7: printable = %x21-2B / %x2D-7E, all but the comma.
_NONCE: Final = re.compile(rb"[!-+\--~]+")

# RFC 5802 7: attr-val = ALPHA "=" value; value = 1*value-char, and no value-char is a NUL or a comma.
_ATTRIBUTE: Final = re.compile(rb"([A-Za-z])=([^\0,]+)")

# RFC 5802 5.1, the attributes it defines. Others are extensions, which may be ignored.
_KNOWN_ATTRIBUTES: Final = frozenset([b"a", b"n", b"m", b"r", b"c", b"s", b"i", b"p", b"v", b"e"])


class ProofMissing(MechanismFailed):
    """The server did not prove that it knows the password: it may be somebody else."""


class _State(Enum):
    START = "nothing was said"
    FIRST = "client-first was said"
    FINAL = "client-final was said, or is being computed"
    PROVEN = "the server's signature is right"
    FAILED = "there is nothing more to say"


class Scram(Mechanism):
    """One of SCRAM-SHA-1, SCRAM-SHA-256 and SCRAM-SHA-512, or of their -PLUS forms; `name` tells which.

    hash_name: "SHA-1", "SHA-256" or "SHA-512".
    channel_binding: what the TLS session gives to bind to; None where it gives nothing or the caller wants none.
    server_offers_plus: whether the server offers the -PLUS form of this mechanism. With a channel binding, it is used
        then; and where it is not offered, the server is told so, in a message that nobody can alter without being
        noticed: if it was in truth offered, somebody has removed it, and the server breaks off (RFC 5802 6).
    key_cache: where derived keys are found and, once the server is proven, kept.
    minimum_iterations, maximum_iterations: what the server may ask for; beyond them the exchange is cancelled.
    make_nonce: returns a new nonce, printable ASCII without a comma (RFC 5802 5.1). For tests.

    Where the server asks for more than WORK_ITERATIONS, and the keys are not in the cache, respond() returns Work.

    Raises ValueError, which quotes neither, for a user or a password that SASLprep refuses or leaves nothing of, for a
    NUL in the authzid, and for limits that allow no count.
    """

    exposes_password = False
    proves_server = True

    def __init__(
        self,
        credentials: Password,
        hash_name: HashName,
        channel_binding: ChannelBinding | None = None,
        *,
        server_offers_plus: bool = False,
        key_cache: KeyCache | None = None,
        minimum_iterations: int = MINIMUM_ITERATIONS,
        maximum_iterations: int = MAXIMUM_ITERATIONS,
        make_nonce: Callable[[], str] = secrets.token_urlsafe,
    ) -> None:
        if hash_name not in HASHES:
            raise ValueError(f"expected one of {', '.join(HASHES)}, got {hash_name!r}")
        check_iterations(minimum_iterations, maximum_iterations)
        # RFC 5802 5.1: the user name is a query string; 2.2: the password is a stored string.
        user = saslprep(credentials.user, is_query=True, name="the user")
        self._password = saslprep(credentials.password, name="the password").encode()
        if not user or not self._password:
            raise ValueError("SCRAM needs a user and a password that are not empty (RFC 5802 5.1)")

        self._user = encode_saslname("the user", user)
        authzid = encode_saslname("authzid", credentials.authzid)

        self.name = f"SCRAM-{hash_name}"
        if channel_binding is None:
            self._header = bound = gs2_header(b"n", authzid)
        elif not server_offers_plus:
            self._header = bound = gs2_header(b"y", authzid)
        else:
            self.name += "-PLUS"
            self._header = gs2_header(b"p=" + channel_binding.name.encode("ascii"), authzid)
            bound = self._header + channel_binding.data
        self._channel_binding = _encode(bound)
        self._hash_name = hash_name
        self._key_cache = key_cache
        self._minimum_iterations = minimum_iterations
        self._maximum_iterations = maximum_iterations
        self._make_nonce = make_nonce
        self._state = _State.START
        self._nonce = b""
        self._proof = b""
        self._server_signature = b""
        self._derived: tuple[bytes, int, Keys] | None = None  # salt, iterations, and the keys

    def initial_response(self) -> bytes:
        """Return client-first. Each call begins anew: a nonce is never used twice, for it would let somebody replay
        what a server said before."""
        nonce = self._make_nonce().encode()
        if not _NONCE.fullmatch(nonce):
            raise ValueError("a nonce must be printable ASCII without a comma, and not empty (RFC 5802 5.1)")
        self._nonce = nonce
        self._server_signature = b""
        self._state = _State.FIRST
        return self._header + self._client_first_bare

    def respond(self, challenge: bytes) -> bytes | Work:
        state, self._state = self._state, _State.FAILED
        if len(challenge) > MESSAGE_LIMIT:
            raise MechanismFailed(f"expected a message of at most {MESSAGE_LIMIT} octets, got {len(challenge)}")
        match state:
            case _State.START if not challenge:
                # Where no initial response may be sent, the server asks for it with an empty challenge.
                return self.initial_response()
            case _State.FIRST:
                return self._hear_first(challenge)
            case _State.FINAL if self._server_signature:
                return self._hear_final(challenge)
        raise MechanismFailed(f"{self.name} expects no challenge when {state.value}")

    @property
    def is_complete(self) -> bool:
        return self._state is _State.PROVEN

    @property
    def secrets(self) -> tuple[bytes, ...]:
        # With the proof, and the salt, passwords can be tried.
        return (self._password, self._proof)

    # The two messages of the server

    def _hear_first(self, message: bytes) -> bytes | Work:
        attributes = _read_attributes(message)
        names = [name for name, _ in attributes]
        if b"m" in names:
            # RFC 5802 5.1: "its presence in a client or a server message MUST cause authentication failure".
            raise MechanismFailed("the server demands an extension of SCRAM (m=), and none is known")
        if names[:3] != [b"r", b"s", b"i"] or _KNOWN_ATTRIBUTES.intersection(names[3:]):
            raise MechanismFailed(f"expected a nonce, a salt and an iteration count (r=, s=, i=), got {quote(message)}")
        (_, nonce), (_, salt_in_base64), (_, count) = attributes[:3]
        if not nonce.startswith(self._nonce) or len(nonce) == len(self._nonce) or not _NONCE.fullmatch(nonce):
            raise MechanismFailed("the server's nonce does not continue the client's (RFC 5802 5.1)")
        salt = _decode(salt_in_base64)
        iterations = self._read_count(count)

        self._state = _State.FINAL
        if self._key_cache is not None:
            known = self._key_cache.find(self._hash_name, self._password, salt, iterations)
            if known is not None:
                return self._prove(message, nonce, salt, iterations, known)

        def compute() -> bytes:
            keys = Keys.derive(self._hash_name, self._password, salt, iterations)
            return self._prove(message, nonce, salt, iterations, keys)

        return Work(compute) if iterations > WORK_ITERATIONS else compute()

    def _hear_final(self, message: bytes) -> bytes:
        (name, value), *others = _read_attributes(message)
        # Nothing of this message is quoted: a server can have put our own proof into it.
        if name != b"v":
            raise ProofMissing("the server ends SCRAM without a signature (v=)")
        if _KNOWN_ATTRIBUTES.intersection(other for other, _ in others):
            raise MechanismFailed("the server's signature (v=) comes with what does not belong there")
        if not hmac.compare_digest(value, self._server_signature):
            raise ProofMissing("the server's signature is wrong: it does not know the password (RFC 5802 3)")
        if self._key_cache is not None and self._derived is not None:
            self._key_cache.store(self._hash_name, self._password, *self._derived)
        self._state = _State.PROVEN
        return b""

    def _read_count(self, digits: bytes) -> int:
        # RFC 5802 7: posit-number = %x31-39 *DIGIT. The digits are counted before they are read: int() of thousands of
        # them raises an error of its own.
        if not digits.isdigit() or digits.startswith(b"0"):
            raise MechanismFailed(f"expected an iteration count, got {quote(digits)}")
        if len(digits) > len(str(self._maximum_iterations)) or int(digits) > self._maximum_iterations:
            raise MechanismFailed(
                f"the server asks for {quote(digits, 20)} iterations, more than {self._maximum_iterations}"
            )
        if int(digits) < self._minimum_iterations:
            raise MechanismFailed(
                f"the server asks for {int(digits)} iterations, fewer than {self._minimum_iterations}"
            )
        return int(digits)

    # What is said

    @property
    def _client_first_bare(self) -> bytes:
        return b"n=" + self._user + b",r=" + self._nonce

    def _prove(self, server_first: bytes, nonce: bytes, salt: bytes, iterations: int, keys: Keys) -> bytes:
        # RFC 5802 3, word by word.
        function = HASHES[self._hash_name]
        without_proof = b"c=" + self._channel_binding + b",r=" + nonce
        auth_message = b",".join((self._client_first_bare, server_first, without_proof))
        stored_key = hashlib.new(function, keys.client).digest()
        client_signature = hmac.digest(stored_key, auth_message, function)
        proof = bytes(a ^ b for a, b in zip(keys.client, client_signature, strict=True))
        self._derived = salt, iterations, keys
        # Kept in base64, and compared so: a signature in another spelling of base64 is a wrong one.
        self._server_signature = _encode(hmac.digest(keys.server, auth_message, function))
        self._proof = _encode(proof)
        return without_proof + b",p=" + self._proof


def check_iterations(minimum: int, maximum: int) -> None:
    """Raise ValueError unless these limits allow a count of iterations, and none that cannot be computed."""
    if not 1 <= minimum <= maximum <= _COUNT_LIMIT:
        raise ValueError(
            f"expected 1 <= minimum_iterations <= maximum_iterations <= {_COUNT_LIMIT}, got {minimum} and {maximum}"
        )


def _read_attributes(message: bytes) -> list[tuple[bytes, bytes]]:
    """Read a server's message (RFC 5802 7). Raises MechanismFailed if it is none, or tells of an error (e=)."""
    attributes: list[tuple[bytes, bytes]] = []
    for part in message.split(b","):
        match = _ATTRIBUTE.fullmatch(part)
        if match is None:
            raise MechanismFailed("expected a message of SCRAM, attributes of the form a=value between commas")
        attributes.append((match[1], match[2]))
    # RFC 5802 5.1 has it in server-final, erratum 5271 in server-first too.
    if attributes[0][0] == b"e":
        raise MechanismFailed(f"the server refuses: {printable(attributes[0][1][:80])}")
    return attributes


def _encode(data: bytes) -> bytes:
    return binascii.b2a_base64(data, newline=False)


def _decode(salt: bytes) -> bytes:
    try:
        return binascii.a2b_base64(salt, strict_mode=True)
    except binascii.Error:
        raise MechanismFailed(f"expected a salt in base64, got {quote(salt)}") from None
