"""What each client is made to do: to send a message, or to collect a mailbox and delete what it has stored.

Each is given what its documentation offers against a bad server: timeouts of so many seconds, TLS that is required and
verified, and files to store mail in. The Python clients are run here, in a process of their own, that reads the task as
a line of JSON and the message behind it; what came of it is printed as JSON.
"""

import asyncio
import importlib
import json
import sys
from collections.abc import Callable
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

from mailwire.testing import authority_file, client_context

__all__ = ["PASSWORD", "TOOLS", "run"]

PASSWORD = "secret"

Task = dict[str, Any]


_BEARER = f"user=bob\1auth=Bearer {PASSWORD}\1\1"


async def _token() -> str:
    return PASSWORD


def _smtplib(task: Task) -> Task:
    smtplib = importlib.import_module("smtplib")
    try:
        with smtplib.SMTP("localhost", task["port"], timeout=task["seconds"]) as client:
            if task["tls"]:
                client.starttls(context=client_context())
            if task["by_token"]:
                client.ehlo()
                client.auth("XOAUTH2", lambda challenge=None: _BEARER if challenge is None else "")
            elif task["auth"]:
                client.login("bob", PASSWORD)
            refused = client.sendmail("a@example.org", task["recipients"], task["message"], _mail_options(task))
    except (smtplib.SMTPException, OSError) as error:
        return _failed(error, typed=True)
    return {"ok": True, "told": list(refused)}


def _mail_options(task: Task) -> list[str]:
    return ["BODY=8BITMIME"] if task["is_8bit"] else []


def _aiosmtplib(task: Task) -> Task:
    aiosmtplib = importlib.import_module("aiosmtplib")
    settings: Task = {"start_tls": True, "tls_context": client_context()} if task["tls"] else {"start_tls": False}
    if task["by_token"]:
        settings.update(username="bob", oauth_token_generator=_token)
    elif task["auth"]:
        settings.update(username="bob", password=PASSWORD)
    sending = aiosmtplib.send(
        task["message"],
        sender="a@example.org",
        recipients=task["recipients"],
        hostname="localhost",
        port=task["port"],
        timeout=task["seconds"],
        mail_options=_mail_options(task),
        **settings,
    )
    try:
        refused, _ = asyncio.run(sending)
    except (aiosmtplib.SMTPException, OSError) as error:
        return _failed(error, typed=True)
    return {"ok": True, "told": list(refused)}


def _timeouts(seconds: float) -> Any:
    mailwire = importlib.import_module("mailwire")
    names = mailwire.Timeouts.__dataclass_fields__
    keep = ("minimum_rate", "rate_period", "quit", "close", "reset")
    return mailwire.Timeouts(**{name: seconds for name in names if name not in keep})


def _mailwire_credentials(task: Task) -> Any:
    mailwire = importlib.import_module("mailwire")
    return mailwire.OAuthToken("bob", PASSWORD) if task["by_token"] else mailwire.Password("bob", PASSWORD)


def _mailwire_smtp(task: Task) -> Task:
    mailwire = importlib.import_module("mailwire")
    endpoint = mailwire.Endpoint(
        "localhost",
        task["port"],
        tls="starttls" if task["tls"] else "none",
        tls_context=client_context() if task["tls"] else None,
        auth=_mailwire_credentials(task) if task["auth"] else None,
        allow_cleartext_auth=True,
        timeouts=_timeouts(task["seconds"]),
    )
    sending = mailwire.send(task["message"], endpoint, sender="a@example.org", recipients=task["recipients"])
    try:
        receipt = asyncio.run(sending)
    except mailwire.MailwireError as error:
        return _failed(error, typed=True, doubt=error.delivery is mailwire.Delivery.UNKNOWN)
    return {"ok": True, "told": [entry.address for entry in receipt.refused]}


def _poplib(task: Task) -> Task:
    poplib = importlib.import_module("poplib")
    told = list[str]()
    try:
        client = poplib.POP3("localhost", task["port"], timeout=task["seconds"])
        if task["tls"]:
            client.stls(context=client_context())
        client.user("bob")
        client.pass_(PASSWORD)
        # As its documentation has it: by the number of lines, whatever is in them.
        for number in range(1, len(client.list()[1]) + 1):
            if task["peeks"]:
                with suppress(poplib.error_proto):
                    client.top(number, 0)
            try:
                _, lines, _ = client.retr(number)
                _store(task, b"".join(text + b"\r\n" for text in lines))
                client.dele(number)
            except poplib.error_proto:
                told.append(str(number))
        client.quit()
    except (poplib.error_proto, OSError) as error:
        return _failed(error, typed=True)
    return {"ok": True, "told": told}


def _mailwire_pop3(task: Task) -> Task:
    mailwire = importlib.import_module("mailwire")
    endpoint = mailwire.Endpoint(
        "localhost",
        task["port"],
        "pop3",
        tls="starttls" if task["tls"] else "none",
        tls_context=client_context() if task["tls"] else None,
        auth=mailwire.Password("bob", PASSWORD),
        allow_cleartext_auth=True,
        timeouts=_timeouts(task["seconds"]),
    )
    if task["peeks"]:
        return asyncio.run(_peek_and_collect(task, endpoint))
    folder = Path(task["folder"])
    running = mailwire.retrieve(
        endpoint, into=mailwire.Maildir(folder / "Mail"), ledger=folder / "state.db", keep="until stored"
    )
    try:
        report = asyncio.run(running)
    except mailwire.MailwireError as error:
        report = error.report
        return _failed(error, typed=True, doubt=_has_doubt(report))
    return {"ok": True, "told": [str(message.number) for message in report.failed], "doubt": _has_doubt(report)}


async def _peek_and_collect(task: Task, endpoint: Any) -> Task:
    mailwire = importlib.import_module("mailwire")
    try:
        async with mailwire.POP3Client(endpoint) as client:
            listing = await client.listing()
            for entry in listing:
                with suppress(mailwire.ResponseError):
                    await client.top(entry)
            async with aclosing(client.retrieve(listing)) as items:
                async for item in items:
                    _store(task, await item.read())
            await client.delete(listing)
            report = await client.commit()
    except mailwire.MailwireError as error:
        return _failed(error, typed=True)
    return {"ok": True, "told": [str(entry.number) for entry in (*report.refused, *report.unknown)]}


def _has_doubt(report: Any) -> bool:
    return report is not None and any(
        message.deleted is not None and message.deleted.name in ("UNKNOWN", "REFUSED") for message in report.messages
    )


def _store(task: Task, message: bytes) -> None:
    folder = Path(task["folder"]) / "Mail" / "new"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / str(len(list(folder.iterdir())))).write_bytes(message)


def _failed(error: BaseException, *, typed: bool, doubt: bool = False) -> Task:
    return {"ok": False, "typed": typed, "error": type(error).__name__, "doubt": doubt, "told": []}


_PYTHON: dict[str, Callable[[Task], Task]] = {
    "smtp mailwire": _mailwire_smtp,
    "smtp smtplib": _smtplib,
    "smtp aiosmtplib": _aiosmtplib,
    "pop3 mailwire": _mailwire_pop3,
    "pop3 poplib": _poplib,
}


def run(name: str, task: Task) -> Task:
    """Do a task by a client of Python's, and return what it says of it."""
    try:
        return _PYTHON[name](task)
    except Exception as error:
        return _failed(error, typed=False)


# The programs

_TLS = ["--tls=on", "--tls-starttls=on", f"--tls-trust-file={authority_file()}"]


def _msmtp(task: Task) -> list[str]:
    command = ["msmtp", "--host=localhost", f"--port={task['port']}", f"--timeout={task['seconds']}"]
    command += _TLS if task["tls"] else ["--tls=off"]
    mechanism = "xoauth2" if task["by_token"] else "plain" if task["auth"] else "off"
    command += [f"--auth={mechanism}", "--user=bob", f"--passwordeval=echo {PASSWORD}"]
    return [*command, "--from=a@example.org", "--", *task["recipients"]]


def _curl(task: Task) -> list[str]:
    command = ["curl", "-sS", "--connect-timeout", str(task["seconds"]), "--max-time", str(2 * task["seconds"])]
    command += ["--mail-from", "a@example.org", "-T", "-"]
    for recipient in task["recipients"]:
        command += ["--mail-rcpt", recipient]
    command += ["--ssl-reqd", "--cacert", str(authority_file())] if task["tls"] else []
    if task["by_token"]:
        command += ["--user", "bob", "--oauth2-bearer", PASSWORD, "--login-options", "AUTH=XOAUTH2"]
    elif task["auth"]:
        command += ["--user", f"bob:{PASSWORD}", "--login-options", "AUTH=PLAIN"]
    return [*command, f"smtp://localhost:{task['port']}/client.example.org"]


def _mpop(task: Task) -> list[str]:
    folder = Path(task["folder"])
    for name in ("new", "cur", "tmp"):
        (folder / "Mail" / name).mkdir(parents=True, exist_ok=True)
    command = ["mpop", "--host=localhost", f"--port={task['port']}", f"--timeout={task['seconds']}", "--auth=user"]
    command += ["--user=bob", f"--passwordeval=echo {PASSWORD}", f"--uidls-file={folder / 'uidls'}", "--keep=off"]
    command += _TLS if task["tls"] else ["--tls=off"]
    # It reads the header, and says to go on.
    command += ["--filter=cat >/dev/null"] if task["peeks"] else []
    return [*command, "--received-header=off", f"--delivery=maildir,{folder / 'Mail'}"]


def _fetchmail(task: Task) -> list[str]:
    folder, port = Path(task["folder"]), task["port"]
    ssl = f'sslproto "TLS1.2+" sslcertfile "{authority_file()}" sslcertck' if task["tls"] else 'sslproto ""'
    (folder / "fetchmailrc").write_text(
        "set invisible\nset no bouncemail\n"
        f"poll localhost service {port} proto pop3 uidl auth password timeout {task['seconds']}\n"
        f'  user "bob" password "{PASSWORD}" no keep no rewrite {ssl}\n'
        f"  smtphost localhost/{task['local_port']}\n"
    )
    (folder / "fetchmailrc").chmod(0o600)
    command = ["fetchmail", "-f", str(folder / "fetchmailrc")]
    return [*command, "--idfile", str(folder / "ids"), "--pidfile", str(folder / "pid")]


TOOLS: dict[str, Callable[[Task], list[str]]] = {
    "smtp msmtp": _msmtp,
    "smtp curl": _curl,
    "pop3 mpop": _mpop,
    "pop3 fetchmail": _fetchmail,
}

if __name__ == "__main__":
    given = json.loads(sys.stdin.buffer.readline())
    print(json.dumps(run(sys.argv[1], {**given, "message": sys.stdin.buffer.read()})))
