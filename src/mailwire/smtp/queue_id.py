"""Queue ids: under which name a server keeps a mail, read from its reply to the message.

No standard says where it stands, so this is a table of what servers are known to say. What is in none of these forms is
no queue id: None, never a guess. The text is a stranger's; every pattern is bounded and looks at a bounded part of it.
"""

import re
from typing import Final

from .reply import Reply

__all__ = ["PATTERNS", "queue_id"]

_LIMIT: Final = 1000  # octets of a line that are looked at
_ENHANCED: Final = re.compile(rb"\A2\.[0-9]{1,3}\.[0-9]{1,3} ")
_WORD: Final = r"[A-Za-z0-9]"
_WITH_DIGIT: Final = r"(?=[A-Za-z]{0,19}[0-9])"  # what has none is an English word

PATTERNS: Final[tuple[tuple[str, re.Pattern[bytes]], ...]] = tuple(
    (server, re.compile(pattern.encode()))
    for server, pattern in (
        # Postfix, and what passes its words on: "2.0.0 Ok: queued as 4XrTq21rYkz9vNG"
        ("Postfix", rf"\bqueued as {_WITH_DIGIT}({_WORD}{{6,32}})(?!{_WORD})"),
        # Exim: "OK id=1sMrpq-0001Ah-UT", since 4.97 "OK id=1wLWNN-00000002g1x-0ye6"
        ("Exim", rf"\AOK id=({_WORD}{{6}}-{_WORD}{{6,11}}-{_WORD}{{2,4}})(?![A-Za-z0-9-])"),
        # Exchange: "2.6.0 <...> [InternalId=274498, Hostname=...] 1870 bytes ... Queued mail for delivery"
        ("Exchange", r"\[InternalId=([0-9]{1,24})(?![0-9])"),
        # Gmail: "2.0.0 OK  1690517236 x6-20020a05610223c600b004451f8ccf1csm418782vsr.11 - gsmtp"
        ("Gmail", r"\bOK {1,2}[0-9]{10} ([a-z0-9-]{6,80}\.[0-9]{1,6}) - gsmtp\b"),
        # OpenSMTPD: "2.0.0 48b2e7b3 Message accepted for delivery"
        ("OpenSMTPD", r"(?:\A|(?<= ))([0-9a-f]{8}) Message accepted for delivery"),
        # Sendmail: "2.0.0 i9DKq5tr004210 Message accepted for delivery"
        ("Sendmail", rf"(?:\A|(?<= )){_WITH_DIGIT}({_WORD}{{8,20}}) Message accepted for delivery"),
        # qmail: "ok 1792073422 qp 12345"
        ("qmail", r"\A[Oo][Kk]:? [0-9]{10} qp ([0-9]{1,10})(?![0-9])"),
        # Amazon SES: "Ok 010201819ab3682a-8a9a6442-6822-4e64-a65d-54561c87b79f-000000"
        ("Amazon SES", r"\AOk ([0-9a-f]{16}-[0-9a-f]{8}-[0-9a-f-]{14}-[0-9a-f]{12}-[0-9]{6})(?![0-9])"),
        # Haraka: "Message Queued (86FD81C6-5A2B-4A2B-9E0B-1C5B0C8C2D11.1)"
        ("Haraka", r"\AMessage Queued \(([0-9A-Fa-f-]{36}\.[0-9]{1,6})\)"),
        # Dovecot, by LMTP: "2.0.0 <b@example.org> oMAAKz0zUl/hJwAAjPgYsA Saved"
        ("Dovecot", r"> ([A-Za-z0-9+/:]{8,64}) Saved\b"),
    )
)
"""The servers that are known, with what their replies look like; the queue id is the group of each pattern."""


def queue_id(reply: Reply) -> str | None:
    """Return the queue id in `reply`, the one to a message; None if it is a refusal, or none of the forms known."""
    if not reply.is_completion:
        return None
    for line in reply.lines:
        text = _ENHANCED.sub(b"", line[:_LIMIT])
        for _, pattern in PATTERNS:
            if (found := pattern.search(text)) is not None:
                return found[1].decode("ascii")
    return None
