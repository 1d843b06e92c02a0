"""Tokens: an access token is asked for once, however many connections want it at the same time."""

import asyncio
import socket
import weakref
from dataclasses import replace
from inspect import isawaitable
from typing import Final

from ..errors import ConnectionFailed, MailwireError
from ..sasl.identities import OAuthToken, TokenProvider
from ..sasl.oauth import OAuthFailure
from .deadline import Deadline, told_if_cancelled

__all__ = ["provide_token"]

# What an HTTP client raises for a refusal may be an OSError, too: another attempt would not help there.
_UNREACHED: Final = (ConnectionError, TimeoutError, socket.gaierror)


class _Flight:
    # One question to a provider, and how many wait for the answer. With the last of them it ends.

    def __init__(self, credentials: OAuthToken, provider: TokenProvider, refused: OAuthFailure | None) -> None:
        self.loop = asyncio.get_running_loop()
        self._answer = replace(credentials, token="")  # the credentials themselves are kept by nobody but the caller
        self._provider = provider
        self._refused = refused
        self._asking = asyncio.create_task(self._ask())
        self._asking.add_done_callback(_hear)
        self._waiting = 0

    @property
    def is_over(self) -> bool:
        return self._asking.done() or self._waiting == 0

    async def answer(self) -> OAuthToken:
        self._waiting += 1
        try:
            # Whoever gives up stops nobody but himself.
            await asyncio.wait((self._asking,))
            return self._asking.result()
        finally:
            self._waiting -= 1
            if self._waiting == 0:
                self._asking.cancel()

    async def _ask(self) -> OAuthToken:
        # The token does not show where a task shows its result.
        with told_if_cancelled(RuntimeError, "the token's provider"):
            providing: object = self._provider(self._refused)
            if not isawaitable(providing):
                kind = type(providing).__name__
                del providing  # a traceback may show locals
                raise TypeError(
                    "expected the token's provider to be an async function that takes what was refused, "
                    f"but it returned {kind}"
                )
            token: object = await providing
        if not isinstance(token, str):
            kind = type(token).__name__
            del token  # a traceback may show locals
            raise TypeError(f"expected the token's provider to return a str, got {kind}")
        return replace(self._answer, token=token)


def _hear(asking: asyncio.Task[OAuthToken]) -> None:
    # What a provider raises while it is stopped, when nobody waits any more, is no error that was overlooked: whoever
    # gave up knows why. asyncio would write it to its log.
    if not asking.cancelled():
        asking.exception()


# By the credentials and by whether a token of theirs was refused before.
_flights: Final[weakref.WeakKeyDictionary[OAuthToken, dict[bool, _Flight]]] = weakref.WeakKeyDictionary()


async def provide_token(credentials: OAuthToken, refused: OAuthFailure | None, seconds: float | None) -> OAuthToken:
    """Return `credentials` with the token itself; of all that want it at the same time, one asks the provider.

    refused: what the server said against the last one.

    Raises DeadlineExceeded after `seconds`, TypeError for a token that is no text, ConnectionFailed for an error of the
    provider by which it has reached nobody, and what else that raises.
    """
    if isinstance(credentials.token, str):
        return credentials
    flights = _flights.setdefault(credentials, {})
    flight = flights.get(refused is not None)
    # What another event loop waits for cannot be waited for here.
    if flight is None or flight.is_over or flight.loop is not asyncio.get_running_loop():
        flight = flights[refused is not None] = _Flight(credentials, credentials.token, refused)
    try:
        async with Deadline(seconds, "token", "providing an access token", "no access token came"):
            return await flight.answer()
    except _UNREACHED as error:
        if isinstance(error, MailwireError):  # some of our tree are an OSError besides
            raise
        # What an HTTP client says quotes URLs, and a secret may be in them.
        raise ConnectionFailed(f"no access token came: {type(error).__name__}") from error
