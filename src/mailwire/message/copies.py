"""Copies: of messages of the standard library's, so that each is sent as it was when it was given.

Who writes to many, often has one message and changes it from one to the next: sent a moment later, as it would be then,
it would go to the first with what is for the last. What a message holds is text, which nobody can change, or in a field
of the older kind a Header, which is copied; else no more is copied than who holds what.
"""

import copy
from collections.abc import Iterable
from email.header import Header
from email.message import Message
from typing import TypeVar

from .payloads import payload_of
from .pieces import BLOCK_SIZE

__all__ = ["copied", "kept"]

T = TypeVar("T")


def kept(message: T) -> T | Message | bytes:
    """Return what stays as `message` is now: a copy, if that is an email.message.Message, or a few octets that may be
    changed; else the same object. Many octets are not copied: they are to be left alone."""
    if isinstance(message, Message):
        return copied(message)
    if isinstance(message, (bytearray, memoryview)):
        try:
            return bytes(message) if memoryview(message).nbytes <= BLOCK_SIZE else message
        except ValueError:
            return message  # it was released: who wants to send it is told so
    return message


def copied(message: Message) -> Message:
    """Return a copy of `message`, which has its own parts and fields."""
    # Not by going into itself: a stranger's message may be deeper than Python can go, or hold itself.
    whole = _alone(message)
    copies = {id(message): whole}
    waiting = [whole]
    while waiting:
        part = waiting.pop()
        payload = payload_of(part)
        if not isinstance(payload, list):
            continue
        inner = list(payload)
        for place, held in enumerate(payload):
            if isinstance(held, Message):
                if id(held) not in copies:
                    copies[id(held)] = _alone(held)
                    waiting.append(copies[id(held)])
                inner[place] = copies[id(held)]
        vars(part)["_payload"] = inner
    return whole


def _alone(part: Message) -> Message:
    kind = type(part)
    if kind.__module__.startswith("email."):
        alone = kind.__new__(kind)  # as copy.copy does, which asks first whether it is to be done otherwise
        vars(alone).update(vars(part))
    else:
        alone = copy.copy(part)
    fields: Iterable[tuple[str, object]] = part.raw_items()
    copies = [(name, copy.deepcopy(value) if isinstance(value, Header) else value) for name, value in fields]
    vars(alone)["_headers"] = copies
    return alone
