"""MailServer: SMTP, LMTP and POP3 on the loopback interface, over one maildrop."""

import os
import ssl
from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import Any, Self

from ..endpoint import Protocol
from .checks import check_flag, check_path, describe
from .handshake import find_certificate
from .injections import Injections
from .listener import Listener
from .lmtp_server import LMTPServer
from .maildrop import Account, Maildrop, StoredMessage
from .mishaps import Mishap
from .policy import DEFAULTS, Policy
from .pop3_server import POP3Server
from .quirks import STANDARD, Quirk
from .session import Session, TLSState
from .smtp_server import SMTPServer

__all__ = ["MailServer"]


class MailServer:
    """A mail server for tests and demonstrations: SMTP, LMTP and POP3 on free ports of 127.0.0.1, mail in memory.

    ::

        async with MailServer([Account("alice", "secret", ("alice@example.org",))]) as server:
            endpoint = Endpoint(server.host, server.smtp_port, tls="none")
            await send(octets, endpoint, sender="bob@example.org", recipients="alice@example.org")
            assert [message.content for message in server.messages("alice")] == [octets]
            assert b"MAIL FROM:<bob@example.org> SIZE=21" in server.smtp_sessions[-1].commands

    quirk: how it differs from the standards, one of `QUIRKS`; policy: what it demands and refuses.
    tls_context: makes STARTTLS and STLS available, `server_context()` for one; EXTERNAL needs one that asks for client
        certificates. One without a certificate of its own is none.
    implicit_tls: the ports speak TLS from the first byte instead; needs `tls_context`, else ValueError.
    lmtp_path: where to listen for LMTP besides, as a Unix socket that is removed in the end.
    patient: answer a client, which must be in the same event loop, only when it does nothing more without an answer.
        The `flights` of a session are then exactly the times that the client had to wait for the server, however its
        words were cut into packets.

    Raises ValueError for what is none of these.

    It lives in the event loop that it was started in. Leaving it cuts every connection that is still open; the mail and
    the sessions can be read afterwards.
    """

    def __init__(
        self,
        accounts: Iterable[Account] = (),
        *,
        quirk: Quirk = STANDARD,
        policy: Policy = DEFAULTS,
        tls_context: ssl.SSLContext | None = None,
        implicit_tls: bool = False,
        lmtp_path: str | os.PathLike[str] | None = None,
        patient: bool = False,
    ) -> None:
        if not isinstance(quirk, Quirk):
            raise ValueError(f'expected a quirk, such as QUIRKS["gmail"], got {describe(quirk)}')
        if not isinstance(policy, Policy):
            raise ValueError(f"expected a policy, such as Policy(require_auth=True), got {describe(policy)}")
        if tls_context is not None and not _is_for_servers(tls_context):
            got = describe(tls_context)
            raise ValueError(f"expected a TLS context of servers, such as server_context(), got {got}")
        check_flag("implicit_tls", implicit_tls)
        check_flag("patient", patient)
        if implicit_tls and tls_context is None:
            raise ValueError("implicit TLS needs a tls_context, such as server_context()")
        self.maildrop: Maildrop = Maildrop(accounts)
        self.smtp_sessions: list[SMTPServer] = []
        self.lmtp_sessions: list[LMTPServer] = []
        self.pop3_sessions: list[POP3Server] = []
        self._injections = Injections({"smtp": SMTPServer.steps, "lmtp": LMTPServer.steps, "pop3": POP3Server.steps})
        self._quirk = quirk
        self._policy = policy
        self._tls: TLSState = "established" if implicit_tls else "available" if tls_context else "unavailable"
        certificate = None if tls_context is None else find_certificate(tls_context)
        self._smtp = Listener(self._open_smtp, tls_context, certificate, patient=patient)
        self._lmtp = Listener(self._open_lmtp, tls_context, certificate, patient=patient)
        self._pop3 = Listener(self._open_pop3, tls_context, certificate, patient=patient)
        self._listeners = [self._smtp, self._lmtp, self._pop3]
        if lmtp_path is not None:
            check_path("lmtp_path", lmtp_path)
            path = os.fspath(lmtp_path)
            self._listeners.append(Listener(self._open_lmtp, tls_context, certificate, patient=patient, path=path))

    # Accounts and mail

    def add_account(self, user: str, password: str, addresses: Iterable[str] = ()) -> Account:
        """Add an account; see `Account` for the arguments. Raises ValueError."""
        account = Account(user, password, _collected(addresses))
        self.maildrop.add(account)
        return account

    def messages(self, user: str) -> tuple[StoredMessage, ...]:
        """Return the mail of `user`, the oldest first. Raises KeyError if there is no such account."""
        return self.maildrop.messages(user)

    # Mishaps

    def inject(self, *mishaps: Mishap, protocol: Protocol | None = None) -> None:
        """Let these mishaps happen in the next session of `protocol`, "smtp", "lmtp" or "pop3".

        None: of any protocol that has their steps, so that RETR waits for POP3, and QUIT happens to whoever comes next.

        Called again before that has begun, it is about the one behind it; without mishaps, that one goes well. It may
        be called from any thread. Raises ValueError for what is no mishap and no protocol, for a step that is none of
        the protocol (`Session.steps`), and for steps that no protocol has together.
        """
        self._injections.add(mishaps, protocol)

    @property
    def outstanding(self) -> tuple[Mishap, ...]:
        """The mishaps that were injected and have not happened: their session or step has not come.

        A test that lets something go wrong is worth something only if it did: `assert not server.outstanding`.
        """
        sessions: tuple[Session, ...] = (*self.smtp_sessions, *self.lmtp_sessions, *self.pop3_sessions)
        begun = [mishap for session in sessions for mishap in session.outstanding]
        return (*begun, *self._injections.outstanding)

    # Running

    @property
    def host(self) -> str:
        """The address it listens on."""
        return self._smtp.address[0]

    @property
    def smtp_port(self) -> int:
        """The port for SMTP; known once the server is started."""
        return self._smtp.address[1]

    @property
    def lmtp_port(self) -> int:
        """The port for LMTP; known once the server is started."""
        return self._lmtp.address[1]

    @property
    def pop3_port(self) -> int:
        """The port for POP3; known once the server is started."""
        return self._pop3.address[1]

    async def start(self) -> None:
        """Listen. Raises OSError if that is not possible, RuntimeError if it was started before."""
        started: list[Listener] = []
        try:
            for listener in self._listeners:
                listener.start()
                started.append(listener)
        except BaseException:
            for listener in started:
                await listener.close()
            raise

    async def close(self) -> None:
        """Cut all connections and stop listening.

        Raises what a function of the policy has raised, if nobody was told yet.
        """
        async with AsyncExitStack() as closing:  # where one raises, the others are closed all the same
            for listener in self._listeners:
                closing.push_async_callback(listener.close)

    async def wait_idle(self) -> None:
        """Wait until every client that has come so far is gone. It may be awaited in any event loop.

        Raises what a function of the policy has raised, if nobody was told yet.
        """
        for listener in self._listeners:
            await listener.wait_idle()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # Private

    def _open_smtp(self, peer: str) -> SMTPServer:
        session = SMTPServer(self.maildrop, policy=self._policy, quirk=self._quirk, tls=self._tls, peer=peer)
        self.smtp_sessions.append(session)
        self._begin(session, "smtp")
        return session

    def _open_lmtp(self, peer: str) -> LMTPServer:
        session = LMTPServer(self.maildrop, policy=self._policy, quirk=self._quirk, tls=self._tls, peer=peer)
        self.lmtp_sessions.append(session)
        self._begin(session, "lmtp")
        return session

    def _open_pop3(self, peer: str) -> POP3Server:
        session = POP3Server(self.maildrop, policy=self._policy, quirk=self._quirk, tls=self._tls, peer=peer)
        self.pop3_sessions.append(session)
        self._begin(session, "pop3")
        return session

    def _begin(self, session: Session, protocol: Protocol) -> None:
        if mishaps := self._injections.take(protocol):
            session.inject(*mishaps)


def _collected(addresses: Iterable[str]) -> Any:
    # One text is for an Account to refuse.
    return addresses if isinstance(addresses, str) else tuple(addresses)


def _is_for_servers(context: object) -> bool:
    return isinstance(context, ssl.SSLContext) and context.protocol is not ssl.PROTOCOL_TLS_CLIENT
