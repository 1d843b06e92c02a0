"""Quirks: what a server does against the standard and may be forgiven, one by one."""

from dataclasses import dataclass, fields

from .._wire.text import TRUTH, check_kind

__all__ = ["STANDARD", "Quirks"]


@dataclass(frozen=True, slots=True)
class Quirks:
    """What a machine puts up with. All of it is off unless it is asked for, as each has its price.

    second_status: a line +OK at the beginning of a message is dropped (pop.km.ru after TOP, FTGate). A message whose
        own first line is +OK, which no header is, loses it. Without this such a line is Desynchronised, for it may be
        the answer to another command; and so is one of -ERR.
    blank_lines: an empty line in place of an answer is passed over (Office 365, around DELE), as long as no more than
        one command is unanswered: give it with `LOCKSTEP`. If the line was meant for an answer, none follows it.
    plus_err: +ERR is taken for -ERR (hMailServer at the login). Never for a success.
    ok_as_challenge: +OK in answer to AUTH is taken for a challenge as long as the mechanism is not complete (Exchange
        2003). What follows it is the challenge if it is base64, and otherwise counts for nothing.
    cut_terminator: a message ends with a dot and a CR at the beginning of a line if nothing follows them yet (Cyrus
        3.4, for some messages): give it with `LOCKSTEP`.
    bare_lf_bodies: in messages and listings lines end in a bare LF, also where the first line of the answer ends in
        CRLF. The author of a mail can then end it where he likes, unless the server doubles dots behind a bare LF.

    Raises ValueError for what is neither True nor False.
    """

    second_status: bool = False
    blank_lines: bool = False
    plus_err: bool = False
    ok_as_challenge: bool = False
    cut_terminator: bool = False
    bare_lf_bodies: bool = False

    def __post_init__(self) -> None:
        for each in fields(self):
            check_kind(each.name, getattr(self, each.name), *TRUTH)

    @property
    def needs_lockstep(self) -> bool:
        """Whether any of it holds only where no more than one command is unanswered."""
        return self.blank_lines or self.cut_terminator


STANDARD = Quirks()
"""Nothing is forgiven but what cannot be misunderstood."""
