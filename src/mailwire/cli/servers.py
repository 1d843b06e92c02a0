"""Servers: the options by which a command is told of one, and where the password comes from."""

import argparse
import asyncio
import netrc
import os
import shlex
import ssl
import sys
from collections.abc import Callable
from contextlib import suppress
from getpass import getpass
from pathlib import Path
from typing import Any, Final

from ..endpoint import Endpoint, Protocol
from ..sasl.credentials import Password
from ..sasl.identities import OAuthToken, TokenProvider
from ..sasl.oauth import OAuthFailure

__all__ = ["UsageError", "add_server_options", "endpoint_of"]

# Where a password is looked for in the environment, if nothing else is said.
_VARIABLE: Final = "MAILWIRE_PASSWORD"


class UsageError(ValueError):
    """A command was called in a way that it does not know."""


def add_server_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for a server."""
    parser.add_argument("url", metavar="URL", help=argparse.SUPPRESS)
    parser.add_argument("--password-env", metavar="NAME", help=f"variable with the password; else {_VARIABLE}")
    parser.add_argument("--password-command", metavar="CMD", help="command whose first line is the password")
    parser.add_argument("--token-command", metavar="CMD", help="command whose first line is an OAuth token")
    parser.add_argument("--netrc", metavar="FILE", help="file of passwords; else ~/.netrc, else you are asked")
    parser.add_argument("--ca-file", metavar="FILE", help="authorities to trust, not the system's")
    parser.add_argument("--allow-cleartext-auth", action="store_true", help="let the password cross without TLS")
    parser.add_argument("--transcript", action="store_true", help="print the dialogue, without secrets")
    parser.add_argument("-q", "--quiet", action="store_true", help="print errors only")


def endpoint_of(
    options: argparse.Namespace,
    *,
    protocols: tuple[Protocol, ...] = ("smtp", "lmtp", "pop3"),
    needs_user: bool = False,
    ask: Callable[[str], str] = getpass,
) -> Endpoint:
    """Return the endpoint that the options name, with credentials from where they say. It is no business of an event
    loop: somebody may be asked.

    protocols: those that it may be for; needs_user: whether somebody must log in.

    Raises ValueError for a URL that is none, UsageError where it is for another protocol, and where there is no
    password or no user that is needed, OSError where a file or a command is not there.
    """
    endpoint = Endpoint.parse(
        options.url, tls_ca_file=options.ca_file, allow_cleartext_auth=options.allow_cleartext_auth
    )
    if endpoint.protocol not in protocols:
        expected = " or ".join(map(str.upper, protocols))
        raise UsageError(f"expected the URL of a server for {expected}, got {endpoint}")
    if options.ca_file is not None:
        authorities = Path(options.ca_file).read_bytes()  # what it holds is looked at when there is a connection
        if Path(options.ca_file).is_fifo():
            # What a pipe gives, as that of a shell's <(...), it gives once.
            context = _context_that_trusts(authorities, options.ca_file)
            endpoint = endpoint.replace(tls_ca_file=None, tls_context=context)
    given = endpoint.auth if isinstance(endpoint.auth, Password) else Password("", "")
    if given.password:
        if options.token_command is not None:
            raise UsageError("expected a password in the URL or --token-command, not both")
        _warn("everybody on this machine can read the password in the list of processes; see --help for other places")
        return endpoint
    credentials = _credentials(options, endpoint.host, given.user, ask)
    if needs_user:
        _required("" if credentials is None else credentials.user)
    return endpoint.replace(auth=credentials)


def _context_that_trusts(authorities: bytes, file: str) -> ssl.SSLContext:
    text = authorities.decode("ascii", "ignore")  # around the certificates may be any
    if "-----BEGIN" in text:  # of nothing the ssl module makes a context that trusts the system's authorities
        with suppress(ssl.SSLError):
            return ssl.create_default_context(cadata=text)
    raise UsageError(f"expected certificates in PEM from {file}")


def _credentials(
    options: argparse.Namespace, host: str, user: str, ask: Callable[[str], str]
) -> Password | OAuthToken | None:
    if options.token_command is not None:
        return OAuthToken(_required(user), _token_provider(options.token_command))
    if options.password_command is not None:
        return Password(_required(user), asyncio.run(_first_line(options.password_command)))
    if options.password_env is not None:
        if not (password := os.environ.get(options.password_env)):
            raise UsageError(f"expected the password in the environment's variable {options.password_env}")
        return Password(_required(user), password)
    by_environment = os.environ.get(_VARIABLE)  # an empty one is none
    found: Password | None = None
    try:
        found = _look_up(options.netrc, host, user)
    except (UsageError, OSError) as error:
        # Nobody has asked for the file in the home, and there is another place.
        if options.netrc is not None or not user or not by_environment:
            raise
        _warn(f"{error}; the password is that in {_VARIABLE}")
    if found is not None:
        return found
    if not user:
        return None  # a server that wants no login, or the next error says so
    if options.netrc is not None:
        # Whoever has named the place of the password wants no other one sent.
        raise UsageError(f"there is no password for {user} at {host} in {options.netrc}")
    if by_environment:
        return Password(user, by_environment)
    if not _is_at_terminal():
        raise UsageError(
            f"there is no password for {user} at {host}: expected one in ~/.netrc or {_VARIABLE}, "
            "or from --password-command"
        )
    try:
        return Password(user, ask(f"Password of {user} at {host}: "))
    except EOFError as error:
        raise UsageError(f"expected the password of {user} at {host}, got none") from error


def _warn(text: str) -> None:
    print(f"mailwire: warning: {text}", file=sys.stderr)


def _is_at_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


def _required(user: str) -> str:
    if not user:
        raise UsageError("expected a user in the URL, such as pop3s://me@pop.example.org")
    return user


def _token_provider(command: str) -> TokenProvider:
    # It is asked whenever somebody logs in, and again for a token that was refused.
    async def provide(_: OAuthFailure | None) -> str:
        try:
            return await _first_line(command)
        except OSError as error:  # by itself it would be taken for a file that is not there
            raise UsageError(f"the command for the token cannot be run: {error}") from error

    return provide


async def _first_line(command: str) -> str:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"the command for the password or token cannot be read: {error}") from error
    if not words:
        raise UsageError("expected a command that prints the password or token")
    # A message may be waiting on standard input: no other program is to read from it.
    process = await asyncio.create_subprocess_exec(
        *words,
        stdin=None if _is_at_terminal() else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise UsageError(
            f"the command for the password or token has failed with status {process.returncode}: {words[0]}"
        )
    try:
        line = output.partition(b"\n")[0].removesuffix(b"\r").decode()
    except UnicodeDecodeError:
        line = ""
    if not line:
        raise UsageError(f"expected a first line in utf-8 from the command for the password or token: {words[0]}")
    return line


def _look_up(file: str | None, host: str, user: str) -> Password | None:
    if file is None and not _has_netrc():
        return None
    try:
        entries = _Netrc(file).hosts.entries
    except netrc.NetrcParseError as error:
        # Its words quote what is not understood: of a password with a blank in it, what stands behind that.
        reason = f"it is not understood near line {error.lineno}" if error.lineno else error.msg
        raise UsageError(f"the file of passwords cannot be read: {reason} ({file or '~/.netrc'})") from None
    except UnicodeDecodeError:
        raise UsageError(f"the file of passwords cannot be read: it is not in utf-8 ({file or '~/.netrc'})") from None
    # The entry by the name of "default" is for hosts that nobody has thought of: no password is for those.
    # Host names are the same in any case (RFC 4343). Who has left the password out, has it elsewhere.
    passwords = {
        login: password
        for name, (login, _, password) in entries
        if name.lower() == host.lower() and login and password and user in ("", login)
    }
    if len(passwords) > 1:
        raise UsageError(f"expected a user in the URL: {file or '~/.netrc'} has {len(passwords)} at {host}")
    return next((Password(*entry) for entry in passwords.items()), None)


class _Hosts(dict[str, Any]):
    # Of several entries for one host, a dict keeps the last.

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[tuple[str, tuple[str, str, str]]] = []

    def __setitem__(self, host: str, entry: Any) -> None:
        super().__setitem__(host, entry)
        if entry:  # there is nothing in it while it is being read
            self.entries.append((host, entry))


class _Netrc(netrc.netrc):
    @property
    def hosts(self) -> _Hosts:
        return self._hosts

    @hosts.setter
    def hosts(self, _: object) -> None:
        self._hosts = _Hosts()


def _has_netrc() -> bool:
    try:
        return (Path.home() / ".netrc").exists()
    except (PermissionError, RuntimeError):
        return False  # the home is somebody else's, or there is none
