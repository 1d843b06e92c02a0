"""Credentials: who we are, as values that never show their secret."""

from dataclasses import dataclass, field

from .fields import check_texts

__all__ = ["Password"]


@dataclass(frozen=True, slots=True)
class Password:
    """A user name and a password, both any text; sent as UTF-8.

    authzid: the identity to act as (RFC 4422 3.4.1), where it is not the user's own.

    Raises ValueError for what is no text, such as None or octets, and for text that is none in UTF-8 (lone surrogates).
    """

    user: str
    password: str = field(repr=False)
    authzid: str = ""

    def __post_init__(self) -> None:
        check_texts(self, "user", "password", "authzid")
        # Not by trying to encode: the error of that holds the text, password and all.
        if any("\ud800" <= character <= "\udfff" for character in f"{self.user}{self.password}{self.authzid}"):
            raise ValueError("user, password and authzid must be text that UTF-8 can express")
