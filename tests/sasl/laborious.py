"""A mechanism whose every response takes long to compute, as far as the machines know."""

from mailwire.sasl import Mechanism, MechanismFailed, Work

__all__ = ["Laborious"]


class Laborious(Mechanism):
    """Answers every challenge with the challenge turned round, and keeps what it has computed.

    fails: whether every computation ends in MechanismFailed instead.
    """

    name = "X-LABORIOUS"

    def __init__(self, *, fails: bool = False) -> None:
        self.computed: list[bytes] = []
        self._fails = fails

    def initial_response(self) -> None:
        """The server speaks first."""

    def respond(self, challenge: bytes) -> Work:
        return Work(lambda: self._compute(challenge))

    def _compute(self, challenge: bytes) -> bytes:
        self.computed.append(challenge)
        if self._fails:
            raise MechanismFailed("there is no result")
        return challenge[::-1]
