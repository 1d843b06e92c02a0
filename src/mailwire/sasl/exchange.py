"""Exchange: a mechanism's messages as lines of a protocol (RFC 4954 4, RFC 5034 4).

Both protocols speak the same form: `AUTH`, the mechanism, the initial response if it fits, then challenges and
responses in base64, a line each, until the server's verdict; `*` cancels.
"""

import binascii
from collections.abc import Sequence
from typing import Final

from .._wire.text import LINE_END, quote
from .._wire.trace import MASK
from ..errors import AuthenticationFailed, ServerUnproven
from .mechanism import Mechanism, MechanismFailed, mechanism_problem
from .redaction import Redaction
from .scram import ProofMissing
from .work import ComputationDue, Work

__all__ = ["CANCEL", "ROUND_LIMIT", "Exchange"]

CANCEL: Final = b"*\r\n"
"""What breaks an exchange off (RFC 4954 4, RFC 5034 4)."""

ROUND_LIMIT: Final = 8
"""So many challenges are answered. The longest honest exchange of a registered mechanism takes three; a server that
asks for ever is cut off."""


class Exchange:
    """One use of `mechanism` under the protocol's `verb` (AUTH).

    line_limit: octets that the command line may have; an initial response that does not fit answers the first
        challenge.
    sends_initial_response: False lets it always do so.

    Raises ValueError for what is no mechanism.
    """

    def __init__(
        self, mechanism: Mechanism, verb: bytes, line_limit: int, *, sends_initial_response: bool = True
    ) -> None:
        problem = mechanism_problem(mechanism)
        if problem is not None:
            del mechanism
            raise ValueError(problem)
        self.mechanism = mechanism
        self.failure: MechanismFailed | None = None  # why the exchange was cancelled by us
        self.is_begun = False  # one exchange is one use: what was said is not said again
        self._rounds = 0
        self._said: list[bytes] = []  # in base64
        self._masked: Sequence[bytes] = ()  # the secrets of...
        self._masking = Redaction(())  # ...this one: to make one takes longer than to use it
        self._pending: bytes | None = None  # an initial response that the command line does not hold
        self._computed: bytes | MechanismFailed | None = None  # what came of the Work that was handed out
        self._work: Work | None = None
        self._line = self._make_line(verb, line_limit if sends_initial_response else 0)

    @property
    def is_complete(self) -> bool:
        """Whether a success reported now can be believed."""
        return self.failure is None and self._pending is None and self.mechanism.is_complete

    @property
    def has_spoken(self) -> bool:
        """Whether the server was told more than the mechanism's name."""
        return bool(self._said)

    @property
    def is_server_unproven(self) -> bool:
        """Whether it failed because the server did not prove that it knows us."""
        return isinstance(self.failure, ProofMissing)

    def command_line(self) -> bytes:
        """Return the command that begins the exchange, with its CRLF."""
        return self._line

    def shown_command(self) -> str:
        """Return the command as a transcript shows it."""
        begins = self._line.count(b" ") > 1
        return f"AUTH {self.mechanism.name}" + (f" {MASK}" if begins else "")

    def mask(self, text: bytes) -> bytes:
        """Return `text`, which the server said, without our secrets and without the lines that we said."""
        return self._redaction().mask(text)

    def error(self, more: str = "") -> AuthenticationFailed:
        """Return the error for an exchange that we cancelled, or that the server calls a success before it is one."""
        failure = self.failure
        if failure is None:
            failure = MechanismFailed("the server reports success before the exchange is complete")
            is_unproven = self.mechanism.proves_server
        else:
            is_unproven = self.is_server_unproven
        command = self.shown_command()
        kind = ServerUnproven if is_unproven else AuthenticationFailed
        return kind(f"{command} failed: {failure}{more}", command=command)

    def respond(self, challenge: bytes) -> bytes | ComputationDue:
        """Return the line that answers a `challenge`, given in base64 as it came; it may be the one that cancels.

        Where that takes long to compute, the event that tells so is returned, and the line by `take_computed`. Never
        raises for what a server sends: `failure` then says what was wrong with it.
        """
        self._rounds += 1
        if self.failure is not None:
            return CANCEL
        if self._rounds > ROUND_LIMIT:
            return self._cancel(MechanismFailed(f"the server went on asking after {ROUND_LIMIT} challenges"))
        try:
            answer = self._answer(challenge)
        except MechanismFailed as failure:
            return self._cancel(failure)
        if isinstance(answer, Work):
            self._work = answer
            return ComputationDue(self.mechanism.name, self._compute)
        return self._line_of(answer)

    def take_computed(self) -> bytes:
        """Return the line that was computed; compute it here if nobody did."""
        if self._computed is None:
            self._compute()
        computed, self._computed, self._work = self._computed, None, None
        if computed is None:
            raise AssertionError("to compute is to have a result")
        return self._cancel(computed) if isinstance(computed, MechanismFailed) else self._line_of(computed)

    def _answer(self, challenge: bytes) -> bytes | Work:
        try:
            decoded = binascii.a2b_base64(challenge, strict_mode=True)
        except binascii.Error:
            raise MechanismFailed(f"expected a challenge in base64, got {quote(self.mask(challenge))}") from None
        if self._pending is not None:
            if decoded:
                raise MechanismFailed("the server asked before it heard the initial response")
            response, self._pending = self._pending, None
            return response
        try:
            return self.mechanism.respond(decoded)
        except (MechanismFailed, ValueError) as problem:
            # What is quoted of a challenge that holds a secret, holds it too.
            redaction = self._redaction()
            if redaction.is_needed(challenge) or redaction.is_needed(decoded):
                kind = ProofMissing if isinstance(problem, ProofMissing) else MechanismFailed
                raise kind("the challenge says what we said in confidence") from None
            if isinstance(problem, MechanismFailed):
                raise
            # A mechanism that did not foresee this challenge (UnicodeDecodeError is one).
            raise MechanismFailed(
                f"{self.mechanism.name} cannot make sense of the challenge {quote(challenge)}"
            ) from None

    def _compute(self) -> None:
        if self._work is None:
            raise AssertionError("nothing is to be computed")
        try:
            self._computed = self._work.compute()
        except MechanismFailed as failure:
            self._computed = failure

    def _make_line(self, verb: bytes, line_limit: int) -> bytes:
        line = verb + b" " + self.mechanism.name.encode("ascii")
        initial = self.mechanism.initial_response()
        if initial is None:
            return line + LINE_END
        # RFC 4954 4: an initial response of no octets is written "=".
        whole = line + b" " + (_encode(initial) or b"=") + LINE_END
        if len(whole) <= line_limit:
            self._said.append(_encode(initial))
            return whole
        self._pending = initial
        return line + LINE_END

    def _line_of(self, response: bytes) -> bytes:
        encoded = _encode(response)
        self._said.append(encoded)
        return encoded + LINE_END

    def _redaction(self) -> Redaction:
        secrets = (*self.mechanism.secrets, *self._said)
        if secrets != self._masked:
            self._masked, self._masking = secrets, Redaction(secrets)
        return self._masking

    def _cancel(self, failure: MechanismFailed) -> bytes:
        # It is kept for what it says: the frames that it was raised in hold more.
        failure.__context__ = failure.__cause__ = None
        self.failure = failure.with_traceback(None)
        return CANCEL


def _encode(message: bytes) -> bytes:
    return binascii.b2a_base64(message, newline=False)
