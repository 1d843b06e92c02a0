"""A provider of access tokens is asked once, however many want a token at the same time."""

import asyncio
import gc
import socket
import weakref
from dataclasses import dataclass
from typing import Any

import pytest

from mailwire import ConnectionFailed, ConnectionLost, DeadlineExceeded, OAuthToken
from mailwire.aio.tokens import provide_token
from mailwire.sasl import OAuthFailure
from mailwire.testing.turns import drain_events
from tests.sasl.secrecy import CANARY, assert_hidden

EXPIRED = OAuthFailure(status="401")


class Provider:
    """Gives a token when the test says so."""

    def __init__(self) -> None:
        self.asked: list[OAuthFailure | None] = []
        self.cancelled = 0
        self.open = asyncio.Event()

    async def __call__(self, refused: OAuthFailure | None) -> str:
        self.asked.append(refused)
        number = len(self.asked)
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return f"token-{number}"


async def test_a_token_that_is_there_is_not_asked_for() -> None:
    credentials = OAuthToken("bob", "abc")
    assert await provide_token(credentials, None, None) is credentials


async def test_those_who_ask_at_the_same_time_share_the_answer() -> None:
    provider = Provider()
    credentials = [OAuthToken("bob", provider) for _ in range(3)]
    asking = [asyncio.create_task(provide_token(value, None, 5)) for value in credentials]
    await drain_events()
    provider.open.set()
    assert [value.token for value in await asyncio.gather(*asking)] == ["token-1"] * 3
    assert provider.asked == [None]


async def test_those_who_ask_later_ask_anew() -> None:
    provider = Provider()
    provider.open.set()
    credentials = OAuthToken("bob", provider)
    assert [(await provide_token(credentials, None, 5)).token for _ in range(2)] == ["token-1", "token-2"]


async def test_who_was_refused_does_not_get_the_answer_to_who_was_not() -> None:
    provider = Provider()
    credentials = OAuthToken("bob", provider)
    first = asyncio.create_task(provide_token(credentials, None, 5))
    await drain_events()
    renewals = [asyncio.create_task(provide_token(credentials, EXPIRED, 5)) for _ in range(2)]
    await drain_events()
    provider.open.set()
    assert [(await task).token for task in (first, *renewals)] == ["token-1", "token-2", "token-2"]
    assert provider.asked == [None, EXPIRED]


async def test_who_gives_up_leaves_the_others_their_answer() -> None:
    provider = Provider()
    credentials = OAuthToken("bob", provider)
    first, second = (asyncio.create_task(provide_token(credentials, None, 5)) for _ in range(2))
    await drain_events()
    first.cancel()
    await drain_events()
    assert first.cancelled()
    provider.open.set()
    assert (await second).token == "token-1"


async def test_with_the_last_who_gives_up_the_provider_is_stopped() -> None:
    provider = Provider()
    credentials = OAuthToken("bob", provider)
    asking = [asyncio.create_task(provide_token(credentials, None, 5)) for _ in range(2)]
    await drain_events()
    for task in asking:
        task.cancel()
    await drain_events()
    assert provider.cancelled == 1
    provider.open.set()
    assert (await provide_token(credentials, None, 5)).token == "token-2"


async def test_a_provider_that_is_cancelled_by_nobody_of_ours_is_an_error() -> None:
    async def provide(refused: OAuthFailure | None) -> str:
        raise asyncio.CancelledError("of a task of its own")

    with pytest.raises(RuntimeError, match="what the token's provider waited for was cancelled") as caught:
        await provide_token(OAuthToken("bob", provide), None, 5)
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)


async def test_who_asks_when_the_last_has_just_given_up_asks_anew() -> None:
    provider = Provider()
    credentials = OAuthToken("bob", provider)
    first = asyncio.create_task(provide_token(credentials, None, 5))
    await drain_events()
    first.cancel()
    second = asyncio.create_task(provide_token(credentials, None, 5))
    await drain_events()
    assert first.cancelled()
    provider.open.set()
    assert (await second).token == "token-2"


async def test_a_provider_that_takes_too_long_ends_at_the_deadline() -> None:
    provider = Provider()
    with pytest.raises(DeadlineExceeded, match=r"no access token came within 0\.01 s") as caught:
        await provide_token(OAuthToken("bob", provider), None, 0.01)
    assert caught.value.phase == "token"
    await drain_events()
    assert provider.cancelled == 1


async def test_what_a_provider_raises_while_it_is_stopped_is_no_error_of_the_event_loop() -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    stopped = 0

    async def provider(refused: OAuthFailure | None) -> str:
        nonlocal stopped
        try:
            await asyncio.Event().wait()
            return "abc"
        finally:
            stopped += 1
            raise ConnectionError("the session of the HTTP client is closed")

    credentials = OAuthToken("bob", provider)
    with pytest.raises(DeadlineExceeded):
        await provide_token(credentials, None, 0.01)
    asking = asyncio.create_task(provide_token(credentials, EXPIRED, 5))
    await drain_events()
    asking.cancel()
    await drain_events()
    assert asking.cancelled()
    assert stopped == 2
    del asking, credentials
    gc.collect()
    assert complaints == []


async def test_what_a_provider_raises_is_raised_to_all_who_ask() -> None:
    async def provider(refused: OAuthFailure | None) -> str:
        await asyncio.sleep(0)
        raise LookupError("nothing there")

    credentials = OAuthToken("bob", provider)
    asking = [asyncio.create_task(provide_token(credentials, None, 5)) for _ in range(2)]
    for outcome in await asyncio.gather(*asking, return_exceptions=True):
        assert isinstance(outcome, LookupError)


@pytest.mark.parametrize(
    "raised", [ConnectionRefusedError(f"https://idp?secret={CANARY}"), TimeoutError(), socket.gaierror(CANARY)]
)
async def test_a_provider_that_reaches_nobody_has_made_no_connection(raised: OSError) -> None:
    async def provider(refused: OAuthFailure | None) -> str:
        raise raised

    with pytest.raises(ConnectionFailed, match=f"^no access token came: {type(raised).__name__}$") as caught:
        await provide_token(OAuthToken("bob", provider), None, 5)
    assert caught.value.__cause__ is raised


async def test_an_error_of_the_system_that_tells_of_more_stays_what_it_is() -> None:
    class HTTPError(OSError):
        """As in requests."""

    async def provider(refused: OAuthFailure | None) -> str:
        raise raised

    for raised in (HTTPError("401 Client Error"), FileNotFoundError("token.json")):
        with pytest.raises(OSError, match=r"401 Client Error|token") as caught:
            await provide_token(OAuthToken("bob", provider), None, 5)
        assert caught.value is raised


async def test_an_error_of_ours_that_a_provider_raises_stays_what_it_is() -> None:
    async def provider(refused: OAuthFailure | None) -> str:
        raise raised

    raised = ConnectionLost("gone")
    with pytest.raises(ConnectionLost) as caught:
        await provide_token(OAuthToken("bob", provider), None, 5)
    assert caught.value is raised


async def test_what_is_no_text_is_no_token() -> None:
    async def provider(refused: OAuthFailure | None) -> Any:
        return CANARY.encode()

    with pytest.raises(TypeError, match="expected the token's provider to return a str, got bytes") as caught:
        await provide_token(OAuthToken("bob", provider), None, 5)
    assert_hidden(CANARY, caught.value)


async def test_a_provider_that_does_not_wait_is_told_what_it_should_be() -> None:
    def provider(_refused: OAuthFailure | None) -> Any:
        return CANARY

    told = "^expected the token's provider to be an async function that takes what was refused, but it returned str$"
    with pytest.raises(TypeError, match=told) as caught:
        await provide_token(OAuthToken("bob", provider), None, 5)
    assert_hidden(CANARY, caught.value)


async def test_a_provider_may_be_whatever_gives_what_can_be_awaited() -> None:
    waiting: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    waiting.set_result("abc")
    assert (await provide_token(OAuthToken("bob", lambda _refused: waiting), None, 5)).token == "abc"


async def test_the_token_does_not_show_while_it_is_passed_on() -> None:
    async def provider(refused: OAuthFailure | None) -> str:
        await drain_events()
        return CANARY

    asking = asyncio.create_task(provide_token(OAuthToken("bob", provider), None, 5))
    await drain_events()
    flying = [task for task in asyncio.all_tasks() if "_ask" in repr(task)]
    assert len(flying) == 1
    assert (await asking).token == CANARY
    assert_hidden(CANARY, asking, *flying)


async def test_a_provider_need_not_be_hashable() -> None:
    @dataclass
    class Cupboard:
        token: str

        async def __call__(self, refused: OAuthFailure | None) -> str:
            return self.token

    credentials = OAuthToken("bob", Cupboard("token-1"))
    assert (await provide_token(credentials, None, 5)).token == "token-1"
    assert (await provide_token(OAuthToken("bob", Cupboard("token-2")), None, 5)).token == "token-2"


def test_every_event_loop_asks_for_itself() -> None:
    asked = []

    async def provider(refused: OAuthFailure | None) -> str:
        asked.append(refused)
        return "abc"

    credentials = OAuthToken("bob", provider)
    for _ in range(2):
        assert asyncio.run(provide_token(credentials, None, 5)).token == "abc"
    assert len(asked) == 2


async def test_nothing_is_kept_of_credentials_that_are_gone() -> None:
    provider = Provider()
    provider.open.set()
    credentials = OAuthToken("bob", provider)
    await provide_token(credentials, None, 5)
    known = weakref.ref(credentials)
    del credentials
    gc.collect()
    assert known() is None
