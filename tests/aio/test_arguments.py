"""CR, LF and NUL in what a caller hands over: a ValueError before a byte is sent, and the session none the worse."""

import re
from collections.abc import Callable
from dataclasses import Field, dataclass, fields
from pathlib import Path
from typing import Any

import pytest

import mailwire
from mailwire import (
    Endpoint,
    LocalProtocolError,
    Password,
    POP3Client,
    SMTPClient,
    SMTPPool,
    Timeouts,
    compose,
    pop3,
    smtp,
)
from mailwire.maildrop import Account, MemoryLedger, Run
from mailwire.pop3 import Entry
from mailwire.smtp import Mailbox
from mailwire.testing import Answers, ScriptedPeer
from mailwire.testing.turns import drain_events
from tests.aio.dialogues import CREDENTIALS, MESSAGE, OPENED, POP3_ANSWERS, POP3_QUIT, QUIT, READY, SMTP_ANSWERS

EVIL = pytest.mark.parametrize(
    "evil", ["\r", "\n", "\0", "\r\n", "\r\nRSET\r\n"], ids=["CR", "LF", "NUL", "CRLF", "RSET"]
)
PLACES = pytest.mark.parametrize("place", ["{}v", "v{}w", "v{}"], ids=["before", "inside", "behind"])

A, B = "a@example.org", "b@example.org"


@dataclass(frozen=True, slots=True)
class Xclient(smtp.Command[smtp.Reply]):
    """A command of the caller's own, that checks nothing."""

    text: str

    def encode(self) -> bytes:
        return f"XCLIENT {self.text}\r\n".encode()

    def parse(self, reply: smtp.Reply) -> smtp.Reply:
        return reply


@dataclass(frozen=True, slots=True)
class Xtnd(pop3.Command[pop3.Response]):
    """A command of the caller's own, that checks nothing."""

    text: str

    def encode(self) -> bytes:
        return f"XTND {self.text}\r\n".encode()

    def parse(self, response: pop3.Response) -> pop3.Response:
        return response


SMTP_CALLS: dict[str, Callable[[SMTPClient, str], Any]] = {
    "sender": lambda client, text: client.send(MESSAGE, sender=f"{text}@example.org", recipients=B),
    "sender's domain": lambda client, text: client.send(MESSAGE, sender=f"a@{text}.org", recipients=B),
    "quoted sender": lambda client, text: client.send(MESSAGE, sender=f'"{text}"@example.org', recipients=B),
    "recipient": lambda client, text: client.send(MESSAGE, sender=A, recipients=f"{text}@example.org"),
    "second recipient": lambda client, text: client.send(MESSAGE, sender=A, recipients=[B, f"{text}@example.org"]),
    "quoted recipient": lambda client, text: client.send(MESSAGE, sender=A, recipients=[f'"{text}"@example.org']),
    "EHLO": lambda client, text: client.execute(smtp.Ehlo(text)),
    "HELO": lambda client, text: client.execute(smtp.Helo(text)),
    "MAIL parameter": lambda client, text: client.execute(smtp.Mail(None, {text: None})),
    "MAIL value": lambda client, text: client.execute(smtp.Mail(Mailbox.parse(A), {"AUTH": text})),
    "RCPT parameter": lambda client, text: client.execute(smtp.Rcpt(Mailbox.parse(B), {text: "x"})),
    "RCPT value": lambda client, text: client.execute(smtp.Rcpt(Mailbox.parse(B), {"ORCPT": text})),
    "mailbox": lambda client, text: client.execute(smtp.Rcpt(Mailbox(text, "example.org"))),
    "mailbox's domain": lambda client, text: client.execute(smtp.Rcpt(Mailbox("a", text))),
    "VRFY": lambda client, text: client.execute(smtp.Vrfy(text)),
    "EXPN": lambda client, text: client.execute(smtp.Expn(text)),
    "HELP": lambda client, text: client.execute(smtp.Help(text)),
    "a command of one's own": lambda client, text: client.execute(Xclient(text)),
}

POP3_CALLS: dict[str, Callable[[POP3Client, str], Any]] = {
    "USER": lambda client, text: client.execute(pop3.User(text)),
    "PASS": lambda client, text: client.execute(pop3.Pass(text)),
    "DELE": lambda client, text: client.execute(pop3.Dele(text)),  # type: ignore[arg-type]
    "LIST": lambda client, text: client.execute(pop3.List(text)),  # type: ignore[arg-type]
    "UIDL": lambda client, text: client.execute(pop3.Uidl(text)),  # type: ignore[arg-type]
    "RETR": lambda client, text: anext(client.retrieve([Entry(text, None, 0)])),  # type: ignore[arg-type]
    "RETR's size": lambda client, text: anext(client.retrieve([Entry(1, None, text)])),  # type: ignore[arg-type]
    "a command of one's own": lambda client, text: client.execute(Xtnd(text)),
}


@EVIL
@PLACES
@pytest.mark.parametrize("call", SMTP_CALLS.values(), ids=SMTP_CALLS)
async def test_no_argument_of_an_smtp_call_reaches_the_wire(
    call: Callable[[SMTPClient, str], Any], place: str, evil: str
) -> None:
    async with ScriptedPeer(*READY, "C: NOOP", "S: 250 ok", *QUIT) as peer, SMTPClient(peer.endpoint()) as client:
        with pytest.raises(ValueError, match=r"."):
            await call(client, place.format(evil))
        await client.execute(smtp.Noop())


@EVIL
@PLACES
@pytest.mark.parametrize("call", POP3_CALLS.values(), ids=POP3_CALLS)
async def test_no_argument_of_a_pop3_call_reaches_the_wire(
    call: Callable[[POP3Client, str], Any], place: str, evil: str
) -> None:
    async with ScriptedPeer(*OPENED, "C: NOOP", "S: +OK", *POP3_QUIT) as peer:
        endpoint = peer.endpoint(protocol="pop3", auth=CREDENTIALS, allow_cleartext_auth=True)
        async with POP3Client(endpoint) as client:
            with pytest.raises(ValueError, match=r"."):
                await call(client, place.format(evil))
            await client.execute(pop3.Noop())


@EVIL
@PLACES
@pytest.mark.parametrize("field", ["sender", "to", "cc", "bcc", "reply_to", "subject"])
def test_no_field_of_a_composed_message_holds_one(field: str, place: str, evil: str) -> None:
    arguments: dict[str, Any] = {"sender": A, "to": B, field: place.format(evil).replace("v", "Val <v@example.org>")}
    with pytest.raises(ValueError, match="line end or NUL"):
        compose(**arguments)


@EVIL
@pytest.mark.parametrize("field", ["host", "local_hostname", "user", "password", "authzid"])
@pytest.mark.parametrize(("protocol", "offer"), [("smtp", "AUTH PLAIN"), ("pop3", "SASL PLAIN"), ("pop3", "USER")])
async def test_no_setting_of_an_endpoint_reaches_the_wire(protocol: str, offer: str, field: str, evil: str) -> None:
    smtp_table = {**SMTP_ANSWERS, "EHLO": f"250-mx\n250 {offer}", "AUTH": "235 ok"}
    pop3_table = {**POP3_ANSWERS, "CAPA": f"+OK\n{offer}\n.", "AUTH": "+OK"}
    script = ("S: 220 mx", Answers(smtp_table)) if protocol == "smtp" else ("S: +OK", Answers(pop3_table))
    text = f"v{evil}w"

    async def connect() -> None:
        credentials = {"user": "bob", "password": "secret"}
        settings: dict[str, Any] = {"protocol": protocol, "allow_cleartext_auth": True}
        if field in ("host", "local_hostname"):
            settings[field] = text
        else:
            credentials[field] = text
        endpoint: Endpoint = peer.endpoint().replace(auth=Password(**credentials), **settings)
        client = SMTPClient(endpoint) if protocol == "smtp" else POP3Client(endpoint)
        try:
            await client.connect()
        finally:
            client.abort()

    async with ScriptedPeer(*script, lenient=True, optional=True) as peer:
        with pytest.raises(ValueError, match=r"."):
            await connect()
        await drain_events()
    assert peer.wire == b""


@EVIL
@pytest.mark.parametrize("field", ["sender", "recipients"])
async def test_no_argument_of_the_front_reaches_the_wire(field: str, evil: str) -> None:
    arguments: dict[str, Any] = {"sender": A, "recipients": B, field: f"v{evil}w@example.org"}
    async with ScriptedPeer("S: 220 mx", Answers(SMTP_ANSWERS), lenient=True, optional=True) as peer:
        with pytest.raises(ValueError, match="expected an address"):
            await mailwire.send(MESSAGE, peer.endpoint(), **arguments)
    assert peer.wire == b""


@EVIL
@pytest.mark.parametrize(
    "url", ["smtps://v{}w", "pop3s://bob:v{}w@example.org", "smtp://v{}w:x@example.org", "{}smtps://v"]
)
async def test_no_url_holds_one(url: str, evil: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        await mailwire.send(MESSAGE, url.format(evil), sender=A, recipients=B)
    with pytest.raises(ValueError, match="expected"):
        await mailwire.retrieve(url.format(evil))


# What is of another kind than it should be


async def one_mail(**settings: Any) -> None:
    await mailwire.send(
        **{"message": MESSAGE, "endpoint": "smtp://localhost", "sender": A, "recipients": B, **settings}
    )


async def one_look(**settings: Any) -> None:
    await mailwire.retrieve(**{"endpoint": "pop3://a:b@localhost", **settings})


async def one_run(**settings: Any) -> None:
    await mailwire.retrieve(**{"endpoint": "pop3://a:b@localhost", "into": print, **settings})


async def many_mails(**settings: Any) -> None:
    SMTPClient("smtp://localhost").send_all(**{"messages": [MESSAGE], "sender": A, "recipients": B, **settings})


async def pooled_mails(**settings: Any) -> None:
    pool = SMTPPool("smtp://localhost")
    pool.send_all(**{"messages": [MESSAGE], "sender": A, "recipients": B, **settings})


async def pool(**settings: Any) -> None:
    SMTPPool(**{"endpoint": "smtp://localhost", **settings})


async def smtp_client(**settings: Any) -> None:
    SMTPClient(**{"endpoint": "smtp://localhost", **settings})


async def pop3_client(**settings: Any) -> None:
    POP3Client(**{"endpoint": "pop3://localhost", **settings})


async def one_retrieval(**settings: Any) -> None:
    POP3Client("pop3://localhost").retrieve("u1", **settings)


async def a_run(**settings: Any) -> None:
    Run(Account("pop3://a:b@localhost", print), **settings)


async def endpoint(**settings: Any) -> None:
    Endpoint(**{"host": "localhost", **settings})


async def timeouts(**settings: Any) -> None:
    Timeouts(**settings)


WISHES = {
    "policy": "a MessagePolicy",
    "options": "MailOptions",
    "recipient_options": "RecipientOptions, or a mapping of addresses to them",
    "on_refused": '"send" or "abort"',
    "use_chunking": 'True, False, "eager" or None',
}
LIMITS = {
    **dict.fromkeys(("max_connections", "rate_burst"), "a whole number"),
    "max_messages_per_connection": "a whole number or None",
    **dict.fromkeys(("max_idle", "max_lifetime", "rate_limit"), "a number or None"),
}


def _seconds(field: Field[Any]) -> str:
    return "a number" if field.name == "rate_period" else "a number or None"


# Which call, of which argument, says what was expected.
KINDS: list[tuple[Callable[..., Any], str, str]] = [
    *((one_mail, name, expected) for name, expected in WISHES.items()),
    (one_mail, "progress", "a function"),
    (one_mail, "transcript", "a Transcript"),
    *((many_mails, name, expected) for name, expected in {**WISHES, "look_ahead": "a whole number"}.items()),
    *((pooled_mails, name, expected) for name, expected in {**WISHES, "look_ahead": "a whole number"}.items()),
    *((pool, name, expected) for name, expected in LIMITS.items()),
    *((call, "transcript", "a Transcript") for call in (smtp_client, pop3_client, one_look)),
    *((call, "settings", "POP3Settings") for call in (pop3_client, one_look)),
    (one_look, "max_octets", "a whole number or None"),
    *((one_retrieval, name, "a whole number or None") for name in ("message_limit", "total_limit")),
    (one_retrieval, "batch", "a Batch or None"),
    (one_retrieval, "progress", "a function or None"),
    (a_run, "ledger", "a Ledger or None"),
    (a_run, "progress", "a function or None"),
    (one_run, "wait", "a number of seconds or None"),
    (one_run, "policy", "a Policy"),
    (endpoint, "host", "text"),
    *((endpoint, name, "text or None") for name in ("tls_pin", "local_hostname", "local_address", "unix_path")),
    *(
        (endpoint, "port", "a number from 1 to 65535"),
        (endpoint, "timeouts", "Timeouts"),
        *((timeouts, field.name, _seconds(field)) for field in fields(Timeouts)),
        (endpoint, "auth_preferences", "Preferences"),
        (endpoint, "tls_context", "an ssl.SSLContext or None"),
        (endpoint, "tls_ca_file", "a path or None"),
        (endpoint, "allow_cleartext_auth", "True or False"),
        (endpoint, "pipelining", "True or False"),
        (endpoint, "connect", "a function or None"),
    ),
]


@pytest.mark.parametrize("value", [[smtp.RecipientOptions()], b"x", object()], ids=["list", "octets", "object"])
@pytest.mark.parametrize(
    ("call", "name", "expected"), KINDS, ids=[f"{call.__name__}-{name}" for call, name, _ in KINDS]
)
async def test_what_is_of_another_kind_is_quoted_before_anybody_is_connected_to(
    call: Callable[..., Any], name: str, expected: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def connect(*_: object) -> None:
        raise AssertionError("nobody is connected to")

    monkeypatch.setattr("mailwire.aio.session.Session.open", connect)
    with pytest.raises(ValueError, match=f"^expected {name} to be {re.escape(expected)}, got ") as caught:
        await call(**{name: value})
    assert repr(value)[:40] in str(caught.value)


@pytest.mark.parametrize("value", ["PASS secret", b"PASS secret", None, pop3.Noop, pop3.Noop(), smtp.Noop()])
@pytest.mark.parametrize("protocol", ["smtp", "pop3"])
async def test_what_is_no_command_is_not_said_and_not_shown(protocol: str, value: Any) -> None:
    client: Any = SMTPClient("smtp://localhost") if protocol == "smtp" else POP3Client("pop3://localhost")
    if isinstance(value, smtp.Command if protocol == "smtp" else pop3.Command):
        with pytest.raises(LocalProtocolError, match="not connected"):
            await client.execute(value)
        return
    with pytest.raises(ValueError) as caught:
        await client.execute(value)
    kind = type(value).__name__
    assert str(caught.value) == f"expected a command such as {protocol}.Noop(), got a value of the type {kind}"


@pytest.mark.parametrize("value", [42, b"smtps://bob:secret@localhost", ["smtps://bob:secret@localhost"]])
@pytest.mark.parametrize("call", [one_mail, one_look, one_run, pool, smtp_client, pop3_client])
async def test_what_is_no_endpoint_is_not_shown(call: Callable[..., Any], value: object) -> None:
    with pytest.raises(
        ValueError, match=f"expected an Endpoint or its URL as text, .* {type(value).__name__}$"
    ) as caught:
        await call(endpoint=value)
    assert "secret" not in str(caught.value)


def assert_not_shown(kinds: str, **setting: Any) -> None:
    """Assert that an endpoint refuses the setting without quoting it."""
    ((name, value),) = setting.items()
    with pytest.raises(ValueError) as caught:
        Endpoint("localhost", **setting)
    assert str(caught.value) == f"expected {name} to be {kinds}, got a value of the type {type(value).__name__}"


@pytest.mark.parametrize("value", [42, b"secret", "secret", ["bob", "secret"], ("bob", "secret"), {"secret": 1}])
def test_what_are_no_credentials_is_not_shown(value: Any) -> None:
    kinds = "Password, OAuthToken, External, Anonymous, a function that makes a mechanism, or None"
    assert_not_shown(kinds, auth=value)


_PATH = Path("cert.pem")


@pytest.mark.parametrize(
    "value",
    [
        42,
        b"cert.pem",
        (_PATH,),
        (_PATH, 1),
        (1, _PATH),
        (_PATH, _PATH, b"secret"),
        (_PATH, 1, "secret"),
        (1, "key.pem", "secret"),
        ("cert.pem", "key.pem", "secret", ""),
    ],
)
def test_what_is_no_certificate_of_a_client_is_not_shown(value: Any) -> None:
    kinds = "a path, or two of them, or two and the password as text, or None"
    assert_not_shown(kinds, tls_client_certificate=value)


@pytest.mark.parametrize("value", ["x", _PATH, ("x", "y"), (_PATH, _PATH), (_PATH, "y", "secret"), ("x", _PATH, "")])
def test_a_certificate_of_a_client_is_taken_in_each_form(value: Any) -> None:
    assert Endpoint("localhost", tls_client_certificate=value).tls_client_certificate == value


@pytest.mark.parametrize("value", [["x", _PATH], ["x", _PATH, "secret"]])
def test_a_certificate_of_a_client_in_a_list_is_one_in_a_tuple(value: Any) -> None:
    endpoint = Endpoint("localhost", tls_client_certificate=value)
    assert endpoint.tls_client_certificate == tuple(value)
    assert hash(endpoint) == hash(Endpoint("localhost", tls_client_certificate=tuple(value)))


@pytest.mark.parametrize("value", [[42], b"x", [b"DSN"], ["DSN", None]])
def test_extensions_are_ignored_by_their_names(value: Any) -> None:
    word = next(word for word in value if not isinstance(word, str))
    expected = f"expected a keyword in ignored_extensions to be text, got {word!r} ({type(word).__name__})"
    with pytest.raises(ValueError) as caught:
        Endpoint("localhost", ignored_extensions=value)
    assert str(caught.value) == expected


@pytest.mark.parametrize("value", [b"ledger.db", 42, MemoryLedger])
async def test_a_ledger_is_one_or_a_path(value: Any) -> None:
    expected = f"expected ledger to be a Ledger, the path of one, or None, got {value!r}"
    with pytest.raises(ValueError) as caught:
        await one_run(ledger=value)
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("call", "settings", "told"),
    [
        (one_look, {"max_octets": -1}, "max_octets to be 0 at least, got -1"),
        (one_look, {"max_octets": True}, "max_octets to be a whole number or None, got True (bool)"),
        (one_retrieval, {"message_limit": -1}, "message_limit to be 0 at least, got -1"),
        (one_retrieval, {"total_limit": -1}, "total_limit to be 0 at least, got -1"),
        (one_retrieval, {"batch": 5}, "batch to be a Batch or None, got 5 (int)"),
        (one_run, {"wait": -1}, "wait to be 0 at least, got -1"),
        (one_run, {"wait": float("nan")}, "wait to be 0 at least, got nan"),
    ],
)
async def test_what_is_out_of_range_is_told_at_once(call: Callable[..., Any], settings: Any, told: str) -> None:
    with pytest.raises(ValueError) as caught:
        await call(**settings)
    assert str(caught.value) == f"expected {told}"


async def test_the_least_of_what_may_be_asked_of_a_run_is_taken() -> None:
    await one_retrieval(message_limit=0, total_limit=0)
    await a_run(ledger=MemoryLedger(), wait=0, progress=print)


@pytest.mark.parametrize("value", [0, -1, -0.5, float("nan"), float("-inf")])
@pytest.mark.parametrize("name", [field.name for field in fields(Timeouts)])
def test_there_is_some_time_for_each_phase(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"^expected {name} to be more than 0, got {value}$"):
        Timeouts(**{name: value})


@pytest.mark.parametrize("name", [field.name for field in fields(Timeouts)])
def test_a_phase_may_take_any_time(name: str) -> None:
    assert getattr(Timeouts(**{name: float("inf")}), name) == float("inf")
    if name == "rate_period":
        with pytest.raises(ValueError, match=r"^expected rate_period to be a number, got None \(NoneType\)$"):
            Timeouts(rate_period=None)  # type: ignore[arg-type]
    else:
        assert getattr(Timeouts(**{name: None}), name) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({B: 42}, re.escape(f"expected recipient_options['{B}'] to be RecipientOptions, got 42 (int)")),
        ({42: smtp.RecipientOptions()}, r"expected an address in recipient_options to be text, got 42 \(int\)"),
    ],
)
async def test_options_for_recipients_are_looked_at_one_by_one(options: object, expected: str) -> None:
    for call in (one_mail, many_mails, pooled_mails):
        with pytest.raises(ValueError, match=expected):
            await call(recipient_options=options)


async def test_true_is_no_number() -> None:
    for call, name in (
        (pool, "max_connections"),
        (pool, "max_idle"),
        (endpoint, "port"),
        (many_mails, "look_ahead"),
        (timeouts, "connect"),
    ):
        with pytest.raises(ValueError, match=f"expected {name} to be a .*number.*, got True"):
            await call(**{name: True})


@pytest.mark.parametrize("value", [42, None, object(), Path("mail.eml")])
async def test_what_holds_no_messages_is_told_at_once(value: object) -> None:
    for call in (many_mails, pooled_mails):
        with pytest.raises(ValueError, match=r"^expected messages to be an iterable of messages, got ") as caught:
            await call(messages=value)
        assert repr(value) in str(caught.value)


def test_options_for_recipients_that_are_some_are_taken() -> None:
    for options in ({B: smtp.RecipientOptions()}, smtp.RecipientOptions()):
        client = SMTPClient("smtp://localhost")
        client.send_all([], sender=A, recipients=B, options=smtp.MailOptions(), recipient_options=options)
