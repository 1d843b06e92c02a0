"""SendResults: what a run over messages hands out, over whatever it sends them."""

from abc import abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from email.message import Message
from types import TracebackType
from typing import Any, Final, Self

from .._wire.text import check_kind, check_whole_number
from .consignment import Consignment, Messages, Order, SendResult
from .mailing import check_settings, check_wishes

__all__ = ["FUTILE", "SendResults"]

FUTILE: Final = 3
"""So many connections in a row on which the server brings no mail to its end are enough."""


class SendResults(AsyncIterator[SendResult]):
    """The results of a run over messages, one for each: an async iterator, and an async context that ends the run.

    settings: those of the mails that do not say by themselves how they are sent, as a Mailing takes them.

    Raises ValueError for a run, and for settings, that make no sense whatever the messages.
    """

    def __init__(self, messages: Messages, order: Order, look_ahead: int, settings: Mapping[str, Any]) -> None:
        _check(messages, order, look_ahead)
        check_settings(settings["policy"], settings["on_refused"], settings["use_chunking"])
        check_wishes(settings["options"], settings["recipient_options"])
        self._consignment = Consignment(messages, settings, order=order, look_ahead=look_ahead)

    @property
    def remaining(self) -> tuple[SendResult, ...]:
        """What is known of those messages that were taken and of which no result was handed out, in their order.

        It is whole once the run has ended, by `aclose` or by an error. Results that nobody was given have no error
        where it was the end of the run that ended them.
        """
        return self._consignment.remaining()

    @abstractmethod
    async def aclose(self) -> None:
        """End the run."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


def _check(messages: Messages, order: Order, look_ahead: int) -> None:
    if order not in ("completion", "input"):
        raise ValueError(f'expected order to be "completion" or "input", got {order!r}')
    check_whole_number("look_ahead", look_ahead)
    if isinstance(messages, (str, bytes, bytearray, memoryview, Message)):
        raise ValueError(f"expected an iterable of messages, got one message: {type(messages).__name__}")
    check_kind("messages", messages, (Iterable, AsyncIterable), "an iterable of messages")
