"""The oracle: the right word for each recipient of each mail, from the octets alone.

It knows what was handed out to be written, and what was fed to the machine, and reads both by its own rules: it pairs
the answers with what they answer, and judges by what the standards say of each. It shares nothing with mailwire but the
four words.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from mailwire.smtp import Delivery

UNKNOWN, ACCEPTED, REFUSED, NOT_SENT = Delivery.UNKNOWN, Delivery.ACCEPTED, Delivery.REFUSED, Delivery.NOT_SENT


@dataclass
class Account:
    """What is known of one mail: the codes of the answers, None for what was asked and not answered."""

    mail: int | None = None
    recipients: list[int | None] = field(default_factory=list)
    data: int | None = None
    chunks: list[int | None] = field(default_factory=list)
    ended: bool = False  # the last octet of the message was handed out
    ends: list[int] = field(default_factory=list)
    early: int | None = None  # the verdict that came before the end of the message


def accounts_of(sent: bytes, heard: bytes, *, lmtp: bool = False) -> list[Account]:
    """Return the accounts of the mails in a session, in their order."""
    codes = iter([int(line[:3]) for line in heard.split(b"\n")[:-1] if line[3:4] != b"-"])
    next(codes, None)  # of the greeting
    accounts: list[Account] = []
    account = Account()
    rest = sent
    while rest:
        line, end, rest = rest.partition(b"\r\n")
        if not end:
            break
        verb = line[:4]
        if verb == b"MAIL":
            account = Account(mail=next(codes, None))
            accounts.append(account)
        elif verb == b"RCPT":
            account.recipients.append(next(codes, None))
        elif verb == b"DATA":
            account.data = next(codes, None)
            if account.data == 354:
                dot = (b"\r\n" + rest).find(b"\r\n.\r\n")
                if dot < 0:
                    account.early = next(codes, None)
                    break
                rest = rest[dot + 3 :]
                _end(account, codes, lmtp)
        elif verb == b"BDAT":
            words = line.split(b" ")
            size = int(words[1])
            assert len(rest) >= size, "less was handed out than the command for it said"
            rest = rest[size:]
            if words[2:] == [b"LAST"]:
                _end(account, codes, lmtp)
            else:
                account.chunks.append(next(codes, None))
        else:
            next(codes, None)  # of EHLO, LHLO, RSET, QUIT
    return accounts


def _end(account: Account, codes: Iterator[int], lmtp: bool) -> None:
    account.ended = True
    standing = sum(code is not None and code < 300 for code in account.recipients)
    spoiled = any(code is not None and code >= 300 for code in account.chunks)
    for _ in range(standing if lmtp and standing and not spoiled else 1):
        if (code := next(codes, None)) is None:
            break
        account.ends.append(code)
        if code == 421:
            break


def words_for(account: Account, count: int, *, lmtp: bool = False) -> list[Delivery]:
    """Return the word for each of `count` recipients."""
    words: list[Delivery] = []
    stood = 0
    for number in range(count):
        code = account.recipients[number] if number < len(account.recipients) else None
        if code is not None and code >= 300:
            words.append(REFUSED)
        elif code is None:
            if account.mail is not None and account.mail >= 300:
                words.append(REFUSED)
            else:
                words.append(UNKNOWN if account.ended else NOT_SENT)
        else:
            verdict = account.ends[stood if lmtp else 0] if len(account.ends) > (stood if lmtp else 0) else None
            stood += 1
            words.append(_word_for_one_who_stood(account, verdict))
    return words


def _word_for_one_who_stood(account: Account, verdict: int | None) -> Delivery:
    mail_refused = account.mail is not None and account.mail >= 300
    chunk_refused = any(code is not None and code >= 300 for code in account.chunks)
    if account.early is not None:
        return REFUSED
    if mail_refused or chunk_refused:
        # Its "yes" to the end is worth nothing then; nor is silence, where it took RCPT behind its "no" to MAIL.
        believed = verdict is not None and verdict < 300
        silent = verdict is None and account.ended and mail_refused
        return UNKNOWN if believed or silent else REFUSED
    if verdict is not None:
        return ACCEPTED if verdict < 300 else UNKNOWN if verdict == 421 else REFUSED
    if account.data is not None and account.data != 354:
        return REFUSED
    return UNKNOWN if account.ended else NOT_SENT


def word_for(words: list[Delivery], *, all_or_nothing: bool = False) -> Delivery:
    """Return the word for the mail as a whole."""
    for word in (UNKNOWN, ACCEPTED):
        if word in words:
            return word
    if set(words) == {REFUSED} or (all_or_nothing and REFUSED in words):
        return REFUSED
    return NOT_SENT
