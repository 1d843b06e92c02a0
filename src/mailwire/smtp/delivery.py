"""Delivery: the four words for what became of a mail, and the law by which they are found.

Let the moment of doubt begin when the last octet of the message (the final dot's line end, or the last octet of the
last chunk) is handed to the transport, and end when the last octet of a well-formed reply to it was read. Then:

1. A recipient that was refused is REFUSED, whatever else was said.
2. For one that was accepted, the reply to the message decides: 2yz is ACCEPTED, 4yz and 5yz are REFUSED. 421 is
   neither: it says that the server closes, and nothing of the message. LMTP has such a reply for each recipient, SMTP
   has one for all.
3. Before that, a refusal of MAIL, of DATA or of a chunk is REFUSED.
4. Without a reply, within the moment of doubt, it is UNKNOWN; before it began, NOT_SENT.
5. A server that contradicts itself is not believed to our advantage: UNKNOWN, where it refused the sender or a chunk
   and then took, or may have taken, the message for a recipient that it had accepted.
6. Where there is a reply too many to what left together with the end of the message, none of them is relied on, not
   even a refusal: UNKNOWN for all.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from .reply import Reply

__all__ = ["ACCEPTED", "Delivery", "Heard", "joined_word"]


class Delivery(Enum):
    """What became of a mail, for one recipient or as a whole."""

    NOT_SENT = "not sent"
    """The attempt ended before the moment of doubt, and not by a refusal. The server does not have the mail."""

    REFUSED = "refused"
    """The server refused, in a complete reply. It does not have the mail."""

    ACCEPTED = "accepted"
    """The server took responsibility for the mail (RFC 5321 4.2.5, 6.1)."""

    UNKNOWN = "unknown"
    """The attempt ended within the moment of doubt. The server may or may not have the mail (RFC 1047)."""

    @property
    def may_be_there(self) -> bool:
        """Whether the server has the mail, or may have it: whoever sends it again may send it twice."""
        return self is Delivery.ACCEPTED or self is Delivery.UNKNOWN

    def __repr__(self) -> str:
        return f"Delivery.{self.name}"


def joined_word(words: Collection[Delivery]) -> Delivery:
    """Return the word for a mail that went out in several transactions, of which these are the words.

    UNKNOWN if any is UNKNOWN, else ACCEPTED if any is ACCEPTED, else REFUSED if any is REFUSED, else NOT_SENT.
    """
    return next(
        (word for word in (Delivery.UNKNOWN, Delivery.ACCEPTED, Delivery.REFUSED) if word in words), Delivery.NOT_SENT
    )


# As in `states`: a name for what every mail asks for.
ACCEPTED: Final = Delivery.ACCEPTED
"""`Delivery.ACCEPTED`, found at once."""


@dataclass(slots=True)
class Heard:
    """What a server has said about one mail: its replies, as they came.

    recipients: the replies to RCPT, in the order of the recipients.
    chunk: the refusal of a chunk that was not the last.
    verdicts: the replies to the end of the message, one, or in LMTP one for each recipient accepted.
    is_early: the verdict came before the end of the message. There is one then, for all.
    is_miscounted: there was a reply too many (`BdatLast.is_miscounted`).
    """

    mail: Reply | None = None
    recipients: list[Reply] = field(default_factory=list)
    data: Reply | None = None
    chunk: Reply | None = None
    verdicts: list[Reply] = field(default_factory=list)
    is_early: bool = False
    is_miscounted: bool = False

    def words(self, count: int, *, in_doubt: bool, lmtp: bool) -> list[Delivery]:
        """Return the word for each of `count` recipients. `in_doubt`: the end of the message was handed out."""
        if self.is_miscounted:
            return [Delivery.UNKNOWN] * count
        common = self._accepted(self.verdicts[0] if self.verdicts else None, in_doubt=in_doubt)
        accepted = 0
        words: list[Delivery] = []
        for reply in self.recipients:
            if not reply.is_completion:
                words.append(Delivery.REFUSED)
            elif not lmtp:
                words.append(common)
            else:
                words.append(self._accepted(self.verdict(accepted, lmtp=True), in_doubt=in_doubt))
                accepted += 1
        return words + [self._unanswered(in_doubt=in_doubt)] * (count - len(words))

    def verdict(self, place: int, *, lmtp: bool) -> Reply | None:
        """Return the reply to the message for the recipient in that `place` among the accepted; None if it lacks."""
        place = place if lmtp and not self.is_early else 0
        return self.verdicts[place] if place < len(self.verdicts) else None

    def verdict_for(self, word: Delivery) -> Reply | None:
        """Return the last reply to the message of which `word` follows, for whom it is to; None if there is none."""
        return next((reply for reply in reversed(self.verdicts) if self._judged(reply) is word), None)

    def word(self, words: Sequence[Delivery], *, all_or_nothing: bool) -> Delivery:
        """Return the word for the mail as a whole, of which these are the `words` for its recipients."""
        if Delivery.UNKNOWN in words:
            return Delivery.UNKNOWN
        if Delivery.ACCEPTED in words:
            return Delivery.ACCEPTED
        refused = Delivery.REFUSED in words if all_or_nothing else Delivery.NOT_SENT not in words
        return Delivery.REFUSED if refused else Delivery.NOT_SENT

    def _unanswered(self, *, in_doubt: bool) -> Delivery:
        if self._sender_is_refused:
            return Delivery.REFUSED
        return Delivery.UNKNOWN if in_doubt else Delivery.NOT_SENT

    def _accepted(self, verdict: Reply | None, *, in_doubt: bool) -> Delivery:
        if verdict is not None:
            return self._judged(verdict)
        if self._sender_is_refused:
            return Delivery.UNKNOWN if in_doubt else Delivery.REFUSED
        if self.chunk is not None or (self.data is not None and not self.data.is_intermediate):
            return Delivery.REFUSED
        return Delivery.UNKNOWN if in_doubt else Delivery.NOT_SENT

    def _judged(self, verdict: Reply) -> Delivery:
        # For one that was accepted.
        if self._sender_is_refused or self.chunk is not None:
            return Delivery.UNKNOWN if verdict.is_completion else Delivery.REFUSED
        if verdict.is_completion:
            return Delivery.ACCEPTED
        return Delivery.UNKNOWN if verdict.code == 421 and not self.is_early else Delivery.REFUSED

    @property
    def _sender_is_refused(self) -> bool:
        return self.mail is not None and not self.mail.is_completion
