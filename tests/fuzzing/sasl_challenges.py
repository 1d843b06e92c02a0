"""A target: every mechanism, before a server that asks anything."""

import binascii
from collections.abc import Callable
from typing import Final

from mailwire import Password
from mailwire.sasl import (
    Anonymous,
    AnonymousMechanism,
    ChannelBinding,
    ComputationDue,
    CramMD5,
    Exchange,
    External,
    ExternalMechanism,
    Login,
    Mechanism,
    OAuthBearer,
    Plain,
    Scram,
    XOAuth2,
)
from mailwire.sasl.exchange import CANCEL, ROUND_LIMIT
from tests.fuzzing.pieces import Cutter, is_safe, octets

__all__ = ["run"]

_PASSWORD: Final = "kanarienvogel"
_CREDENTIALS: Final = Password("tim", _PASSWORD)
_BINDING: Final = ChannelBinding("tls-server-end-point", b"c" * 32)


def _scram(hash_name: str, binding: ChannelBinding | None) -> Mechanism:
    # Few rounds are enough to see what comes of them.
    return Scram(
        _CREDENTIALS,
        "SHA-1" if hash_name == "SHA-1" else "SHA-256",
        binding,
        server_offers_plus=binding is not None,
        minimum_iterations=1,
        maximum_iterations=64,
        make_nonce=lambda: "nonce",
    )


_MECHANISMS: Final[tuple[Callable[[], Mechanism], ...]] = (
    lambda: _scram("SHA-256", None),
    lambda: _scram("SHA-1", _BINDING),
    lambda: CramMD5(_CREDENTIALS),
    lambda: Login(_CREDENTIALS),
    lambda: Plain(_CREDENTIALS),
    lambda: OAuthBearer("tim", _PASSWORD, host="mail.example.org", port=587),
    lambda: XOAuth2("tim", _PASSWORD),
    lambda: ExternalMechanism(External("tim")),
    lambda: AnonymousMechanism(Anonymous("tim")),
)


def run(data: bytes, cut: Cutter = octets) -> None:
    """Answer challenges: an octet chooses the mechanism and how it begins, the rest are challenges, a line each.

    Whatever is asked, a line comes out or a cancellation, the same each time; and nothing that a server makes up
    without the password proves it. There is nothing to cut: what is cut into octets elsewhere, is said twice here.
    """
    choice, challenges = data[:1].ljust(1, b"\0")[0], data[1:].split(b"\n")
    said = _exchange(choice, challenges)
    if cut is octets:
        assert said == _exchange(choice, challenges)


def _exchange(choice: int, challenges: list[bytes]) -> list[bytes]:
    mechanism = _MECHANISMS[(choice & 15) % len(_MECHANISMS)]()
    exchange = Exchange(mechanism, b"AUTH", 512, sends_initial_response=not choice & 16)
    said = [exchange.command_line()]
    for number, challenge in enumerate(challenges):
        had_failed = exchange.failure is not None
        response = exchange.respond(challenge if choice & 32 else binascii.b2a_base64(challenge, newline=False))
        if isinstance(response, ComputationDue):
            response.compute()
            response = exchange.take_computed()
        said.append(response)
        assert response.endswith(b"\r\n")
        assert not set(response[:-2]) & set(b"\r\n\0")
        assert (response == CANCEL) is (exchange.failure is not None)
        if had_failed or number >= ROUND_LIMIT:
            assert response == CANCEL
        if had_failed:
            assert not exchange.is_complete
            continue
        if exchange.failure is not None:
            assert not exchange.is_complete
            error = str(exchange.error())
            assert is_safe(error)
            if mechanism.secrets:
                assert _PASSWORD not in error
                assert binascii.b2a_base64(_PASSWORD.encode(), newline=False).decode() not in error
        if mechanism.proves_server:
            assert not exchange.is_complete, "the server has proved what it cannot know"
        if mechanism.secrets:
            assert _PASSWORD.encode() not in exchange.mask(challenge)
    return said
