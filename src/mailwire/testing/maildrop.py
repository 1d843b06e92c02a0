"""Maildrop: where SMTP puts mail and POP3 finds it, in memory.

1. A message is numbered when a session opens its account's mail, and the numbers hold until that session ends
   (RFC 1939 4): what is delivered meanwhile is seen by the next session.
2. One session at a time has an account's mail; deletions take effect when it commits, and at no other time.
3. Every line of a stored message ends in CRLF, the last one too, and none holds a bare CR, a bare LF or a NUL: what
   POP3 sends between the dots is then octet for octet what is stored.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice

from .._wire.dots import LineEnds
from .._wire.text import check_argument, quote
from ..smtp.paths import Mailbox
from .checks import check_text, check_texts, describe
from .stored_keys import StoredKeys

__all__ = ["Account", "Envelope", "Maildrop", "OpenMaildrop", "StoredMessage"]

# RFC 1939 7: "one to 70 characters in the range 0x21 to 0x7E".
_UID_LIMIT = 70


@dataclass(frozen=True, slots=True)
class Account:
    """A user, what the user logs in with, and the addresses whose mail is theirs.

    password: "" where no password does.
    addresses: by default the user's name, at localhost if need be.
    access_tokens: those with which OAUTHBEARER and XOAUTH2 log in.
    certificate_name: the name in a client's certificate, its common name or an alternative name, with which EXTERNAL
        logs in.

    Raises ValueError for an empty or unprintable user, for an address that is none, and for a value of another kind
    than its field has, which is not quoted where it may be a secret.
    """

    user: str
    password: str = field(repr=False)
    addresses: tuple[str, ...] = ()
    access_tokens: Collection[str] = field(default=(), repr=False)
    certificate_name: str | None = None

    def __post_init__(self) -> None:
        check_text("user", self.user)
        if not check_argument("a user name", self.user.encode()):
            raise ValueError("a user name must not be empty")
        check_text(f"the password of {self.user!r}", self.password, is_secret=True)
        check_texts("addresses", self.addresses)
        check_texts("access_tokens", self.access_tokens, is_secret=True)
        if self.certificate_name is not None:
            check_text("certificate_name", self.certificate_name)
            if not self.certificate_name:
                raise ValueError("a certificate_name must not be empty; None is for no certificate")
        default = self.user if "@" in self.user else f"{self.user}@localhost"
        parsed = tuple(str(Mailbox.parse(address)) for address in self.addresses or (default,))
        object.__setattr__(self, "addresses", parsed)


@dataclass(frozen=True, slots=True)
class Envelope:
    """What MAIL and RCPT said: `sender` is "" for the null reverse-path, `parameters` are those of MAIL.

    `recipients` are the accepted ones, in their order, `recipient_parameters` those of RCPT for each of them.
    """

    sender: str
    recipients: tuple[str, ...]
    parameters: Mapping[str, str | None] = field(default_factory=dict)
    recipient_parameters: tuple[Mapping[str, str | None], ...] = ()

    def __post_init__(self) -> None:
        missing = len(self.recipients) - len(self.recipient_parameters)
        object.__setattr__(self, "recipient_parameters", (*self.recipient_parameters, *({} for _ in range(missing))))


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message: its unique id, its octets, and the envelope it came in if it came by SMTP."""

    uid: str
    content: bytes = field(repr=False)
    envelope: Envelope | None = None


class _Box:
    def __init__(self, account: Account) -> None:
        self.account = account
        self.messages: dict[str, StoredMessage] = {}  # by unique id, the oldest first
        self.hidden: set[str] = set()  # the unique ids of those that no session is shown
        self.is_locked = False


class OpenMaildrop:
    """An account's mail under the exclusive lock of one session. Made by `Maildrop.open`; to be released in the end.

    `remaining` holds the messages that are not marked as deleted, by number.
    """

    def __init__(self, box: _Box, limit: int | None = None) -> None:
        self._box = box
        shown = (message for message in box.messages.values() if message.uid not in box.hidden)
        self._numbered = dict(enumerate(islice(shown, limit), 1))
        self.remaining: dict[int, StoredMessage] = dict(self._numbered)
        box.is_locked = True

    def reset(self) -> None:
        """Unmark what is marked as deleted."""
        self.remaining = dict(self._numbered)

    def delete(self, number: int) -> None:
        """Mark a remaining message."""
        del self.remaining[number]

    def hide(self, number: int) -> None:
        """Show a message to no later session."""
        self._box.hidden.add(self._numbered[number].uid)

    def commit(self) -> None:
        """Delete what is marked, and release."""
        for number in self._numbered.keys() - self.remaining.keys():
            del self._box.messages[self._numbered[number].uid]
        self.release()

    def release(self) -> None:
        """Let other sessions have the mail. What is marked stays."""
        self._box.is_locked = False


class Maildrop:
    """The accounts and their mail.

    stored_keys: what SCRAM has derived from the passwords so far, by user, hash function and iterations.
    """

    def __init__(self, accounts: Iterable[Account] = ()) -> None:
        self._boxes: dict[str, _Box] = {}
        self._owners: dict[str, _Box] = {}  # by address
        self._last_number = 0
        self.stored_keys: dict[tuple[str, str, int], StoredKeys] = {}
        if not isinstance(accounts, Iterable):
            raise ValueError(f'expected accounts, such as [Account("alice", "secret")], got {describe(accounts)}')
        for account in accounts:
            self.add(account)

    # Accounts

    @property
    def accounts(self) -> tuple[Account, ...]:
        """The accounts, in the order in which they were added."""
        return tuple(box.account for box in self._boxes.values())

    def add(self, account: Account) -> None:
        """Add an account.

        Raises ValueError if its user, one of its addresses or its certificate's name is taken, and for what is none.
        """
        if not isinstance(account, Account):
            raise ValueError(f"expected an Account, got {describe(account, is_secret=True)}")
        if account.user in self._boxes:
            raise ValueError(f"there is an account {account.user!r} already")
        for address in account.addresses:
            if (owner := self._owners.get(_key(address))) is not None:
                raise ValueError(f"the address {address} belongs to {owner.account.user!r} already")
        for other in self.accounts:
            if account.certificate_name is not None and account.certificate_name == other.certificate_name:
                raise ValueError(f"the certificate name {other.certificate_name} belongs to {other.user!r} already")
        box = self._boxes[account.user] = _Box(account)
        self._owners.update({_key(address): box for address in account.addresses})

    def find(self, user: str) -> Account | None:
        """Return the account of `user`, None if there is none."""
        box = self._boxes.get(user)
        return None if box is None else box.account

    def has_recipient(self, recipient: Mailbox) -> bool:
        """Whether mail for `recipient` has an owner here; case does not count."""
        return _key(str(recipient)) in self._owners

    # Mail

    def messages(self, user: str) -> tuple[StoredMessage, ...]:
        """Return the mail of `user`, the oldest first. Raises KeyError if there is no such account."""
        return tuple(self._box(user).messages.values())

    def put(self, user: str, content: bytes | bytearray | memoryview, *, uid: str | None = None) -> StoredMessage:
        """Store a message for `user`; its line ends become CRLF, and a last line without one gets it.

        uid: a unique id of your own; by default a number. Raises ValueError if `content` is no octets or holds a NUL,
        or if `uid` is taken or no unique id (RFC 1939 7); KeyError if there is no such account.
        """
        box = self._box(user)
        if uid is not None:
            check_text("uid", uid)
        if not isinstance(content, bytes | bytearray | memoryview):
            raise ValueError(f"expected the octets of a message, got {describe(content)}")
        if uid is None:
            uid = self._next_id([box])
        elif not 1 <= len(uid) <= _UID_LIMIT or not all("!" <= character <= "~" for character in uid):
            raise ValueError(f"a unique id is 1 to {_UID_LIMIT} printable ASCII characters, got {quote(uid.encode())}")
        if uid in box.messages:
            raise ValueError(f"{user!r} has a message with the unique id {uid} already")
        line_ends = LineEnds()
        content = line_ends.feed(bytes(content)) + line_ends.finish()
        if content and not content.endswith(b"\n"):
            content += b"\r\n"
        message = box.messages[uid] = StoredMessage(uid, content)
        return message

    def deliver(self, envelope: Envelope, content: bytes) -> str:
        """Store a message that came by SMTP, once for each account among the recipients; return the id it got.

        The id is the message's unique id in every maildrop. Recipients without an account are passed over.
        """
        owners = {self._owners[key] for address in envelope.recipients if (key := _key(address)) in self._owners}
        message = StoredMessage(self._next_id(owners), content, envelope)
        for box in owners:
            box.messages[message.uid] = message
        return message.uid

    def open(self, user: str, *, limit: int | None = None) -> OpenMaildrop | None:
        """Lock the mail of `user` for one session; None if another one has it (RFC 1939 4).

        limit: of how many messages, at most; the oldest.
        """
        box = self._box(user)
        return None if box.is_locked else OpenMaildrop(box, limit)

    # Private

    def _box(self, user: str) -> _Box:
        box = self._boxes.get(user)
        if box is None:
            raise KeyError(f"there is no account {user!r}; there are {', '.join(map(repr, self._boxes)) or 'none'}")
        return box

    def _next_id(self, boxes: Collection[_Box]) -> str:
        # A number that no test has used for a unique id of its own.
        while True:
            self._last_number += 1
            uid = f"{self._last_number:08d}"
            if not any(uid in box.messages for box in boxes):
                return uid


def _key(address: str) -> str:
    return address.casefold()
