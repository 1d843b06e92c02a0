"""A pool against Postfix, with connections that are cut at random on the way: every word must be true."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

import pytest

from mailwire import Delivery, Endpoint, Mailing, MailwireError, SMTPPool
from mailwire.testing import Cut, FaultProxy
from tests.integration.mail_host import MailHost
from tests.integration.mailbox import DOMAIN, Mailbox
from tests.integration.postfix import Postfix

CONNECTIONS = 10
MAILS_PER_CONNECTION = 10
# Octets that a connection with so many mails has at least, either way: what is to be cut, is cut.
LENGTH = 1000
# Seconds, after which Postfix must have delivered all that it has taken.
PATIENCE = 300

Words = dict[int, Delivery]
Way = Callable[[SMTPPool, list[Mailing]], Awaitable[Words]]


async def by_send(pool: SMTPPool, mailings: list[Mailing]) -> Words:
    async def send(number: int, mailing: Mailing) -> tuple[int, Delivery]:
        try:
            return number, (await pool.send(mailing)).delivery
        except MailwireError as error:
            return number, error.delivery or Delivery.UNKNOWN

    return dict(await asyncio.gather(*(send(number, mailing) for number, mailing in enumerate(mailings))))


async def by_send_all(pool: SMTPPool, mailings: list[Mailing]) -> Words:
    async with pool.send_all(mailings) as results:
        return {result.index: result.delivery async for result in results}


def mails_for(mailbox: Mailbox, count: int) -> list[Mailing]:
    """Return so many mails, numbered, of which every fiftieth goes to nobody."""
    return [
        Mailing(
            b"Subject: number %d\r\n\r\nhello\r\n" % number,
            sender=f"alice@{DOMAIN}",
            recipients=f"nobody@{DOMAIN}" if number % 50 == 49 else mailbox.address,
        )
        for number in range(count)
    ]


def delivered(mailbox: Mailbox) -> list[int]:
    numbers = []
    for path in mailbox.messages():
        found = re.search(rb"^Subject: number (\d+)$", path.read_bytes(), re.MULTILINE)
        assert found is not None
        numbers.append(int(found[1]))
    return numbers


def is_at_rest(queue: Path) -> bool:
    return not any(
        path.is_file() for name in ("incoming", "active", "deferred") for path in (queue / name).glob("**/*")
    )


def wait_until_delivered(postfix: Postfix, mailbox: Mailbox, count: int) -> list[int]:
    """Wait until so many messages have arrived at least, and no other is on its way; return their numbers."""
    queue = postfix.log_file.parent / "queue"
    deadline = time.monotonic() + PATIENCE
    while len(mailbox.messages()) < count or not is_at_rest(queue):
        assert time.monotonic() < deadline, f"{len(mailbox.messages())} of {count} messages were delivered"
        time.sleep(0.05)
    return delivered(mailbox)


async def check(mail_host: MailHost, mailbox: Mailbox, way: Way, *, count: int, share: float) -> str:
    """Send so many mails while this share of the connections is cut, compare, and return the figures."""

    def choose(number: int, chance: Random) -> list[Cut]:
        if chance.random() >= share:
            return []
        at, of_client, by_fin = chance.randrange(LENGTH), chance.random() < 0.5, chance.random() < 0.5
        return [Cut(at, of="client" if of_client else "server", by="FIN" if by_fin else "RST")]

    begun = time.monotonic()
    async with FaultProxy(mail_host.postfix.port, choose, seed=count) as proxy:
        endpoint = Endpoint("127.0.0.1", proxy.port, tls="none")
        async with SMTPPool(
            endpoint, max_connections=CONNECTIONS, max_messages_per_connection=MAILS_PER_CONNECTION
        ) as pool:
            words = await way(pool, mails_for(mailbox, count))
            statistics = pool.statistics
        await proxy.wait_idle()
        cuts = sum(connection.was_cut for connection in proxy.connections)
    seconds = time.monotonic() - begun

    tally = Counter(words.values())
    accepted = {number for number, word in words.items() if word is Delivery.ACCEPTED}
    doubtful = {number for number, word in words.items() if word is Delivery.UNKNOWN}
    arrived = await asyncio.to_thread(wait_until_delivered, mail_host.postfix, mailbox, len(accepted))
    assert sorted(words) == list(range(count))
    assert sum(tally.values()) == count
    assert len(arrived) == len(set(arrived)), "a mail was sent twice"
    assert accepted <= set(arrived) <= accepted | doubtful
    # Who is nobody is refused, unless his mail was lost on its way.
    assert all(words[number] is not Delivery.ACCEPTED for number in range(49, count, 50))
    assert tally[Delivery.REFUSED] <= count // 50
    # A mail that is cut off is one: what a cut connection had before it, and what it would have had, has other words.
    assert tally[Delivery.UNKNOWN] + tally[Delivery.NOT_SENT] <= cuts
    assert cuts
    assert statistics.opened >= count // MAILS_PER_CONNECTION
    assert (statistics.in_use, statistics.waiting) == (0, 0)
    return (
        f"{way.__name__}: {count} mails in {seconds:.1f} s over {len(proxy.connections)} connections, {cuts} cut: "
        f"{', '.join(f'{tally[word]} {word.value}' for word in Delivery)}; {len(arrived)} delivered; {statistics}"
    )


@pytest.mark.parametrize("way", [by_send, by_send_all])
async def test_every_word_is_true_though_connections_are_cut(mail_host: MailHost, mailbox: Mailbox, way: Way) -> None:
    # With so few connections, a larger share of them.
    await check(mail_host, mailbox, way, count=500, share=0.1)


@pytest.mark.exhaustive
@pytest.mark.parametrize("way", [by_send, by_send_all])
async def test_every_word_is_true_of_ten_thousand_mails(
    mail_host: MailHost, mailbox: Mailbox, way: Way, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = await check(mail_host, mailbox, way, count=10_000, share=0.01)
    with capsys.disabled():
        print(f"\n{figures}")
