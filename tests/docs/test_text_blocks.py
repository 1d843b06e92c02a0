"""Blocks that are no program: scripts of the loopback server's, and the shape of the machines."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from mailwire import pop3, smtp
from mailwire.testing import ScriptedSession, load_script
from tests.docs.blocks import BLOCKS, Block
from tests.transcripts import smtp_story
from tests.transcripts.smtp_story import SMTPStory
from tests.transcripts.story import Story


def a_script_is_read(text: str, folder: Path) -> None:
    (folder / "message.eml").write_bytes(b"x" * 392)
    (folder / "script.txt").write_text(text)
    steps = load_script(folder / "script.txt")
    # A line each, but for the comment, and PACKET, which is the empty line.
    assert len(steps) == len(text.splitlines()) - 1
    session = ScriptedSession(*steps)
    assert session.data_to_send() == [b"220 ready\r\n"]
    session.receive_data(b"EHLO client.example.org\r\n")
    assert session.data_to_send() == [b"250-mx\r\n", b"250 STARTTLS\r\n"]


def a_transcript_is_played(text: str, _: Path) -> None:
    story = SMTPStory(Story("smtp-example", text))
    outcome, sender = smtp_story.play(story)
    assert outcome.error is None
    (transaction,) = sender.transactions
    assert [entry.delivery.name for entry in transaction.receipt().recipients] == ["NOT_SENT", "REFUSED"]


def both_machines_have_this_shape(text: str, _: Path) -> None:
    names = set(re.findall(r"(?:conn)?\.(\w+)", text))
    assert {"send", "data_to_send", "receive_data", "receive_eof", "next_event", "state", "in_flight"} < names
    for name in names:
        has = [hasattr(machine(), name) for machine in (smtp.Connection, pop3.Connection)]
        assert has == [name != "capabilities", name != "extensions"], name


TEXTS: Final[dict[tuple[str, str], Callable[[str, Path], None]]] = {
    (
        "docs/reference/testing.md",
        "# A line each for what is said, and for what is done; this is a comment.",
    ): a_script_is_read,
    (
        "docs/contributing.md",
        "# One recipient of two is refused, and the mail was for both or for nobody.",
    ): a_transcript_is_played,
    (
        "docs/explanation/design.md",
        "conn.send(command)              queue a command value; refused at once if it is illegal",
    ): both_machines_have_this_shape,
}


@pytest.mark.parametrize("block", [block for block in BLOCKS if (block.place, block.head) in TEXTS], ids=str)
def test_the_text_is_what_it_says(block: Block, tmp_path: Path) -> None:
    TEXTS[block.place, block.head](block.text, tmp_path)
