"""Every way to log in, in both protocols, and every way in which the login may fail once all was said: whatever the
server then says, and above all if it says back what it was told, no secret is shown."""

import base64
import hashlib
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Final
from urllib.parse import quote

from mailwire import (
    Anonymous,
    AuthenticationFailed,
    ConnectionLost,
    DeadlineExceeded,
    External,
    LimitExceeded,
    MailwireError,
    OAuthToken,
    Preferences,
    RemoteProtocolError,
    ResponseError,
    SecurityError,
    ServerUnproven,
    sasl,
)
from mailwire.pop3 import Apop
from mailwire.sasl.keys import HASHES, HashName
from mailwire.testing import FIN, LISTEN, RST, STALL, Step, Tls, authority_file
from tests.hostile.case import ONCE, PASSWORD, Case, Outcome, lines
from tests.sasl.scram_server import Account, ScramServer
from tests.sasl.secrecy import CANARY

__all__ = [
    "NONCE",
    "POP3_CASES",
    "PROVIDED",
    "SMTP_CASES",
    "TIMESTAMP",
    "TOKEN",
    "Endless",
    "b64",
    "scram",
    "scram_dialogue",
]

NONCE: Final = "rOprNGfwEbeRWgbNEkqO"
TIMESTAMP: Final = "<1896.697170952@dbc.mtview.ca.us>"
TOKEN: Final = OAuthToken(PASSWORD.user, CANARY)
"""An access token, which is the canary."""


def b64(text: str | bytes) -> str:
    """Return `text` in base64."""
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode("ascii")


def scram(hash_name: HashName = "SHA-256", *, is_plus: bool = False) -> sasl.Scram:
    """Return SCRAM with a nonce that is known; the -PLUS form binds to the certificate of the scripted peer."""
    leaf = ssl.PEM_cert_to_DER_cert((authority_file().parent / "localhost.pem").read_text("ascii"))
    binding = sasl.ChannelBinding("tls-server-end-point", hashlib.sha256(leaf).digest())  # it is signed with SHA-256
    return sasl.Scram(
        PASSWORD, hash_name, binding if is_plus else None, server_offers_plus=is_plus, make_nonce=lambda: NONCE
    )


@cache
def scram_dialogue() -> tuple[str, str, str, str]:
    """Return the four messages of a login by `scram`, in base64: the last one proves that the server knows us."""
    server = ScramServer({PASSWORD.user: Account.with_many_iterations("sha256", CANARY, 4096)})
    client = scram()
    client_first = client.initial_response()
    server_first = server.hear_first(client_first)
    client_final = client.respond(server_first)
    assert isinstance(client_final, bytes)
    first, second, third, last = map(b64, (client_first, server_first, client_final, server.hear_final(client_final)))
    return first, second, third, last


class Endless(sasl.Mechanism):
    """Answers whatever it is asked, for ever."""

    name = "X-ENDLESS"
    exposes_password = False

    def initial_response(self) -> None:
        return None

    def respond(self, challenge: bytes) -> bytes:
        return b"more"


async def provide(refused: sasl.OAuthFailure | None) -> str:
    """Provide a token, and another one where the first was refused."""
    return f"{CANARY}-{1 if refused is None else 2}"


PROVIDED: Final = OAuthToken(PASSWORD.user, provide)
"""Access tokens, in which the canary is: `provide` has two of them."""


@dataclass(frozen=True)
class Login:
    """A way to log in.

    make: makes the mechanism, for a server at that port.
    challenges: by which the server leads it to where it has said all, not in base64 yet.
    auth: the credentials of which the client makes it; None where that is left to `make`.
    """

    make: Callable[[int], sasl.Mechanism]
    challenges: tuple[bytes, ...] = ()
    auth: sasl.Credentials | None = None


@dataclass(frozen=True)
class Dialect:
    """What the two protocols say differently."""

    protocol: str
    port: int
    line_limit: int  # of a command with its initial response
    hello: str
    go_on: str  # the beginning of a challenge
    no: str  # the beginning of a refusal
    seconds: float  # for which an answer is waited for

    def opening(self, name: str) -> tuple[Step, ...]:
        """Begin a session with a server that offers this way to log in."""
        if self.protocol == "smtp":
            return (Tls(), "S: 220 mx", f"C: {self.hello}", "S: 250-mx", f"S: 250 AUTH {name}")
        return (Tls(), f"S: +OK {TIMESTAMP}", f"C: {self.hello}", "S: +OK", "S: USER", f"S: SASL {name}", "S: .")


SMTP: Final = Dialect("smtp", 465, 512, "EHLO [127.0.0.1]", "334 ", "535 5.7.8 ", 300)
POP3: Final = Dialect("pop3", 995, 255, "CAPA", "+ ", "-ERR [AUTH] ", 60)


def by_scram(hash_name: HashName, *, is_plus: bool = False) -> Login:
    server_first = f"r={NONCE}x,s={b64('salt of the test')},i=4096".encode()
    return Login(lambda _: scram(hash_name, is_plus=is_plus), (server_first,))


LOGINS: Final[Mapping[str, Login]] = {
    **{f"SCRAM-{name}-PLUS": by_scram(name, is_plus=True) for name in HASHES},
    **{f"SCRAM-{name}": by_scram(name) for name in HASHES},
    "OAUTHBEARER": Login(lambda port: sasl.OAuthBearer(TOKEN.user, CANARY, host="localhost", port=port), auth=TOKEN),
    "XOAUTH2": Login(lambda _: sasl.XOAuth2(TOKEN.user, CANARY), auth=TOKEN),
    "EXTERNAL": Login(lambda _: sasl.ExternalMechanism(External("bob")), auth=External("bob")),
    "PLAIN": Login(lambda _: sasl.Plain(PASSWORD), auth=PASSWORD),
    "LOGIN": Login(lambda _: sasl.Login(PASSWORD), (b"User Name", b"Password"), auth=PASSWORD),
    "ANONYMOUS": Login(lambda _: sasl.AnonymousMechanism(Anonymous("bob")), auth=Anonymous("bob")),
    "CRAM-MD5": Login(lambda _: sasl.CramMD5(PASSWORD), (TIMESTAMP.encode(),), auth=PASSWORD),
}


class Spoken:
    """A login up to where the client has said all: `said` are its lines, `steps` the dialogue."""

    def __init__(self, name: str, dialect: Dialect) -> None:
        login = LOGINS[name]
        # By XOAUTH2 nothing is said in POP3 before the server asks for it.
        is_asked = dialect is POP3 and name == "XOAUTH2"
        self.exchange = sasl.Exchange(
            login.make(dialect.port), b"AUTH", dialect.line_limit, sends_initial_response=not is_asked
        )
        self.said = [self.exchange.command_line().decode().removesuffix("\r\n")]
        self.steps: list[Step] = [f"C: {self.said[0]}"]
        for challenge in ((b"",) if is_asked else ()) + login.challenges:
            self.steps.append(f"S: {dialect.go_on}{b64(challenge)}")
            self.steps.append(f"C: {self.answer(b64(challenge))}")

    def answer(self, challenge: str) -> str:
        """Say what answers one more `challenge`."""
        response = self.exchange.respond(challenge.encode())
        assert isinstance(response, bytes)
        self.said.append(response.decode().removesuffix("\r\n"))
        return self.said[-1]


def echo(way: str, said: list[str]) -> str:
    """Return how a server says back what it was told."""
    # By these two ways there is no secret to tell.
    secret = () if way in ("EXTERNAL", "ANONYMOUS") else (CANARY, b64(CANARY), CANARY.encode().hex(), quote(CANARY))
    return " ".join((*said, *secret))


def responses(said: list[str]) -> Iterator[str]:
    """Return what the client answered, and what stands behind the names of the mechanism and the user."""
    for line in said:
        words = line.split(" ")
        if len(words) != 2 and len(words[-1]) > 8:
            yield words[-1]


Ending = tuple[tuple[Step, ...], type[MailwireError]]


def endings(way: str, dialect: Dialect, said: list[str]) -> Mapping[str, Ending]:
    """Return how a login may end once all was said."""
    is_smtp, words = dialect is SMTP, echo(way, said)
    leave = f"421 {words}" if is_smtp else f"-ERR [SYS/TEMP] {words}"
    return {
        "refused": ((f"S: {dialect.no}{words}", LISTEN), AuthenticationFailed),
        "not-now": ((f"S: {leave}", FIN, LISTEN), AuthenticationFailed if is_smtp else ResponseError),
        "noise": ((f"S: {words}", LISTEN), RemoteProtocolError),
        "nul": ((f"{dialect.no}\0{words}\r\n".encode(), LISTEN), RemoteProtocolError),
        "half-a-refusal": ((f"{dialect.no}{words}".encode(), FIN, LISTEN), ConnectionLost),
        "long": ((f"S: {dialect.no}{words}{'x' * 9000}", LISTEN), LimitExceeded),
        "hang-up": ((FIN, LISTEN), ConnectionLost),
        "reset": ((RST,), ConnectionLost),
        "silence": ((STALL,), DeadlineExceeded),
    }


def case(
    name: str, way: str, dialect: Dialect, steps: tuple[Step, ...], said: list[str], error: type[MailwireError]
) -> Case:
    login = LOGINS.get(way)
    auth = PASSWORD if login is None else login.auth or (lambda: login.make(dialect.port))
    return Case(
        f"{way.lower()}-{name}",
        (*dialect.opening(way), *steps),
        Outcome(error, hello=True, under_tls=lines(dialect.hello, *said), hidden=tuple(responses(said))),
        {
            "protocol": dialect.protocol,
            "tls": "implicit",
            "auth": auth,
            "auth_preferences": Preferences(mechanisms=[way]),
        },
        ("connect",),
        dialect.seconds if steps[-1] is STALL else 0,
        surroundings=ONCE,
    )


def of_sasl(dialect: Dialect) -> Iterator[Case]:
    for way in LOGINS:
        spoken = Spoken(way, dialect)
        for name, (steps, error) in endings(way, dialect, spoken.said).items():
            yield case(name, way, dialect, (*spoken.steps, *steps), spoken.said, error)
        for name, challenge in {
            "one-more": b64("more"),
            "one-more-of-nothing": "",
            "said-back": b64(echo(way, [])),
            "no-base64": f"!!!!{echo(way, [])}",
        }.items():
            spoken = Spoken(way, dialect)
            answer = spoken.answer(challenge)
            words = echo(way, spoken.said)
            steps = (f"S: {dialect.go_on}{challenge}", f"C: {answer}", f"S: {dialect.no}{words}", LISTEN)
            kind: type[MailwireError] = ServerUnproven if spoken.exchange.is_server_unproven else AuthenticationFailed
            yield case(name, way, dialect, (*spoken.steps, *steps), spoken.said, kind)


def of_pop3() -> Iterator[Case]:
    user, apop = f"USER {PASSWORD.user}", Apop(PASSWORD.user, CANARY, TIMESTAMP.encode()).encode().decode()[:-2]
    for way, said, steps in (
        ("USER", [user, f"PASS {CANARY}"], (f"C: {user}", "S: +OK", f"C: PASS {CANARY}")),
        ("APOP", [apop], (f"C: {apop}",)),
    ):
        ends: Mapping[str, Ending] = {
            **endings(way, POP3, said),
            "challenge": ((f"S: + {b64(CANARY)}", LISTEN), RemoteProtocolError),
        }
        for name, (ending, error) in ends.items():
            yield case(name, way, POP3, (*steps, *ending), said, error)


# What gives nothing away to those who listen, may be said to them.
DISCREET: Final = frozenset({*(f"SCRAM-{name}" for name in HASHES), "EXTERNAL", "ANONYMOUS"})


def on_an_open_link(dialect: Dialect) -> Iterator[Case]:
    """Without TLS, and without leave to do without: the client says what it says to anybody, and takes its leave."""
    for way in (*LOGINS, *(("USER", "APOP") if dialect is POP3 else ())):
        opening, preferences = dialect.opening(way)[1:], Preferences(mechanisms=[way])
        login = LOGINS.get(way)
        if way in DISCREET and login is not None:
            spoken = Spoken(way, dialect)
            error: type[MailwireError] = AuthenticationFailed
            script = (*opening, *spoken.steps, f"S: {dialect.no}{echo(way, spoken.said)}", LISTEN)
            said, auth = spoken.said, login.auth or partial(login.make, dialect.port)
        else:
            # A -PLUS form has nothing to bind to: it is none for this link, with leave or without.
            error = AuthenticationFailed if way.endswith("-PLUS") else SecurityError
            script, said = (*opening, LISTEN), list[str]()
            auth = PASSWORD if login is None or login.auth is None else login.auth
        yield Case(
            f"{way.lower()}-on-an-open-link",
            script,
            Outcome(error, in_clear=lines(dialect.hello, *said)),
            {"protocol": dialect.protocol, "tls": "none", "auth": auth, "auth_preferences": preferences},
            ("connect",),
        )


SMTP_CASES: Final = [*of_sasl(SMTP), *on_an_open_link(SMTP)]
POP3_CASES: Final = [*of_sasl(POP3), *of_pop3(), *on_an_open_link(POP3)]
