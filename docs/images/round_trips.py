"""Draw sessions with and without pipelining, as they are spoken and counted on the loopback server, as SVG.

    python docs/images/round_trips.py

The server answers only when the client does nothing more without an answer, so each pair of arrows is one wait for the
server, and their number is what the server has counted. The greeting is waited for as well, by everybody.
"""

import asyncio
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import mailwire
from mailwire.testing import Account, MailServer

HERE = Path(__file__).parent
LINE, GAP, MARGIN, LANE, COLUMN = 16, 26, 24, 185, 420
STYLE = (
    "text { font: 12px sans-serif; fill: #222 } .name { font-weight: bold; font-size: 13px } "
    ".C { fill: #1d4f91 } .S { fill: #7a3b00; text-anchor: end } .number { font-size: 11px; fill: #777 } "
    "path { fill: none; stroke-width: 1.4 } .to { stroke: #1d4f91 } .from { stroke: #b5651d } .life { stroke: #bbb }"
)
ENVELOPE = ("a@example.org", ["b@example.org", "c@example.org"])
MESSAGE = b"Subject: Hello\r\n\r\nHello world\r\n"


@dataclass
class Flight:
    """What the client says in one go, and what the server answers to it."""

    said: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)


def flights_of(transcript: mailwire.Transcript) -> list[Flight]:
    """Return the dialogue behind the greeting, one wait for the server after the other."""
    flights: list[Flight] = []
    for entry in list(transcript)[1:]:
        if entry.direction == "C":
            if not flights or flights[-1].answers:
                flights.append(Flight())
            flights[-1].said += entry.lines()
        else:
            lines = entry.lines()
            shown = lines if len(lines) == 1 else [f"{lines[0]} … ({len(lines)} lines)"]
            flights[-1].answers += shown
    return flights


async def smtp_session(*, pipelining: bool) -> list[Flight]:
    """Send a mail to two, and return the session."""
    transcript = mailwire.Transcript(limit=None)
    async with MailServer([Account("b", "secret", ("b@example.org", "c@example.org"))], patient=True) as server:
        endpoint = mailwire.Endpoint(
            server.host,
            server.smtp_port,
            tls="none",
            pipelining=pipelining,
            use_chunking=False,
            local_hostname="client.example.org",
        )
        sender, recipients = ENVELOPE
        await mailwire.send(MESSAGE, endpoint, sender=sender, recipients=recipients, transcript=transcript)
        await server.wait_idle()
    return counted(transcript, server.smtp_sessions[0].flights)


async def pop3_session(*, pipelining: bool) -> list[Flight]:
    """Retrieve three messages, and return the session."""
    transcript = mailwire.Transcript(limit=None)
    async with MailServer([Account("b", "secret", ("b@example.org",))], patient=True) as server:
        for number in range(3):
            server.maildrop.put("b", MESSAGE, uid=f"u{number}")
        endpoint = mailwire.Endpoint(
            server.host,
            server.pop3_port,
            protocol="pop3",
            tls="none",
            pipelining=pipelining,
            auth=mailwire.Password("b", "secret"),
            allow_cleartext_auth=True,
        )
        assert len(await mailwire.retrieve(endpoint, transcript=transcript)) == 3
        await server.wait_idle()
    return counted(transcript, server.pop3_sessions[0].flights)


def counted(transcript: mailwire.Transcript, count: int) -> list[Flight]:
    """Return the flights of a session, which are as many as the server has counted."""
    flights = flights_of(transcript)
    assert len(flights) == count, (len(flights), count)
    return flights


def column(title: str, flights: list[Flight], left: int) -> tuple[list[str], int]:
    """Return one session as a column of arrows, and how far down it goes."""
    client, server = left + 20, left + 20 + LANE * 2
    y = MARGIN * 2 + LINE * 2
    pieces: list[str] = []
    for number, flight in enumerate(flights, 1):
        pieces.append(f'<text class="number" x="{client - 8}" y="{y + 4}" text-anchor="end">{number}</text>')
        for lines, side, way, x, tip in (
            (flight.said, "C", "to", client + 10, f"M{client} {{}} L{server} {{}}"),
            (flight.answers, "S", "from", server - 10, f"M{server} {{}} L{client} {{}}"),
        ):
            for line in lines:
                y += LINE
                pieces.append(f'<text class="{side}" x="{x}" y="{y - 4}">{escape(line[3:])}</text>')
            pieces.append(f'<path class="{way}" d="{tip.format(y, y + 10)}" marker-end="url(#{way})"/>')
            y += 12
        y += GAP - 12
    head = [
        f'<text class="name" x="{left + 20}" y="{MARGIN + LINE}">{escape(title)}: {len(flights)} round trips</text>',
        f'<text x="{client}" y="{MARGIN * 2 + LINE}">client</text>',
        f'<text x="{server}" y="{MARGIN * 2 + LINE}" text-anchor="end">server</text>',
        *(f'<path class="life" d="M{x} {MARGIN * 2 + LINE + 6} V{y}"/>' for x in (client, server)),
    ]
    return head + pieces, y


def drawn(title: str, alone: list[Flight], together: list[Flight]) -> str:
    """Return a picture of two sessions, one beside the other."""
    left, left_end = column("One command at a time", alone, MARGIN)
    right, right_end = column("With pipelining", together, MARGIN + COLUMN)
    width, height = COLUMN * 2, max(left_end, right_end) + MARGIN
    markers = "".join(
        f'<marker id="{way}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        f'<path d="M0 0 L8 4 L0 8 z" style="fill: {colour}; stroke: none"/></marker>'
        for way, colour in (("to", "#1d4f91"), ("from", "#b5651d"))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n<defs>{markers}</defs>\n"
        '<rect width="100%" height="100%" style="fill: #fff"/>\n' + "\n".join(left + right) + "\n</svg>\n"
    )


async def pictures() -> dict[str, str]:
    """Return both pictures by the names of their files."""
    return {
        "smtp-round-trips.svg": drawn(
            "A mail to two recipients, with and without pipelining",
            await smtp_session(pipelining=False),
            await smtp_session(pipelining=True),
        ),
        "pop3-round-trips.svg": drawn(
            "Three messages retrieved, with and without pipelining",
            await pop3_session(pipelining=False),
            await pop3_session(pipelining=True),
        ),
    }


if __name__ == "__main__":
    for name, text in asyncio.run(pictures()).items():
        (HERE / name).write_text(text, "utf-8")
