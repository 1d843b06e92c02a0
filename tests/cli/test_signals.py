import asyncio
import os
import signal

import pytest

from mailwire.cli.signals import run


def test_what_a_command_returns_is_its_status() -> None:
    async def command() -> int:
        return 7

    assert run(command()) == 7


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_cancels_and_is_told_by_the_status(number: signal.Signals) -> None:
    cleaned: list[bool] = []

    async def command() -> int:
        try:
            os.kill(os.getpid(), number)
            await asyncio.Event().wait()
        finally:
            cleaned.append(True)
        return 0

    # The tests may run where it is ignored: under nohup, SIGHUP is.
    before = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    inherited = signal.signal(number, before)
    try:
        assert run(command()) == 128 + number
        assert signal.getsignal(number) == before
    finally:
        signal.signal(number, inherited)
    assert cleaned == [True]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_that_is_ignored_stays_ignored(number: signal.Signals) -> None:
    async def command() -> int:
        os.kill(os.getpid(), number)
        await asyncio.sleep(0)
        return 7

    before = signal.signal(number, signal.SIG_IGN)
    try:
        assert run(command()) == 7
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)


def test_a_cancellation_of_its_own_is_none_of_ours() -> None:
    async def command() -> int:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        run(command())


def test_a_system_without_such_handlers_does_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(asyncio.SelectorEventLoop, "add_signal_handler", refuse)
    monkeypatch.setattr(asyncio.SelectorEventLoop, "remove_signal_handler", refuse)

    async def command() -> int:
        return 0

    assert run(command()) == 0
