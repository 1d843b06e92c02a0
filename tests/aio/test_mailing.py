import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from email import message_from_string
from email.headerregistry import Address
from email.message import Message
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import mailwire
from mailwire import (
    BulkSending,
    ConnectionFailed,
    Delivery,
    Endpoint,
    InvalidMessage,
    Mailing,
    MailOptions,
    MessagePolicy,
    PoolSending,
    Receipt,
    RecipientOptions,
    SMTPClient,
    SMTPPool,
    SourceFailed,
    compose,
)
from mailwire.aio.mailing import read_recipients
from mailwire.message import addresses
from mailwire.smtp import Mailbox
from mailwire.testing import MAIL_DATA, Account, Answers, MailServer, ScriptedPeer, Step
from tests.aio.dialogues import QUIT, SMTP_ANSWERS, extensions
from tests.aio.pools import ACCOUNTS, endpoint_of

TEXT = b"Subject: x\r\n\r\nhello\r\n"
ENVELOPE: dict[str, Any] = {"sender": "a@example.org", "recipients": ["b@example.org", "c@example.org"]}
NEVER, DELAY = RecipientOptions(notify="NEVER"), RecipientOptions(notify="DELAY")


def test_it_has_the_envelope_that_is_given_or_that_the_header_says() -> None:
    given = Mailing(TEXT, **ENVELOPE)
    assert given.envelope.sender == Mailbox.parse("a@example.org")
    assert [str(recipient) for recipient in given.envelope.recipients] == ["b@example.org", "c@example.org"]
    composed = Mailing(compose(sender="a@example.org", to="b@example.org", cc="c@example.org", text="hello"))
    assert composed.envelope == given.envelope


def test_the_like_of_a_mail_has_the_same_wishes() -> None:
    for wishes in ({}, {"progress": print}, {"on_refused": "abort"}, {"options": MailOptions()}):
        settings: dict[str, Any] = {**ENVELOPE, **wishes}
        assert Mailing(TEXT, **settings).has_wishes is bool(wishes)
        assert Mailing(TEXT, **settings)._with_message(TEXT).has_wishes is bool(wishes)


@pytest.mark.parametrize("use_chunking", [None, False, "eager"])
def test_a_plain_one_is_what_is_made_of_its_octets(use_chunking: Any) -> None:
    made = Mailing(TEXT, **ENVELOPE, use_chunking=use_chunking)
    plain = Mailing._plain(TEXT, made.envelope, use_chunking)
    assert {**vars(plain), "content": None} == {**vars(made), "content": None}
    assert vars(plain.content) == vars(made.content)
    assert plain.has_wishes is False


def test_recipients_may_be_anything_that_can_be_iterated_once() -> None:
    mailing = Mailing(TEXT, sender="", recipients=iter(["b@example.org"]))
    assert mailing.envelope.sender is None
    assert len(mailing.envelope.recipients) == 1


@pytest.mark.parametrize("sender", ["client", "pool", "function"])
async def test_very_many_recipients_are_read_in_several_turns_of_the_event_loop(sender: str) -> None:
    async def connect() -> socket.socket:
        raise AssertionError("nobody is asked where an address is none")

    async def turns_of(count: int) -> int:
        recipients = [Address("b", "b", "example.org"), *["c@example.org"] * (count - 2), "nobody"]
        sending = asyncio.ensure_future(send(TEXT, sender="", recipients=recipients))
        taken = 0
        while not sending.done():
            await asyncio.sleep(0)
            taken += 1
        with pytest.raises(InvalidMessage, match="got 'nobody'"):
            sending.result()
        return taken

    endpoint = Endpoint("localhost", connect=connect)
    async with SMTPPool(endpoint) as pool:
        ways: dict[str, Callable[..., Awaitable[Receipt]]] = {
            "client": SMTPClient(endpoint).send,
            "pool": pool.send,
            "function": partial(mailwire.send, endpoint=endpoint),
        }
        send = ways[sender]
        few = await turns_of(2)
        assert [await turns_of(count) - few for count in (1000, 1001, 3000, 3001)] == [0, 2, 3, 4]


async def test_very_many_recipients_are_all_read() -> None:
    many = [f"b{number}@example.org" for number in range(2500)]
    assert await read_recipients(many, TEXT, "", MessagePolicy()) == [Mailbox.parse(address) for address in many]


async def first_of(run: BulkSending | PoolSending) -> Receipt:
    async with run:
        return (await anext(run)).raise_error()


def to_many(count: int, field: str) -> Message:
    """A message to so many, with this field before."""
    return message_from_string(f"{field}\r\nBcc: {', '.join(['b@example.org'] * count)}\r\n\r\nhello\r\n")


async def send_by(way: str, endpoint: Endpoint, message: Message | bytes, **settings: Any) -> Receipt:
    if way == "function":
        return await mailwire.send(message, endpoint, **settings)
    async with (SMTPClient if way.startswith("client") else SMTPPool)(endpoint) as front:
        if way.endswith("send"):
            return await front.send(message, **settings)
        return await first_of(front.send_all([message], **settings))


WAYS = pytest.mark.parametrize("way", ["client.send", "pool.send", "function", "client.send_all", "pool.send_all"])


@WAYS
async def test_very_many_recipients_in_a_header_are_read_beside_the_event_loop(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers: set[int] = set()

    def watched(name: str, value: object) -> list[addresses.Address]:
        if name == "Bcc":
            readers.add(threading.get_ident())
        return addresses.addresses_in(name, value)

    monkeypatch.setattr("mailwire.message.envelope.addresses_in", watched)
    async with MailServer(ACCOUNTS) as server:
        for count, is_beside in ((300, False), (400, True)):
            readers.clear()
            receipt = await send_by(way, endpoint_of(server), to_many(count, "From: a@example.org"))
            assert len(receipt.accepted) == count
            assert (threading.get_ident() not in readers) is is_beside
            assert readers


@WAYS
async def test_of_a_long_header_the_recipients_alone_are_taken_where_a_sender_is_given(way: str) -> None:
    encoders: set[int] = set()

    def encode(domain: str) -> str:
        encoders.add(threading.get_ident())
        return domain.encode("idna").decode()

    message = message_from_string(f'Bcc: "{"x" * 6000}" <b@bücher.example>\r\n\r\nhello\r\n')
    settings: dict[str, Any] = {"sender": "c@example.org", "policy": MessagePolicy(encode_domain=encode)}
    script = ("C: MAIL FROM:<c@example.org>", "S: 250 c", "C: RCPT TO:<b@xn--bcher-kva.example>", "S: 250 b", "C: DATA")
    async with ScriptedPeer(*extensions(), *script, "S: 354 go", MAIL_DATA, "S: 250 taken", *QUIT) as peer:
        receipt = await send_by(way, peer.endpoint(), message, **settings)
        assert receipt.accepted == ("b@xn--bcher-kva.example",)
    assert len(encoders) == 1
    assert threading.get_ident() not in encoders, "the event loop has no part in it"


@WAYS
@pytest.mark.parametrize("lines", [1, 80])
async def test_what_is_given_comes_before_what_the_header_says(way: str, lines: int) -> None:
    name = "\r\n ".join(["x" * 75] * lines)
    fields = f'From: b@example.org\r\nTo: "{name}" <c@example.org>\r\n'
    message = message_from_string(f"{fields}\r\nhello\r\n")
    async with MailServer(ACCOUNTS) as server:
        endpoint = endpoint_of(server)
        for settings, sender, recipient in (
            ({}, "b@example.org", "c@example.org"),
            ({"sender": "a@example.org"}, "a@example.org", "c@example.org"),
            ({"recipients": "b@example.org"}, "b@example.org", "b@example.org"),
            ({"sender": "a@example.org", "recipients": ["b@example.org"]}, "a@example.org", "b@example.org"),
        ):
            receipt = await send_by(way, endpoint, message, **settings)
            assert (receipt.sender, receipt.accepted) == (sender, (recipient,))


@WAYS
async def test_a_long_header_that_makes_no_envelope_is_refused_as_any(way: str) -> None:
    async with MailServer(ACCOUNTS) as server:
        with pytest.raises(InvalidMessage, match="neither From nor Sender") as caught:
            await send_by(way, endpoint_of(server), to_many(400, "Subject: x"))
    assert caught.value.delivery is Delivery.NOT_SENT


@pytest.mark.parametrize("way", ["client.send", "pool.send", "function"])
async def test_what_is_wished_for_a_mail_is_wished_by_whatever_sends_it(way: str) -> None:
    script: tuple[Step, ...] = (
        *(*extensions("DSN", "CHUNKING"), "C: MAIL FROM:<a@example.org> RET=HDRS", "S: 250 a"),
        *("C: RCPT TO:<b@example.org> NOTIFY=NEVER", "S: 250 b", "C: DATA", "S: 354 go", MAIL_DATA, "S: 250 taken"),
    )
    told: list[tuple[int, int | None]] = []
    settings: dict[str, Any] = {
        "sender": "a@example.org",
        "recipients": ["b@example.org", "b@EXAMPLE.org"],
        "use_chunking": False,
        "options": MailOptions(ret="HDRS"),
        "recipient_options": NEVER,
        "on_refused": "abort",
        "policy": MessagePolicy(fold_duplicates=True),
        "progress": lambda *octets: told.append(octets),
    }
    async with ScriptedPeer(*script, *QUIT) as peer:
        await send_by(way, peer.endpoint(), TEXT, **settings)
    assert told == [(len(TEXT), len(TEXT))]


def test_options_may_be_for_all_recipients_or_for_some() -> None:
    assert Mailing(TEXT, **ENVELOPE).recipient_options == (None, None)
    assert Mailing(TEXT, **ENVELOPE, recipient_options=NEVER).recipient_options == (NEVER, NEVER)
    some = Mailing(TEXT, **ENVELOPE, recipient_options={"c@example.org": DELAY})
    assert some.recipient_options == (None, DELAY)
    quoted = Mailing(TEXT, sender="", recipients="b@example.org", recipient_options={'"b"@example.org': DELAY})
    assert quoted.recipient_options == (DELAY,)


def test_options_for_a_recipient_given_twice_hold_twice() -> None:
    mailing = Mailing(TEXT, sender="", recipients=["b@example.org"] * 2, recipient_options={"b@example.org": DELAY})
    assert mailing.recipient_options == (DELAY, DELAY)


def encode(domain: str) -> str:
    return domain.encode("idna").decode("ascii")


@pytest.mark.parametrize(
    ("recipients", "address", "policy"),
    [
        (["b@b\u00fccher.example"], "b@b\u00fccher.example", MessagePolicy(encode_domain=encode)),
        (["b@b\u00fccher.example"], "b@xn--bcher-kva.example", MessagePolicy(encode_domain=encode)),
        (["b@b\u00fccher.example"], "b@b\u00fccher.example", MessagePolicy()),
        (["b@example.org", "b@EXAMPLE.org"], "b@EXAMPLE.org", MessagePolicy(fold_duplicates=True)),
        (["b@example.org"], "b@Example.Org", MessagePolicy()),
        (["b@example.org", "b@EXAMPLE.org"], '"b"@example.org', MessagePolicy()),
    ],
)
def test_a_recipient_is_known_by_another_spelling_of_the_domain(
    recipients: list[str], address: str, policy: MessagePolicy
) -> None:
    mailing = Mailing(TEXT, sender="", recipients=recipients, recipient_options={address: DELAY}, policy=policy)
    assert mailing.recipient_options[0] == DELAY
    assert mailing.recipient_options[1:] in ((), (None,))


@pytest.mark.parametrize("address", ["b@Example.org", "B@example.org", "b@example.com", "b@b\u00fccher.example"])
def test_options_are_for_nobody_where_the_spelling_fits_nobody_or_two(address: str) -> None:
    with pytest.raises(InvalidMessage, match="who is no recipient of the mail"):
        Mailing(TEXT, sender="", recipients=["b@example.org", "b@EXAMPLE.org"], recipient_options={address: DELAY})


def test_options_for_a_recipient_by_two_spellings_are_refused() -> None:
    options = {"b@example.org": DELAY, '"b"@example.org': NEVER}
    with pytest.raises(InvalidMessage, match="twice, by two spellings"):
        Mailing(TEXT, sender="", recipients="b@example.org", recipient_options=options)


def test_a_domain_of_options_that_cannot_be_encoded_is_refused() -> None:
    with pytest.raises(InvalidMessage, match="cannot be written in A-labels"):
        Mailing(
            TEXT,
            sender="",
            recipients="b@example.org",
            recipient_options={"b@b\u00fccher.example": DELAY},
            policy=MessagePolicy(encode_domain=lambda domain: domain.encode("ascii").decode()),
        )


@pytest.mark.parametrize(
    ("settings", "error", "text"),
    [
        ({"recipient_options": {"d@example.org": DELAY}}, InvalidMessage, "options for d@example.org, who is no recip"),
        ({"recipient_options": {"d": DELAY}}, InvalidMessage, "expected an address like"),
        ({"on_refused": "raise"}, ValueError, 'expected on_refused to be "send" or "abort", got \'raise\''),
        ({"use_chunking": "lazy"}, ValueError, "expected use_chunking to be"),
        ({"use_chunking": 0}, ValueError, "expected use_chunking to be"),
        (
            {"use_chunking": False, "policy": MessagePolicy(binary=True)},
            ValueError,
            r"^what is sent as it is must go in chunks \(RFC 3030 3\)$",
        ),
        ({"recipients": []}, InvalidMessage, "no recipient"),
        ({"sender": "a"}, InvalidMessage, "expected an address like"),
    ],
)
def test_what_makes_no_sense_is_refused(settings: dict[str, Any], error: type[ValueError], text: str) -> None:
    with pytest.raises(error, match=text):
        Mailing(TEXT, **{**ENVELOPE, **settings})


def test_what_is_a_mailing_already_is_taken_as_it_is() -> None:
    mailing = Mailing(TEXT, **ENVELOPE)
    assert Mailing.of(mailing) is mailing
    assert Mailing.of(mailing, sender=None, on_refused="send", use_chunking=None) is mailing
    assert Mailing.of(TEXT, **ENVELOPE).envelope == mailing.envelope
    with pytest.raises(ValueError, match="a Mailing says by itself what it is to have as sender and options"):
        Mailing.of(mailing, sender="a@example.org", recipients=None, options=MailOptions(ret="FULL"))


def test_the_like_of_it_with_another_message_wishes_the_same() -> None:
    policy = MessagePolicy(line_ends="reject")
    wishes: dict[str, Any] = {"options": MailOptions(ret="FULL"), "recipient_options": NEVER, "on_refused": "abort"}
    settings = {**ENVELOPE, **wishes, "use_chunking": "eager", "progress": print, "policy": policy}
    another, made = Mailing(b"", **settings)._with_message(TEXT), Mailing(TEXT, **settings)
    for name in ("envelope", "options", "recipient_options", "on_refused", "use_chunking", "progress", "last_receipt"):
        assert getattr(another, name) == getattr(made, name), name
    assert (another.on_refused, another.use_chunking, another.progress) == ("abort", "eager", print)
    assert another.content.policy is policy
    text = another.content.text_at_hand()
    assert text is not None
    assert text.given == TEXT


async def test_it_is_sent_again_to_those_that_are_left() -> None:
    later = {"c@example.org": "452 4.2.2 full"}
    policy = mailwire.testing.Policy(recipient_replies=later)
    everybody = ("b@example.org", "c@example.org", "d@example.org")
    async with MailServer([Account("b", "", everybody)], policy=policy) as server:
        async with SMTPClient(endpoint_of(server)) as client:
            mailing = Mailing(TEXT, sender="a@example.org", recipients=everybody)
            receipt = await client.send(mailing)
            del later["c@example.org"]
            await client.send(mailing.to(entry.address for entry in receipt.retryable))
        envelopes = [message.envelope for message in server.messages("b")]
    assert [envelope and envelope.recipients for envelope in envelopes] == [
        ("b@example.org", "d@example.org"),
        ("c@example.org",),
    ]


@pytest.mark.parametrize(
    ("recipients", "expected"),
    [
        (["c@EXAMPLE.org", Address("", "b", "example.org")], {"c@example.org": None, "b@example.org": NEVER}),
        (["c@example.org", "c@Example.org", "c@example.org"], {"c@example.org": None}),
        ("B@example.org", {"B@example.org": DELAY}),
        ("b@EXAMPLE.org", {"b@EXAMPLE.org": DELAY}),
    ],
)
def test_the_like_of_it_for_some_has_their_options(
    recipients: Any, expected: dict[str, RecipientOptions | None]
) -> None:
    settings: dict[str, Any] = {
        "sender": "",
        "recipients": ["b@example.org", "c@example.org", "B@example.org", "c@example.org", "b@EXAMPLE.org"],
        "recipient_options": {"b@example.org": NEVER, "B@example.org": DELAY, "b@EXAMPLE.org": DELAY},
        "options": MailOptions(),
        "on_refused": "abort",
        "use_chunking": False,
        "progress": print,
    }
    mailing = Mailing(TEXT, **settings)
    mailing.last_receipt = mailing.envelope.receipt_before_sending()
    left = mailing.to(recipients)
    assert dict(zip(map(str, left.envelope.recipients), left.recipient_options, strict=True)) == expected
    of_it = {"envelope": None, "recipient_options": None, "last_receipt": None}
    assert {**vars(left), **of_it} == {**vars(mailing), **of_it}
    assert (left.envelope.sender, left.last_receipt, left.content) == (None, None, mailing.content)


def test_the_domain_of_one_that_is_left_is_encoded_as_all_are() -> None:
    policy = MessagePolicy(encode_domain=lambda domain: domain.encode("idna").decode())
    mailing = Mailing(TEXT, sender="a@example.org", recipients=["b@grüße.example", "c@example.org"], policy=policy)
    for address in ("b@grüße.example", str(mailing.envelope.recipients[0])):
        assert mailing.to(address).envelope.recipients == mailing.envelope.recipients[:1]


@pytest.mark.parametrize(
    ("recipients", "text"),
    [
        ("d@example.org", "d@example.org is no recipient of the mail"),
        (["b@example.org", "B@example.org"], "B@example.org is no recipient of the mail"),
        ("nobody", "nobody"),
        ([], "no recipient"),
    ],
)
def test_nobody_is_left_who_was_no_recipient(recipients: Any, text: str) -> None:
    with pytest.raises(InvalidMessage, match=text):
        Mailing(TEXT, **ENVELOPE).to(recipients)


async def test_it_is_checked_before_anybody_is_asked() -> None:
    await Mailing(TEXT, **ENVELOPE).check()
    with pytest.raises(InvalidMessage, match="NUL"):
        await Mailing(b"Subject: \0\r\n\r\n", **ENVELOPE).check()
    with pytest.raises(InvalidMessage, match="bare LF"):
        await Mailing(b"Subject: x\n\n", **ENVELOPE, policy=MessagePolicy(line_ends="reject")).check()
    with pytest.raises(SourceFailed, match="No such file"):
        await Mailing(Path("/nowhere/message.eml"), **ENVELOPE).check()


async def test_a_mailing_that_reached_no_server_is_not_told_of_by_an_earlier_attempt() -> None:
    async def refuse() -> socket.socket:
        raise ConnectionRefusedError

    mailing = Mailing(TEXT, sender="a@example.org", recipients="b@example.org")
    async with ScriptedPeer("S: 220 mx", Answers(SMTP_ANSWERS)) as peer:
        assert await mailwire.send(mailing, peer.endpoint()) is mailing.last_receipt
    with pytest.raises(ConnectionFailed):
        await mailwire.send(mailing, peer.endpoint(connect=refuse))
    assert mailing.last_receipt is None


# One message that is changed for the next mail, as it is given or while the one before waits


def changed_for_each(names: Sequence[str]) -> Iterator[Message]:
    message = compose(sender="a@example.org", to="nobody@example.org", subject="x", text="hello")
    for name in names:
        message.replace_header("To", f"{name}@example.org")
        message.set_content(f"for {name}")
        yield message


def octets_for_each(names: Sequence[str]) -> Iterator[bytearray]:
    octets = bytearray()
    for name in names:
        octets[:] = b"Subject: x\r\n\r\nfor %b\r\n" % name.encode()
        yield octets


async def later(messages: Iterable[Any]) -> AsyncIterator[Any]:
    for message in messages:
        yield message


async def of_a_run(run: BulkSending | PoolSending) -> list[Receipt]:
    return [result.raise_error() async for result in run]


async def of_tasks(send: Callable[[Message], Awaitable[Receipt]], names: Sequence[str]) -> list[Receipt]:
    async def to_one(messages: Iterator[Message]) -> Receipt:
        return await send(next(messages))

    messages = changed_for_each(names)
    return await asyncio.gather(*(to_one(messages) for _ in names))


KEEPING: dict[str, Callable[[SMTPClient, SMTPPool, Sequence[str]], Awaitable[list[Receipt]]]] = {
    "client": lambda client, _, names: of_tasks(client.send, names),
    "client send_all": lambda client, _, names: of_a_run(client.send_all(changed_for_each(names))),
    "client send_all, awaited": lambda client, _, names: of_a_run(client.send_all(later(changed_for_each(names)))),
    "pool": lambda _, pool, names: of_tasks(pool.send, names),
    "pool send_all": lambda _, pool, names: of_a_run(pool.send_all(changed_for_each(names))),
    "pool send_all, awaited": lambda _, pool, names: of_a_run(pool.send_all(later(changed_for_each(names)))),
    "function": lambda client, _, names: of_tasks(lambda message: mailwire.send(message, client.endpoint), names),
}


@pytest.mark.parametrize("way", KEEPING)
async def test_a_message_goes_as_it_was_when_it_was_given(way: str) -> None:
    names = ["b", "c", "d", "e", "f"]
    async with MailServer([Account(name, "", (f"{name}@example.org",)) for name in names]) as server:
        endpoint = endpoint_of(server)
        async with SMTPClient(endpoint) as client, SMTPPool(endpoint, max_connections=2) as pool:
            receipts = await KEEPING[way](client, pool, names)
        assert sorted(address for receipt in receipts for address in receipt.accepted) == [
            f"{name}@example.org" for name in names
        ]
        for name in names:
            (message,) = server.messages(name)
            assert f"To: {name}@example.org\r\n".encode() in message.content
            assert message.content.endswith(f"\r\nfor {name}\r\n".encode())


@pytest.mark.parametrize("given", [octets_for_each, lambda names: later(octets_for_each(names))])
async def test_octets_go_as_they_were_when_they_were_given(given: Callable[[Sequence[str]], Any]) -> None:
    names = ["b", "c", "d", "e", "f"]
    async with MailServer(ACCOUNTS) as server, SMTPPool(endpoint_of(server), max_connections=3) as pool:
        run = pool.send_all(given(names), sender="a@example.org", recipients="b@example.org")
        assert len(await of_a_run(run)) == len(names)
        assert sorted(message.content[-3:-2].decode() for message in server.messages("b")) == names


@pytest.mark.parametrize("way", ["client", "pool", "function"])
async def test_a_message_to_very_many_goes_as_it_was_when_it_was_given(way: str) -> None:
    everybody = [f"user{number}@example.org" for number in range(3000)]
    message = Message()
    message["From"], message["To"] = "a@example.org", ",\r\n ".join(everybody)
    message.set_payload("for everybody")

    async with MailServer([Account("b", "", (*everybody, "b@example.org"))]) as server:
        endpoint = endpoint_of(server)
        async with SMTPClient(endpoint) as client, SMTPPool(endpoint) as pool:
            ways: dict[str, Callable[[Message], Coroutine[Any, Any, Receipt]]] = {
                "client": client.send,
                "pool": pool.send,
                "function": lambda given: mailwire.send(given, endpoint),
            }
            sent = asyncio.create_task(ways[way](message))
            await asyncio.sleep(0)
            message.replace_header("To", "b@example.org")
            message.set_payload("for b")
            assert len((await sent).accepted) == len(everybody)
        (received,) = server.messages("b")
        assert received.content.endswith(b"for everybody\r\n")
