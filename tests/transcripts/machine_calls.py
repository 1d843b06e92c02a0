"""What no client of mailwire says: the machine of a transcript says it, over a stream.

What must come of it is what comes of it without a socket, which `test_transcripts` judges.
"""

from dataclasses import dataclass
from typing import Any

from mailwire import pop3, smtp
from mailwire.aio.stream import Stream
from mailwire.errors import MailwireError
from mailwire.testing import ScriptedPeer, Step
from tests.pop3.sessions import account
from tests.transcripts import smtp_story
from tests.transcripts.calls import Calls
from tests.transcripts.places import Way
from tests.transcripts.pop3_story import POP3Story
from tests.transcripts.smtp_story import SMTPStory
from tests.transcripts.test_transcripts import Outcome, play

__all__ = ["MachineCalls"]


@dataclass
class _Heard:
    # What came of it, and what the peer has heard.

    outcome: Outcome
    heard: bytes


class MachineCalls(Calls[_Heard]):
    """What the machine of one transcript says. None of them begins TLS in the middle."""

    is_starttls = False

    async def _play(self, script: tuple[Step, ...], is_encrypted: bool, way: Way) -> _Heard:
        async with ScriptedPeer(*script, lenient=way.is_cut) as peer:
            context = way.context if is_encrypted else None
            tls = "implicit" if is_encrypted else "none"
            stream = await Stream.open(peer.endpoint(connect=way.to(peer), tls=tls, tls_context=context), context)
            try:
                outcome = await self._talk(stream)
            finally:
                stream.abort()
        await way.closed()
        return _Heard(outcome, bytes(peer.heard))

    def _judge(self, outcome: _Heard, said: int, where: object) -> None:
        transcript = self.story.transcript
        # Where all is said, it is the client that goes.
        is_whole = said == len(transcript.server) and not transcript.turns[-1].closes
        assert outcome.outcome == play(self.story, transcript=None if is_whole else transcript.ending(said)), where

    async def _talk(self, stream: Stream) -> Outcome:
        if self.story.is_pop3:
            machine = pop3.Connection()
            program = POP3Story(self.story).make_program(machine)
            events, written, error = await _drive(machine, program, stream)
            return Outcome(account(events), written, repr(error), [])
        mails = SMTPStory(self.story)
        connection = smtp.Connection(lmtp=mails.is_lmtp)
        sender = mails.make_sender(connection)
        events, written, error = await _drive(connection, sender, stream)
        words = [transaction.receipt() for transaction in sender.transactions]
        return Outcome(smtp_story.told_of(events), written, repr(error), words)


async def _drive(machine: Any, client: Any, stream: Stream) -> tuple[list[Any], bytes, MailwireError | None]:
    # Let both talk over the stream to its end; return the events, all that was said, and what ended it.
    events: list[Any] = []
    written = b""
    try:
        client.begin()
        while machine.state.name != "CLOSED":
            said = machine.data_to_send()
            written += b"".join(said)
            stream.write(said)
            await stream.wait()
            for data in stream.take():
                machine.receive_data(data)
            if stream.is_at_end:
                machine.receive_eof()
            while (event := machine.next_event()) is not None:
                events.append(event)
                client.take(event)
    except MailwireError as error:
        return events, written, error
    return events, written, None
