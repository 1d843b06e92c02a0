"""Refusal: how the code behind a command says that it is refused."""

__all__ = ["Denied", "Refusal"]


class Refusal(Exception):
    """A command is refused: answered with the line for `situation`, in which `known` may be named."""

    def __init__(self, situation: str, **known: object) -> None:
        super().__init__(situation)
        self.situation = situation
        self.known = known


class Denied(Refusal):
    """The client did not prove to be somebody who may do this. `reason` is for whoever runs the server: the client is
    told the same whatever it is."""

    def __init__(self, reason: str) -> None:
        super().__init__("credentials")
        self.reason = reason
