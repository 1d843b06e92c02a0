"""A message as it was when it was given, whatever its owner makes of it afterwards."""

from collections.abc import Callable
from email.header import Header
from email.message import EmailMessage, Message
from email.mime.text import MIMEText
from typing import Any

import pytest

from mailwire import Attachment, compose
from mailwire.message.copies import copied, kept


def letter() -> EmailMessage:
    return compose(sender="a@example.org", to="b@example.org", subject="One", text="one", html="<p>one</p>")


def of_the_older_kind() -> Message:
    message = MIMEText("one")
    message["Subject"] = "One"
    return message


def in_a_message() -> EmailMessage:
    outer = EmailMessage()
    outer["Subject"] = "One"
    outer.set_content(letter())
    return outer


def change_a_field(message: Message) -> None:
    del message["Subject"]
    message["Subject"] = "Two"


def change_a_part(message: Message) -> None:
    *_, part = message.walk()
    part.set_payload("two")
    part["X-Two"] = "two"


def change_the_parts(message: Message) -> None:
    payload: Any = message.get_payload()
    message.set_payload("two" if isinstance(payload, str) else [*payload[:-1], EmailMessage()])


CHANGES = [change_a_field, change_a_part, change_the_parts]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("make", [letter, of_the_older_kind, in_a_message])
def test_a_copy_stays_as_the_message_was(make: Callable[[], Message], change: Callable[[Message], None]) -> None:
    message = make()
    before = message.as_bytes()
    same = kept(message)
    assert type(same) is type(message)
    change(message)
    assert message.as_bytes() != before
    assert same.as_bytes() == before


@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_that_is_changed_leaves_the_message_as_it_is(change: Callable[[Message], None]) -> None:
    message = letter()
    before = message.as_bytes()
    change(copied(message))
    assert message.as_bytes() == before


def test_the_parts_of_a_part_that_stands_before_others_are_copied_too() -> None:
    message = compose(sender="a@x.y", text="one", html="<p>one</p>", attachments=[Attachment(b"one", "a")])
    before = message.as_bytes()
    same = copied(message)
    text = message.get_body(("plain",))
    assert text is not None
    text.set_payload("two")
    assert message.as_bytes() != before
    assert same.as_bytes() == before


def test_a_header_object_that_is_changed_stays_as_it_was_in_a_copy() -> None:
    subject = Header("one")
    message: Any = Message()
    message["Subject"] = subject
    outer = EmailMessage()
    outer.set_payload([message])
    same, inner = copied(message), copied(outer)
    subject.append("two")
    assert message.as_bytes() == b"Subject: one two\n\n"
    for copy in (same, inner.get_payload(0)):
        assert isinstance(copy, Message)
        assert copy.as_bytes() == b"Subject: one\n\n"


class Slotted(EmailMessage):
    """One that has more to be copied."""

    __slots__ = ("more",)
    more: str


def test_a_message_of_a_kind_of_its_own_is_copied_as_it_asks_to_be() -> None:
    message = Slotted()
    message.more = "more"
    message["Subject"] = "one"
    same = copied(message)
    assert isinstance(same, Slotted)
    assert (same.more, same["Subject"]) == ("more", "one")


def test_a_message_that_holds_itself_is_copied_with_that() -> None:
    message = EmailMessage()
    message.set_payload([message, "no message"])
    same = copied(message)
    payload: Any = same.get_payload()
    inner, text = payload
    assert inner is same is not message
    assert text == "no message"


def test_a_message_deeper_than_python_can_go_is_copied() -> None:
    message = innermost = EmailMessage()
    for _ in range(5000):
        outer = EmailMessage()
        outer.set_payload([message])
        message = outer
    innermost.set_payload("one")
    part: Any = copied(message)
    innermost.set_payload("two")
    depth = 0
    while part.is_multipart():
        (part,) = part.get_payload()
        depth += 1
    assert (depth, part.get_payload()) == (5000, "one")


@pytest.mark.parametrize("kind", [bytearray, lambda octets: memoryview(bytearray(octets))])
def test_few_octets_that_may_be_changed_are_copied_and_many_are_not(kind: Callable[[bytes], bytearray]) -> None:
    few, most, many = (kind(b"x" * size) for size in (3, 256 * 1024, 256 * 1024 + 1))
    for octets in (few, most):
        same = kept(octets)
        octets[0] = 0
        assert bytes(same) == b"x" * len(octets)
    assert kept(many) is many


def test_what_nobody_can_change_and_what_cannot_be_had_is_left_alone() -> None:
    released = memoryview(b"xyz")
    released.release()
    for message in (b"xyz", "xyz", [b"xyz"], released):
        assert kept(message) is message
