"""The mail host of the tests: Postfix and Dovecot with the same accounts over the same Maildirs."""

import os
import pwd
from contextlib import ExitStack
from pathlib import Path

from tests.integration.client_certificates import ClientAuthority
from tests.integration.daemon import Daemon
from tests.integration.dovecot import Dovecot
from tests.integration.introspection import Introspection
from tests.integration.mailbox import Mailbox
from tests.integration.postfix import Postfix

__all__ = ["UIDL_FORMATS", "MailHost"]

# How Dovecot can be told to make unique ids, those of other servers for the sake of a migration; each has an account.
UIDL_FORMATS = {
    "uidl-dovecot": "%08Xu%08Xv",
    "uidl-uw": "%08Xv%08Xu",
    "uidl-courier": "%v-%u",
    "uidl-cyrus": "%u",
    "uidl-file": "%f",
    "uidl-digest": "%Mf",
    "uidl-guid": "%g",
}

_NAMED = ("alice", "bob", "carol")

# Accounts are handed out once each, and Postfix reads its table of them once. A thousand is plenty for one test run and
# costs a few milliseconds.
_NUMBERED = 1000


class MailHost:
    """Both servers, in a folder that must exist and that any user may pass through.

    `alice`, `bob` and `carol` are there for the whole run and for all tests; `new_mailbox()` gives an account that
    nobody used before. `zoe` has a name and a password outside ASCII; `full` has a quota of one octet; a session with
    `locked` keeps others out; `by_uidl_format` has an account for each way to make unique ids. Dovecot trusts the
    certificates of `client_authority`, and about tokens it asks `introspection`.
    """

    def __init__(self, folder: Path) -> None:
        mail = folder / "mail"
        mail.mkdir()
        owner = pwd.getpwnam("mail")
        os.chown(mail, owner.pw_uid, owner.pw_gid)
        users = [*_NAMED, *(f"user{number}" for number in range(_NUMBERED))]
        ordinary = [Mailbox(user, f"secret-of-{user}", mail / user / "Maildir") for user in users]
        self.alice, self.bob, self.carol, *numbered = ordinary
        self._unused = iter(numbered)
        self.zoe = Mailbox("zoë", "pässwörd", mail / "zoë" / "Maildir")
        self.full = Mailbox("full", "secret-of-full", mail / "full" / "Maildir", {"quota_rule": "*:bytes=1"})
        self.locked = Mailbox("locked", "secret-of-locked", mail / "locked" / "Maildir", {"pop3_lock_session": "yes"})
        self.by_uidl_format = {
            uidl_format: Mailbox(name, f"secret-of-{name}", mail / name / "Maildir", {"pop3_uidl_format": uidl_format})
            for name, uidl_format in UIDL_FORMATS.items()
        }
        mailboxes = [*ordinary, self.zoe, self.full, self.locked, *self.by_uidl_format.values()]
        self.client_authority = ClientAuthority(folder / "client-authority")
        self.introspection = Introspection()
        self.postfix = Postfix(folder / "postfix", mail, mailboxes)
        self.dovecot = Dovecot(
            folder / "dovecot",
            mail,
            mailboxes,
            self.postfix.auth_socket,
            self.client_authority.certificate,
            self.introspection.url,
        )
        self._running = ExitStack()

    @staticmethod
    def missing() -> str | None:
        """Say what this machine lacks to run the mail host, or `None` if nothing."""
        return Postfix.missing() or Dovecot.missing() or ClientAuthority.missing()

    @property
    def daemons(self) -> tuple[Daemon, ...]:
        return self.postfix, self.dovecot

    def start(self) -> None:
        """Start both servers and wait until they answer. Raises `StartFailed`, and then neither runs."""
        # Postfix asks Dovecot for the SASL mechanisms before it greets anyone.
        servers: tuple[Introspection | Daemon, ...] = self.introspection, self.dovecot, self.postfix
        with ExitStack() as running:
            for server in servers:
                server.start()
                running.callback(server.stop)
            self._running = running.pop_all()

    def stop(self) -> None:
        """Stop both servers and wait until they are gone."""
        self._running.close()

    def new_mailbox(self) -> Mailbox:
        """Return an empty account that no test used before."""
        return next(self._unused)
