"""SendResults: what a run over messages hands out, over whatever it sends them."""

from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Final, Self

from .consignment import Consignment, Messages, Order, SendResult

__all__ = ["FUTILE", "SendResults"]

FUTILE: Final = 3
"""So many connections in a row on which the server brings no mail to its end are enough."""


class SendResults(AsyncIterator[SendResult]):
    """The results of a run over messages, one for each: an async iterator, and an async context that ends the run."""

    def __init__(self, messages: Messages, settings: Mapping[str, Any], order: Order, look_ahead: int) -> None:
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
