import base64
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import pytest

from mailwire import sasl
from mailwire.sasl.keys import HashName
from mailwire.testing import MECHANISMS, Account, Channel, Maildrop, Policy
from mailwire.testing.mechanism import Setting
from mailwire.testing.scram import scram
from tests.sasl.scram_server import exclusive_or, hi, keyed, plain_hash
from tests.testing.exchange import converse, denial, first_challenge

FUNCTIONS: dict[HashName, str] = {"SHA-1": "sha1", "SHA-256": "sha256", "SHA-512": "sha512"}
USER = Account("user", "pencil")
ODD = Account("a,b=c", "pencil", ("odd@localhost",))
ROMAN = Account("\N{ROMAN NUMERAL NINE}", "I\N{SOFT HYPHEN}X")
UNPREPARED = Account("\ue000", "pencil")
EMOJI = Account("emoji", "\N{PILE OF POO}")
TOKEN_ONLY = Account("carol", "")

BINDINGS = {"tls-server-end-point": b"end", "tls-unique": b"unique", "tls-exporter": b"\0,="}
NONCE = "fyko+d2lbbFgONRv9qkxdawL"
SALT = b"sixteen octets.."


def setting(
    *,
    nonce: str = "3rfcNHYJY1ZVvWVs7j",
    salt: bytes = SALT,
    iterations: int = 1,
    offered: tuple[str, ...] = (),
    bindings: dict[str, bytes] | None = None,
) -> Setting:
    policy = Policy(scram_iterations=iterations, make_nonce=lambda: nonce, make_salt=lambda: salt)
    maildrop = Maildrop([USER, ODD, ROMAN, UNPREPARED, EMOJI, TOKEN_ONLY])
    return Setting(maildrop, policy, Channel(bindings or {}), offered)


@dataclass
class Client:
    """The client's side, written from RFC 5802 alone; whatever a test wants to be wrong can be."""

    hash_name: HashName = "SHA-1"
    password: str = "pencil"
    header: str = "n,,"
    bound: bytes = b""
    name: str = "user"
    extensions: str = ""

    @property
    def bare(self) -> str:
        return f"n={self.name},r={NONCE}{self.extensions}"

    @property
    def first(self) -> bytes:
        return f"{self.header}{self.bare}".encode()

    def final(self, server_first: bytes, *, nonce: str | None = None, extensions: str = "") -> bytes:
        function = FUNCTIONS[self.hash_name]
        server_nonce, salt, iterations = (text[2:] for text in server_first.decode().split(","))
        bound = base64.b64encode(self.header.encode() + self.bound).decode()
        without_proof = f"c={bound},r={server_nonce if nonce is None else nonce}{extensions}"
        self.auth_message = f"{self.bare},{server_first.decode()},{without_proof}".encode()
        self.salted = hi(function, self.password.encode(), base64.b64decode(salt), int(iterations))
        client_key = keyed(function, self.salted, b"Client Key")
        signature = keyed(function, plain_hash(function, client_key), self.auth_message)
        proof = base64.b64encode(exclusive_or(client_key, signature)).decode()
        return f"{without_proof},p={proof}".encode()

    @property
    def server_final(self) -> bytes:
        function = FUNCTIONS[self.hash_name]
        server_key = keyed(function, self.salted, b"Server Key")
        return b"v=" + base64.b64encode(keyed(function, server_key, self.auth_message))


def server_first(client: Client, setting: Setting, *, is_plus: bool = False) -> bytes:
    challenges, _ = converse(scram(client.hash_name, setting, is_plus=is_plus), client.first)
    return challenges[0]


def log_in(client: Client, setting: Setting, *, is_plus: bool = False) -> Account | None:
    final = client.final(server_first(client, setting, is_plus=is_plus))
    exchange = scram(client.hash_name, setting, is_plus=is_plus)
    challenges, account = converse(exchange, client.first, final, b"")
    assert challenges[1] == client.server_final
    return account


def denied(client: Client, setting: Setting, *, is_plus: bool = False) -> str:
    """The reason for which the client is denied at its first message."""
    return denial(scram(client.hash_name, setting, is_plus=is_plus), client.first)


# The examples


@pytest.mark.parametrize(
    ("hash_name", "nonce", "salt", "transcript"),
    [
        # RFC 5802 5
        (
            "SHA-1",
            "3rfcNHYJY1ZVvWVs7j",
            "QSXCR+Q6sek8bf92",
            (
                b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
                b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
                b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
                b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
            ),
        ),
        # RFC 7677 3
        (
            "SHA-256",
            "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
            "W22ZaJ0SNY7soEsUEjb6gQ==",
            (
                b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
                b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
                b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
                b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
            ),
        ),
    ],
)
def test_the_examples_are_reproduced(
    hash_name: HashName, nonce: str, salt: str, transcript: tuple[bytes, bytes, bytes, bytes]
) -> None:
    client_first, first, client_final, final = transcript
    exchange = scram(hash_name, setting(nonce=nonce, salt=base64.b64decode(salt), iterations=4096), is_plus=False)

    assert converse(exchange, client_first, client_final, b"") == ([first, final], USER)


@pytest.mark.parametrize("hash_name", FUNCTIONS)
def test_the_client_begins(hash_name: HashName) -> None:
    assert first_challenge(scram(hash_name, setting(), is_plus=False)) == b""


@pytest.mark.parametrize("hash_name", FUNCTIONS)
def test_a_client_written_from_the_rfc_logs_in_with_every_hash(hash_name: HashName) -> None:
    # There is no example with SHA-512.
    assert log_in(Client(hash_name), setting(iterations=3)) == USER


@pytest.mark.parametrize("binding", BINDINGS)
@pytest.mark.parametrize("hash_name", FUNCTIONS)
def test_a_client_may_bind_the_exchange_to_the_tls_session(hash_name: HashName, binding: str) -> None:
    client = Client(hash_name, header=f"p={binding},,", bound=BINDINGS[binding])

    assert log_in(client, setting(bindings=BINDINGS), is_plus=True) == USER


@pytest.mark.parametrize("is_plus", [False, True])
@pytest.mark.parametrize("hash_name", FUNCTIONS)
def test_the_client_of_this_library_logs_in(hash_name: HashName, is_plus: bool) -> None:
    binding = sasl.ChannelBinding("tls-unique", b"unique") if is_plus else None
    mechanism = sasl.Scram(
        sasl.Password("user", "pencil"), hash_name, binding, server_offers_plus=is_plus, make_nonce=lambda: NONCE
    )
    plus = setting(iterations=4096, offered=MECHANISMS, bindings=BINDINGS)

    client_first = mechanism.initial_response()
    (first,), _ = converse(scram(hash_name, plus, is_plus=is_plus), client_first)
    client_final = mechanism.respond(first)
    assert isinstance(client_final, bytes)
    (_, final), account = converse(scram(hash_name, plus, is_plus=is_plus), client_first, client_final, b"")

    assert account == USER
    assert mechanism.respond(final) == b""
    assert mechanism.is_complete


# The nonce and the keys


def test_the_nonce_is_the_clients_and_more() -> None:
    assert server_first(Client(), setting()).startswith(f"r={NONCE}3rfcNHYJY1ZVvWVs7j,".encode())


def test_no_nonce_is_said_twice() -> None:
    by_default = Setting(Maildrop([USER]), Policy(scram_iterations=1))
    nonces = {server_first(Client(), by_default).split(b",")[0] for _ in range(10)}

    assert len(nonces) == 10


def test_a_user_keeps_the_salt() -> None:
    numbers = count()
    policy = Policy(scram_iterations=2, make_salt=lambda: b"salt %d" % next(numbers))
    maildrop = Maildrop([USER, ODD])

    def salt(name: str, hash_name: HashName, policy: Policy = policy) -> bytes:
        first = server_first(Client(hash_name, name=name), Setting(maildrop, policy))
        return base64.b64decode(first.split(b",")[1][2:])

    assert [salt("user", "SHA-1"), salt("user", "SHA-1")] == [b"salt 0"] * 2
    assert salt("user", "SHA-256") == b"salt 1"
    assert salt("a=2Cb=3Dc", "SHA-1") == b"salt 2"
    assert salt("user", "SHA-1", Policy(scram_iterations=3, make_salt=lambda: b"other")) == b"other"
    assert salt("user", "SHA-1") == b"salt 0"


# The user


def test_a_comma_and_an_equals_sign_come_escaped() -> None:
    assert log_in(Client(name="a=2Cb=3Dc"), setting()) == ODD
    assert log_in(Client(name="a=2Cb=3Dc", header="n,a=a=2Cb=3Dc,"), setting()) == ODD


@pytest.mark.parametrize("name", ["IX", "\N{ROMAN NUMERAL NINE}", "I\N{SOFT HYPHEN}X"])
def test_names_and_passwords_are_compared_as_saslprep_leaves_them(name: str) -> None:
    assert log_in(Client(name=name, password="IX"), setting()) == ROMAN


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nobody", "unknown-user"),
        ("User", "unknown-user"),
        ("carol", "no-password"),
        ("emoji", "no-password"),
        ("\N{SOFT HYPHEN}", "invalid-username-encoding"),
        ("us\ner", "invalid-username-encoding"),
    ],
)
def test_who_is_no_user_with_a_password_is_denied(name: str, reason: str) -> None:
    assert denied(Client(name=name), setting()) == reason


def test_nobody_may_act_as_another() -> None:
    assert denied(Client(header="n,a=user2,"), setting()) == "not-authorized"
    assert log_in(Client(header="n,a=user,"), setting()) == USER


# The proof


@pytest.mark.parametrize("hash_name", FUNCTIONS)
def test_a_wrong_password_is_denied_without_a_signature(hash_name: HashName) -> None:
    client = Client(hash_name, password="crayon")
    final = client.final(server_first(client, setting()))

    assert denial(scram(hash_name, setting(), is_plus=False), client.first, final) == "invalid-proof"


def test_the_proof_of_another_hash_is_denied() -> None:
    client = Client("SHA-1")
    final = client.final(server_first(client, setting()))

    assert denial(scram("SHA-512", setting(), is_plus=False), client.first, final) == "invalid-proof"


@pytest.mark.parametrize("nonce", [NONCE, NONCE + "3rfcNHYJY1ZVvWVs7", NONCE + "3rfcNHYJY1ZVvWVs7j0", "0"])
def test_another_nonce_is_denied(nonce: str) -> None:
    client = Client()
    final = client.final(server_first(client, setting()), nonce=nonce)

    assert denial(scram("SHA-1", setting(), is_plus=False), client.first, final) == "other-nonce"


def test_a_response_to_the_signature_is_empty() -> None:
    client = Client()
    final = client.final(server_first(client, setting()))

    with pytest.raises(ValueError):
        converse(scram("SHA-1", setting(), is_plus=False), client.first, final, b"x")


# Channel binding


@pytest.mark.parametrize(
    ("header", "is_plus"),
    [("n,,", True), ("y,,", True), ("p=tls-unique,,", False)],
)
def test_a_client_binds_if_it_chose_a_plus_and_only_then(header: str, is_plus: bool) -> None:
    plus = setting(offered=MECHANISMS, bindings=BINDINGS)

    assert denied(Client(header=header), plus, is_plus=is_plus) == "channel-binding-not-supported"


def test_a_binding_that_the_server_does_not_have_is_denied() -> None:
    without = setting(offered=MECHANISMS, bindings={"tls-server-end-point": b"end"})

    assert denied(Client(header="p=tls-unique,,"), without, is_plus=True) == "unsupported-channel-binding-type"


@pytest.mark.parametrize("bound", [b"", b"end", b"unique ", b"Unique"])
def test_another_binding_is_denied_without_a_signature(bound: bytes) -> None:
    client = Client(header="p=tls-unique,,", bound=bound)
    plus = setting(offered=MECHANISMS, bindings=BINDINGS)
    final = client.final(server_first(client, plus, is_plus=True))

    assert denial(scram("SHA-1", plus, is_plus=True), client.first, final) == "channel-bindings-dont-match"


def test_the_header_is_bound_too() -> None:
    client, other = Client(header="n,,"), Client(header="y,,")
    final = other.final(server_first(client, setting()))

    assert denial(scram("SHA-1", setting(), is_plus=False), client.first, final) == "channel-bindings-dont-match"


def test_a_client_from_which_the_offer_was_hidden_is_denied() -> None:
    plus = setting(offered=("SCRAM-SHA-1-PLUS", "SCRAM-SHA-1"), bindings=BINDINGS)

    assert denied(Client(header="y,,"), plus) == "server-does-support-channel-binding"


@pytest.mark.parametrize("header", ["n,,", "y,,"])
@pytest.mark.parametrize("offered", [(), ("SCRAM-SHA-1",), ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-1")])
def test_a_client_that_saw_no_offer_may_say_so(header: str, offered: tuple[str, ...]) -> None:
    assert log_in(Client(header=header), setting(offered=offered, bindings=BINDINGS)) == USER


def test_a_client_need_not_bind() -> None:
    assert log_in(Client(header="n,,"), setting(offered=MECHANISMS, bindings=BINDINGS)) == USER


# Grammar


def test_extensions_that_nobody_knows_are_passed_over() -> None:
    client = Client(extensions=",x=y,Z=!")
    final = client.final(server_first(client, setting()), extensions=",f=oo")

    assert converse(scram("SHA-1", setting(), is_plus=False), client.first, final, b"")[1] == USER


def test_an_extension_that_the_server_must_know_is_denied() -> None:
    exchange = scram("SHA-1", setting(), is_plus=False)

    assert denial(exchange, b"n,,m=x,n=user,r=" + NONCE.encode()) == "extensions-not-supported"


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"n,,",
        b"n,,n=user",
        b"n,,r=0,n=user",
        b"n,,n=,r=0",
        b"n,,n=user,r=",
        b"n,,n=user,r=0 0",
        b"n,,n=user,r=0\x7f",
        b"n,,n=user,r=0,",
        b"n,,n=user,r=0,xx",
        b"n,,n=user,r=0,x=",
        b"n,,n=user,r=0,x=\0",
        b"n,,n=user,r=0,r=0",
        b"n,,n=user,r=0,n=user",
        b"n,,n=user,r=0,m=x",
        b"n,,n=user,r=0,i=1",
        b"n,,n=us=er,r=0",
        b"n,,n=us=2cer,r=0",
        b"n,,n=us\0er,r=0",
        b"n,,n=\xff,r=0",
        b"n,,x=y,n=user,r=0",
        b"n,user,n=user,r=0",
        b"n,a=,n=user,r=0",
        b"n,n=user,r=0",
        b"N,,n=user,r=0",
        b"p,,n=user,r=0",
        b"p=,,n=user,r=0",
        b"p=tls_unique,,n=user,r=0",
        b"F,n,,n=user,r=0",
        b" n,,n=user,r=0",
        b"n,,n=user,r=0\n",
    ],
)
def test_what_is_no_first_message_cannot_be_read(message: bytes) -> None:
    with pytest.raises(ValueError):
        converse(scram("SHA-1", setting(), is_plus=False), message)


ALTERATIONS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("empty", lambda final: b""),
    ("cut", lambda final: final[:-1]),
    ("without a proof", lambda final: final.rpartition(b",")[0]),
    ("with an empty proof", lambda final: final.rpartition(b",")[0] + b",p="),
    ("with two proofs", lambda final: final + b",p=AAAA"),
    ("with something behind the proof", lambda final: final + b",x=y"),
    ("with a mandatory extension", lambda final: final.replace(b",p=", b",m=x,p=")),
    ("with an error", lambda final: final.replace(b",p=", b",e=x,p=")),
    ("with two nonces", lambda final: final.replace(b",p=", b",r=0,p=")),
    ("without a binding", lambda final: final.partition(b",")[2]),
    ("with a binding that is no base64", lambda final: final.replace(b"c=biws", b"c=biw")),
    ("with a binding of other letters", lambda final: final.replace(b"c=biws", b"c=b_ws")),
    ("with something before the binding", lambda final: b"x=y," + final),
    ("with a byte that is no text", lambda final: final.replace(b",p=", b",x=\xff,p=")),
    ("with a line end", lambda final: final + b"\n"),
]


@pytest.mark.parametrize("alter", [alter for _, alter in ALTERATIONS], ids=[name for name, _ in ALTERATIONS])
def test_what_is_no_final_message_cannot_be_read(alter: Callable[[bytes], bytes]) -> None:
    client = Client()
    final = client.final(server_first(client, setting()))

    with pytest.raises(ValueError):
        converse(scram("SHA-1", setting(), is_plus=False), client.first, alter(final))
