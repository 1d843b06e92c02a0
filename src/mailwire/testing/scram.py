"""SCRAM, seen from the server (RFC 5802, RFC 7677; channel binding by RFC 5929 and RFC 9266).

It has its messages, their grammar and its arithmetic from the RFC, and none of them from `mailwire.sasl.scram`, so that
one can be tried against the other. They share SASLprep.
"""

import binascii
import re
from typing import Final

from ..sasl.saslprep import saslprep
from .maildrop import Account, Maildrop
from .mechanism import Exchange, Setting, account_with_password, authorize
from .refusal import Denied
from .stored_keys import StoredKeys

__all__ = ["scram"]

# By the name in the mechanism's name, what hashlib calls it.
_FUNCTIONS: Final = {"SHA-1": "sha1", "SHA-256": "sha256", "SHA-512": "sha512"}

# RFC 5802 7. "Unrecognized attributes not defined in this document MUST be ignored"; those that it defines have their
# places and no others.
_NAME: Final = r"(?:[^\0,=]|=2C|=3D)+"
_NONCE: Final = r"[!-+\--~]+"
_BASE64: Final = r"[A-Za-z0-9+/=]+"
_EXTENSIONS: Final = r"(?:,(?![anmrcsipve]=)[A-Za-z]=[^\0,]+)*"
_CLIENT_FIRST: Final = re.compile(
    rf"(?P<header>(?P<flag>[ny]|p=(?P<binding>[A-Za-z0-9.-]+)),(?:a=(?P<authzid>{_NAME}))?,)"
    rf"(?P<bare>(?P<mandatory>m=[^\0,]+,)?n=(?P<user>{_NAME}),r=(?P<nonce>{_NONCE}){_EXTENSIONS})"
)
_CLIENT_FINAL: Final = re.compile(
    rf"(?P<without_proof>c=(?P<bound>{_BASE64}),r=(?P<nonce>{_NONCE}){_EXTENSIONS}),p=(?P<proof>{_BASE64})"
)


def scram(hash_name: str, setting: Setting, *, is_plus: bool) -> Exchange:
    """Lead SCRAM with the hash function of that name ("SHA-256"), or its -PLUS form.

    Where the client's proof is wrong, no server-final-message is sent, not even one with an error: RFC 5802 5.1 leaves
    that to the server, and AUTH has its own way to refuse.
    """
    first = _read(_CLIENT_FIRST, (yield b""))
    if first["mandatory"]:
        raise Denied("extensions-not-supported")
    binding = _find_binding(first, f"SCRAM-{hash_name}", is_plus, setting)
    account = authorize(_find_account(setting.maildrop, _unescape(first["user"])), _unescape(first["authzid"] or ""))
    keys = _find_keys(setting, account, _FUNCTIONS[hash_name])

    nonce = first["nonce"] + setting.policy.new_nonce()
    server_first = f"r={nonce},s={_encode(keys.salt)},i={keys.iterations}"
    final = _read(_CLIENT_FINAL, (yield server_first.encode()))
    bound, proof = _decode(final["bound"]), _decode(final["proof"])
    if final["nonce"] != nonce:
        raise Denied("other-nonce")
    if bound != first["header"].encode() + binding:
        raise Denied("channel-bindings-dont-match")
    auth_message = f"{first['bare']},{server_first},{final['without_proof']}".encode()
    if not keys.verify(auth_message, proof):
        raise Denied("invalid-proof")

    # RFC 4954 4: SMTP and POP3 have no place for data with the success. It is a challenge, answered by nothing.
    if (yield f"v={_encode(keys.sign(auth_message))}".encode()):
        raise ValueError("expected an empty response")
    return account


def _read(form: re.Pattern[str], message: bytes) -> re.Match[str]:
    match = form.fullmatch(message.decode("utf-8"))
    if match is None:
        raise ValueError("RFC 5802 7: this is no message of a client")
    return match


def _find_binding(first: re.Match[str], name: str, is_plus: bool, setting: Setting) -> bytes:
    # RFC 5802 6.
    binding = first["binding"]
    if is_plus is not (binding is not None):
        raise Denied("channel-binding-not-supported")
    if first["flag"] == "y" and f"{name}-PLUS" in setting.offered:
        # The client has not seen the offer: somebody took it away.
        raise Denied("server-does-support-channel-binding")
    if binding is None:
        return b""
    if binding not in setting.channel.bindings:
        raise Denied("unsupported-channel-binding-type")
    return setting.channel.bindings[binding]


def _find_account(maildrop: Maildrop, user: str) -> Account:
    # RFC 5802 5.1: the name comes prepared, and is prepared again; our accounts have theirs as the tests wrote them.
    prepared = _prepare(user, is_query=True)
    if not prepared:
        raise Denied("invalid-username-encoding")
    for account in maildrop.accounts:
        if prepared in (account.user, _prepare(account.user, is_query=True)):
            return account_with_password(maildrop, account.user)
    raise Denied("unknown-user")


def _find_keys(setting: Setting, account: Account, function: str) -> StoredKeys:
    iterations = setting.policy.scram_iterations
    stored, entry = setting.maildrop.stored_keys, (account.user, function, iterations)
    if entry not in stored:
        password = _prepare(account.password)
        if not password:
            raise Denied("no-password")
        stored[entry] = StoredKeys.derive(function, password.encode(), setting.policy.new_salt(), iterations)
    return stored[entry]


def _prepare(text: str, *, is_query: bool = False) -> str | None:
    try:
        return saslprep(text, is_query=is_query)
    except ValueError:
        return None


def _unescape(name: str) -> str:
    # RFC 5802 5.1.
    return name.replace("=2C", ",").replace("=3D", "=")


def _encode(data: bytes) -> str:
    return binascii.b2a_base64(data, newline=False).decode("ascii")


def _decode(text: str) -> bytes:
    return binascii.a2b_base64(text, strict_mode=True)
