import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire.sasl import MechanismFailed, Password
from mailwire.sasl.channel_binding import BindingType, ChannelBinding
from mailwire.sasl.keys import HashName, KeyCache
from mailwire.sasl.scram import (
    MAXIMUM_ITERATIONS,
    MESSAGE_LIMIT,
    MINIMUM_ITERATIONS,
    WORK_ITERATIONS,
    ProofMissing,
    Scram,
)
from mailwire.sasl.work import Work
from tests.sasl.scram_server import Account, Refusal, ScramServer, hi, keyed
from tests.sasl.secrecy import CANARY, assert_hidden

FUNCTIONS: dict[HashName, str] = {"SHA-1": "sha1", "SHA-256": "sha256", "SHA-512": "sha512"}
BINDINGS: dict[BindingType, bytes] = {"tls-server-end-point": b"end", "tls-unique": b"unique", "tls-exporter": b"\0,="}
PENCIL = Password("user", "pencil")
NONCE = "fyko+d2lbbFgONRv9qkxdawL"


def say(mechanism: Scram, challenge: bytes) -> bytes:
    """Return the response, computed at once where it is work."""
    response = mechanism.respond(challenge)
    return response.compute() if isinstance(response, Work) else response


def client(
    credentials: Password = PENCIL,
    hash_name: HashName = "SHA-1",
    key_cache: KeyCache | None = None,
    minimum_iterations: int = MINIMUM_ITERATIONS,
    maximum_iterations: int = MAXIMUM_ITERATIONS,
) -> Scram:
    """A client whose nonce is that of RFC 5802 5, and who has said client-first."""
    mechanism = Scram(
        credentials,
        hash_name,
        key_cache=key_cache,
        minimum_iterations=minimum_iterations,
        maximum_iterations=maximum_iterations,
        make_nonce=lambda: NONCE,
    )
    mechanism.initial_response()
    return mechanism


def server_first(nonce: str = NONCE + "3rfc", salt: str = "QSXCR+Q6sek8bf92", count: str = "4096") -> bytes:
    return f"r={nonce},s={salt},i={count}".encode()


def log_in(mechanism: Scram, server: ScramServer) -> None:
    """Run the whole exchange."""
    is_plus = mechanism.name.endswith("-PLUS")
    first = server.hear_first(mechanism.initial_response(), is_plus=is_plus)
    final = server.hear_final(say(mechanism, first))
    assert not mechanism.is_complete
    assert say(mechanism, final) == b""
    assert mechanism.is_complete


# The examples


@pytest.mark.parametrize(
    ("hash_name", "nonce", "transcript"),
    [
        # RFC 5802 5
        (
            "SHA-1",
            NONCE,
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
            "rOprNGfwEbeRWgbNEkqO",
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
def test_the_examples_are_reproduced(hash_name: HashName, nonce: str, transcript: tuple[bytes, ...]) -> None:
    mechanism = Scram(PENCIL, hash_name, make_nonce=lambda: nonce)
    client_first, first, client_final, final = transcript
    assert mechanism.name == f"SCRAM-{hash_name}"
    assert mechanism.initial_response() == client_first
    assert mechanism.respond(first) == client_final
    assert not mechanism.is_complete
    assert mechanism.respond(final) == b""
    assert mechanism.is_complete


@pytest.mark.parametrize("hash_name", FUNCTIONS)
def test_the_proof_is_as_the_rfc_computes_it(hash_name: HashName) -> None:
    # There is no example with SHA-512: RFC 5802 3 written out, for all three.
    function = FUNCTIONS[hash_name]
    salt, nonce = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="), "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    first = f"r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    auth_message = f"n=user,r=rOprNGfwEbeRWgbNEkqO,{first},c=biws,r={nonce}".encode()
    salted_password = hi(function, b"pencil", salt, 4096)
    client_key = keyed(function, salted_password, b"Client Key")
    stored_key = hashlib.new(function, client_key).digest()
    client_signature = keyed(function, stored_key, auth_message)
    proof = (int.from_bytes(client_key) ^ int.from_bytes(client_signature)).to_bytes(len(client_key))
    server_signature = keyed(function, keyed(function, salted_password, b"Server Key"), auth_message)

    mechanism = Scram(PENCIL, hash_name, make_nonce=lambda: "rOprNGfwEbeRWgbNEkqO")
    mechanism.initial_response()
    assert mechanism.respond(first.encode()) == f"c=biws,r={nonce},p={base64.b64encode(proof).decode()}".encode()
    assert mechanism.respond(b"v=" + base64.b64encode(server_signature)) == b""
    assert mechanism.is_complete


# The whole exchange, against a server that shares no code


@pytest.mark.parametrize("hash_name", FUNCTIONS)
def test_a_client_without_channel_binding_logs_in(hash_name: HashName) -> None:
    accounts = {"user": Account.of(FUNCTIONS[hash_name], "pencil")}
    for offers_plus in (False, True):
        mechanism = Scram(PENCIL, hash_name, server_offers_plus=offers_plus)
        server = ScramServer(accounts, offers_plus=offers_plus)
        assert mechanism.name == f"SCRAM-{hash_name}"
        log_in(mechanism, server)
        assert server.flag == "n"


@pytest.mark.parametrize("hash_name", FUNCTIONS)
@pytest.mark.parametrize("binding", BINDINGS)
def test_a_client_with_channel_binding_logs_in(hash_name: HashName, binding: BindingType) -> None:
    accounts = {"user": Account.of(FUNCTIONS[hash_name], "pencil")}
    mechanism = Scram(PENCIL, hash_name, ChannelBinding(binding, BINDINGS[binding]), server_offers_plus=True)
    server = ScramServer(accounts, offers_plus=True, bindings={binding: BINDINGS[binding]})
    assert mechanism.name == f"SCRAM-{hash_name}-PLUS"
    log_in(mechanism, server)
    assert server.flag == f"p={binding}"


def test_a_server_without_channel_binding_is_told_that_the_client_has_it() -> None:
    accounts = {"user": Account.of("sha256", "pencil")}
    mechanism = Scram(PENCIL, "SHA-256", ChannelBinding("tls-unique", b"data"))
    server = ScramServer(accounts)
    assert mechanism.name == "SCRAM-SHA-256"
    log_in(mechanism, server)
    assert server.flag == "y"


@pytest.mark.parametrize(
    ("binding", "offers_plus", "header"),
    [
        (None, True, b"n,a=other,"),
        (ChannelBinding("tls-unique", b"data"), False, b"y,a=other,"),
        (ChannelBinding("tls-unique", b"data"), True, b"p=tls-unique,a=other,"),
    ],
)
def test_the_identity_to_act_as_is_said_whatever_is_bound(
    binding: ChannelBinding | None, offers_plus: bool, header: bytes
) -> None:
    credentials = Password("user", "pencil", authzid="other")
    mechanism = Scram(credentials, "SHA-1", binding, server_offers_plus=offers_plus, make_nonce=lambda: NONCE)
    assert mechanism.initial_response() == header + b"n=user,r=" + NONCE.encode()


def test_whoever_hides_that_the_server_has_channel_binding_is_found_out() -> None:
    # RFC 5802 6
    mechanism = Scram(PENCIL, "SHA-256", ChannelBinding("tls-unique", b"data"))
    server = ScramServer({"user": Account.of("sha256", "pencil")}, offers_plus=True)
    with pytest.raises(Refusal, match="server-does-support-channel-binding"):
        log_in(mechanism, server)


def test_whoever_stands_between_two_tls_sessions_is_found_out() -> None:
    mechanism = Scram(PENCIL, "SHA-256", ChannelBinding("tls-unique", b"one"), server_offers_plus=True)
    server = ScramServer(
        {"user": Account.of("sha256", "pencil")}, offers_plus=True, bindings={"tls-unique": b"another"}
    )
    with pytest.raises(Refusal, match="channel-bindings-dont-match"):
        log_in(mechanism, server)


def test_a_wrong_password_is_no_proof() -> None:
    server = ScramServer({"user": Account.of("sha1", "pencil")})
    with pytest.raises(Refusal, match="invalid-proof"):
        log_in(Scram(Password("user", "crayon"), "SHA-1"), server)


@pytest.mark.parametrize(
    ("credentials", "user", "password", "authzid"),
    [
        (Password("a,b=c", "p,=w"), "a,b=c", "p,=w", ""),
        (Password("=2C", "x"), "=2C", "x", ""),
        (Password("user", "pencil", authzid="other,=user"), "user", "pencil", "other,=user"),
        (Password("jürgen", "пароль", authzid="émile"), "jürgen", "пароль", "émile"),
        # RFC 5802 5.1 and 2.2: both are prepared by SASLprep, the user as a query.
        (Password("\uff35ser🐟", "I\u00adX\u2168\u00a0\u00aa"), "User🐟", "IXIX a", ""),
        (Password("user", "p" * 1000), "user", "p" * 1000, ""),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_names_are_escaped_and_prepared(credentials: Password, user: str, password: str, authzid: str) -> None:
    server = ScramServer({user: Account.of("sha256", password)})
    log_in(Scram(credentials, "SHA-256"), server)
    assert (server.user, server.authzid) == (user, authzid)


@given(
    user=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1),
    password=st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1),
    authzid=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    salt=st.binary(min_size=1),
    data=st.binary(min_size=1),
)
def test_any_credentials_log_in(user: str, password: str, authzid: str, salt: bytes, data: bytes) -> None:
    server = ScramServer(
        {user: Account.of("sha1", password, salt, iterations=1)}, offers_plus=True, bindings={"tls-exporter": data}
    )
    mechanism = Scram(
        Password(user, password, authzid),
        "SHA-1",
        ChannelBinding("tls-exporter", data),
        server_offers_plus=True,
        minimum_iterations=1,
    )
    log_in(mechanism, server)
    assert (server.user, server.authzid) == (user, authzid)


def test_the_first_message_is_said_when_the_server_asks_for_it() -> None:
    mechanism = Scram(PENCIL, "SHA-1", make_nonce=lambda: NONCE)
    assert mechanism.respond(b"") == b"n,,n=user,r=" + NONCE.encode()
    assert mechanism.respond(server_first()) != b""


def test_the_first_message_is_not_said_to_a_server_that_asks_something_else() -> None:
    mechanism = Scram(PENCIL, "SHA-1")
    with pytest.raises(MechanismFailed, match="SCRAM-SHA-1 expects no challenge when nothing was said"):
        mechanism.respond(b"hello")
    with pytest.raises(MechanismFailed, match="expects no challenge when there is nothing more to say"):
        mechanism.respond(b"")


# Nonces


def test_every_exchange_has_a_nonce_of_its_own() -> None:
    mechanism = Scram(PENCIL, "SHA-1")
    messages = {mechanism.initial_response() for _ in range(100)} | {
        Scram(PENCIL, "SHA-1").initial_response() for _ in range(100)
    }
    assert len(messages) == 200
    # 256 bits; RFC 5802 leaves the length to us.
    assert {len(message) for message in messages} == {len("n,,n=user,r=") + 43}


def test_an_exchange_that_begins_anew_knows_nothing_of_the_one_before() -> None:
    server = ScramServer({"user": Account.of("sha1", "pencil")})
    mechanism = Scram(PENCIL, "SHA-1")
    first = server.hear_first(mechanism.initial_response())
    final = server.hear_final(say(mechanism, first))
    say(mechanism, final)
    mechanism.initial_response()
    assert not mechanism.is_complete
    with pytest.raises(MechanismFailed, match="nonce does not continue"):
        mechanism.respond(first)


def test_a_signature_of_the_exchange_before_proves_nothing_while_work_is_not_done() -> None:
    mechanism = proven()
    mechanism.initial_response()
    assert isinstance(mechanism.respond(server_first(count=str(MAXIMUM_ITERATIONS))), Work)
    with pytest.raises(MechanismFailed, match="or is being computed"):
        mechanism.respond(f"v={SIGNATURE}".encode())


@pytest.mark.parametrize("nonce", ["", "a,b", "a b", "ä", "a\n", "\x7f"])
def test_a_nonce_that_cannot_be_sent_is_refused(nonce: str) -> None:
    mechanism = Scram(PENCIL, "SHA-1", make_nonce=lambda: nonce)
    with pytest.raises(
        ValueError, match=r"^a nonce must be printable ASCII without a comma, and not empty \(RFC 5802 5\.1\)$"
    ):
        mechanism.initial_response()


@pytest.mark.parametrize(
    "nonce",
    [
        NONCE,
        NONCE[:-1],
        NONCE[:-1] + "X" + "3rfc",
        NONCE.lower() + "3rfc",
        "3rfc" + NONCE,
        " " + NONCE + "3rfc",
        NONCE + " ",
        NONCE + "\t",
        NONCE + "\x7f",
        NONCE + "ä",
        "3rfc",
    ],
)
def test_a_nonce_that_does_not_continue_ours_is_refused(nonce: str) -> None:
    mechanism = client()
    with pytest.raises(MechanismFailed, match=r"nonce does not continue the client's \(RFC 5802 5\.1\)"):
        mechanism.respond(server_first(nonce))
    assert not mechanism.is_complete


@pytest.mark.parametrize("continued", ["!", "~", "+-", "r=s=i=", "a" * 1000])
def test_a_nonce_that_continues_ours_by_anything_printable_is_taken(continued: str) -> None:
    response = client().respond(server_first(NONCE + continued))
    assert isinstance(response, bytes)
    assert response.startswith(f"c=biws,r={NONCE}{continued},p=".encode())


# Salt and iteration count


@pytest.mark.parametrize(
    "salt", ["!!!!", "QSX", "QSXCR", "QQ", "QQ=", "=", "====", "QQ==QQ==", "QQ==\n", " QQ==", "Q-_=", "QSX\0"]
)
def test_a_salt_that_is_no_base64_is_refused(salt: str) -> None:
    mechanism = client()
    with pytest.raises(MechanismFailed, match=r"expected a (salt in base64, got b|message of SCRAM)"):
        mechanism.respond(server_first(salt=salt))
    assert not mechanism.is_complete


@pytest.mark.parametrize(
    "count", ["1", "2", "4095", "0001", "0", "04096", "-4096", "+4096", "4_096", "4096 ", "4e3", "٤٠٩٦", "²"]
)
def test_an_iteration_count_below_the_minimum_or_none_at_all_is_refused(count: str) -> None:
    # S51: no proof is sent.
    mechanism = client()
    with pytest.raises(MechanismFailed, match=r"(fewer than 4096|expected an iteration count)"):
        mechanism.respond(server_first(count=count))
    assert not mechanism.is_complete


@pytest.mark.parametrize(
    "count", [str(MAXIMUM_ITERATIONS + 1), "2147483648", "4294967295", "4294967296", "9" * 20, "9" * 4000]
)
def test_an_iteration_count_above_the_maximum_is_refused_before_anything_is_derived(count: str) -> None:
    # S52. Work would be returned, not raised, if any were to be done.
    mechanism = client()
    with pytest.raises(MechanismFailed, match="iterations, more than 1000000") as failure:
        mechanism.respond(server_first(count=count))
    assert len(str(failure.value)) < 120
    assert not mechanism.is_complete


@pytest.mark.parametrize("count", [MINIMUM_ITERATIONS, WORK_ITERATIONS])
def test_up_to_fifty_thousand_iterations_are_answered_at_once(count: int) -> None:
    assert isinstance(client().respond(server_first(count=str(count))), bytes)
    assert (MINIMUM_ITERATIONS, WORK_ITERATIONS, MAXIMUM_ITERATIONS) == (4_096, 50_000, 1_000_000)


@pytest.mark.parametrize("count", [WORK_ITERATIONS + 1, MAXIMUM_ITERATIONS])
def test_more_iterations_are_work(count: int) -> None:
    response = client().respond(server_first(count=str(count)))
    assert isinstance(response, Work)


def test_work_is_the_same_answer_later() -> None:
    account = Account.of("sha1", "pencil", iterations=1)
    account.iterations = WORK_ITERATIONS + 1
    salted = hashlib.pbkdf2_hmac("sha1", b"pencil", account.salt, account.iterations)
    account.stored_key = hashlib.sha1(keyed("sha1", salted, b"Client Key")).digest()
    account.server_key = keyed("sha1", salted, b"Server Key")
    mechanism, server = Scram(PENCIL, "SHA-1"), ScramServer({"user": account})
    work = mechanism.respond(server.hear_first(mechanism.initial_response()))
    assert isinstance(work, Work)
    assert not mechanism.is_complete
    final = server.hear_final(work.compute())
    assert not mechanism.is_complete
    assert mechanism.respond(final) == b""
    assert mechanism.is_complete


@pytest.mark.parametrize("challenge", [b"", b"v=AAAA", b"v=", b"e=other-error"])
def test_a_challenge_while_work_is_not_done_is_refused(challenge: bytes) -> None:
    mechanism = client()
    work = mechanism.respond(server_first(count=str(WORK_ITERATIONS + 1)))
    assert isinstance(work, Work)
    with pytest.raises(MechanismFailed, match="or is being computed"):
        mechanism.respond(challenge)
    work.compute()
    assert not mechanism.is_complete
    with pytest.raises(MechanismFailed, match="nothing more to say"):
        mechanism.respond(b"v=AAAA")


def test_the_limits_of_the_iteration_count_can_be_set() -> None:
    mechanism = client(minimum_iterations=10, maximum_iterations=20)
    assert mechanism.respond(server_first(count="10")) != b""
    assert client(minimum_iterations=10, maximum_iterations=20).respond(server_first(count="20")) != b""
    for count, problem in (("9", "fewer than 10"), ("21", "more than 20"), ("100", "more than 20")):
        with pytest.raises(MechanismFailed, match=problem):
            client(minimum_iterations=10, maximum_iterations=20).respond(server_first(count=count))


@pytest.mark.parametrize(("minimum", "maximum"), [(1, 1), (5000, 5000), (1, 2**31 - 1)])
def test_limits_that_allow_one_count_are_taken(minimum: int, maximum: int) -> None:
    response = client(minimum_iterations=minimum, maximum_iterations=maximum).respond(server_first(count=str(maximum)))
    assert isinstance(response, Work) is (maximum > WORK_ITERATIONS)


@pytest.mark.parametrize(("minimum", "maximum"), [(0, 1), (-1, 1), (2, 1), (1, 2**31)])
def test_limits_that_allow_no_count_are_refused(minimum: int, maximum: int) -> None:
    with pytest.raises(ValueError, match=f"got {minimum} and {maximum}"):
        Scram(PENCIL, "SHA-1", minimum_iterations=minimum, maximum_iterations=maximum)


# Server-first


FIRST = server_first().decode()
R, S, COUNT = FIRST.split(",")


@pytest.mark.parametrize(
    "message",
    [
        "",
        ",",
        "=",
        "r",
        "r=",
        R,
        f"{R},{S}",
        f"{R},{COUNT}",
        f"{S},{COUNT}",
        f"{R},{COUNT},{S}",
        f"{S},{R},{COUNT}",
        f"{R},{R},{S},{COUNT}",
        f"{R},{S},{S},{COUNT}",
        f"{R},{S},{COUNT},{COUNT}",
        f"{R},{S},{COUNT},{R}",
        f"{R},{S},{COUNT},v=AAAA",
        f"{R},{S},{COUNT},e=other-error",
        f"{R},{S},{COUNT},",
        f",{R},{S},{COUNT}",
        f"{R},,{S},{COUNT}",
        f"{R},{S},{COUNT},x",
        f"{R},{S},{COUNT},x=",
        f"{R},{S},{COUNT},xx=1",
        f"{R},{S},{COUNT},1=1",
        f"{R},{S},{COUNT},ä=1",
        f"{R},{S},{COUNT},x=\0",
        f"{R}\0,{S},{COUNT}",
        f"\0{R},{S},{COUNT}",
        f"R{R[1:]},{S},{COUNT}",
        f"{R},{S}, {COUNT}",
        f"x=1,{R},{S},{COUNT}",
        "n=user,r=a",
        f"n,,n=user,r={NONCE}",
        "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
        '{"status":"401"}',
        "\r\n",
    ],
)
def test_a_first_message_that_is_none_is_refused(message: str) -> None:
    mechanism = client()
    with pytest.raises(MechanismFailed, match=r"expected a (message of SCRAM|nonce, a salt and an iteration count)"):
        mechanism.respond(message.encode())
    assert not mechanism.is_complete
    with pytest.raises(MechanismFailed, match="nothing more to say"):
        mechanism.respond(FIRST.encode())


@pytest.mark.parametrize("message", [f"m=ext,{FIRST}", f"{FIRST},m=ext", f"{R},m=ext,{S},{COUNT}", "m=ext"])
def test_a_mandatory_extension_is_refused(message: str) -> None:
    with pytest.raises(MechanismFailed, match=r"demands an extension of SCRAM \(m=\)"):
        client().respond(message.encode())


@pytest.mark.parametrize("name", "anrcspive")
def test_an_attribute_that_has_a_meaning_is_no_extension(name: str) -> None:
    for mechanism, message in ((client(), FIRST), (proven(), f"v={SIGNATURE}")):
        with pytest.raises(
            MechanismFailed, match=r"(expected a nonce, a salt and|comes with what does not belong there)"
        ):
            mechanism.respond(f"{message},x=1,{name}=1".encode())
        assert not mechanism.is_complete


@pytest.mark.parametrize("extension", ["x=1", "x==,y=a=b", "R=1", "x=ä", "h=1,h=2"])
def test_other_extensions_are_ignored_and_signed(extension: str) -> None:
    # RFC 5802 5.1: attributes without a meaning yet, but part of what both sides sign.
    with_extension, without = client(), client()
    response = with_extension.respond(f"{FIRST},{extension}".encode())
    plain = without.respond(FIRST.encode())
    assert isinstance(response, bytes)
    assert isinstance(plain, bytes)
    assert response.split(b",p=")[0] == plain.split(b",p=")[0]
    assert response != plain


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b"unknown-user", "unknown-user"),
        (b"other-error,x=1", "other-error"),
        (b"\x1b[31m\r\n", r"\x1b[31m\x0d\x0a"),
        (b"a=b", "a=b"),
        (b"\xff", r"\xff"),
        (b"a" * 4000, "a" * 80),
    ],
    ids=lambda value: repr(value[:12]),
)
def test_an_error_is_told_as_printable_text(value: bytes, shown: str) -> None:
    # Erratum 5271 to RFC 5802: in the first message too.
    for challenges in ([b"e=" + value], [FIRST.encode(), b"e=" + value]):
        mechanism = client()
        *before, error = challenges
        for challenge in before:
            say(mechanism, challenge)
        with pytest.raises(MechanismFailed) as failure:
            mechanism.respond(error)
        assert str(failure.value) == f"the server refuses: {shown}"
        assert not isinstance(failure.value, ProofMissing)
        assert not mechanism.is_complete


def test_a_message_may_be_as_long_as_the_limit() -> None:
    longest = FIRST + ",x=" + "a" * (MESSAGE_LIMIT - len(FIRST) - 3)
    assert client().respond(longest.encode()) != b""
    response = client().respond(server_first(NONCE + "a" * (MESSAGE_LIMIT - len(FIRST))))
    assert isinstance(response, bytes)
    # RFC 4954 4: "12288 octets is considered to be a sufficient line length limit".
    assert len(base64.b64encode(response) + b"\r\n") <= 12_288
    for length in (MESSAGE_LIMIT + 1, 10_000_000):
        with pytest.raises(MechanismFailed, match=f"at most 4096 octets, got {length}"):
            client().respond(FIRST.encode().ljust(length, b"a"))


# Server-final


SIGNATURE = "rmF9pqV8S7suAoZWja4dJRkFsKQ="


def proven() -> Scram:
    """The client of RFC 5802 5, who has said client-final."""
    mechanism = client()
    mechanism.respond(b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096")
    return mechanism


@pytest.mark.parametrize(
    "message",
    [
        "v=smF9pqV8S7suAoZWja4dJRkFsKQ=",
        "v=" + SIGNATURE.lower(),
        "v=" + SIGNATURE[:-1],
        "v=" + SIGNATURE + "=",
        "v=" + SIGNATURE[:-2] + "R=",
        "v=!!!!",
        "v==",
        "v=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        "v=" + "A" * 4000,
        "x=1",
        "x=1,v=" + SIGNATURE,
        "r=a,s=b,i=4096",
        "V=" + SIGNATURE,
    ],
    ids=lambda message: message[:30],
)
def test_a_server_that_does_not_sign_rightly_is_unproven(message: str) -> None:
    mechanism = proven()
    with pytest.raises(ProofMissing) as failure:
        mechanism.respond(message.encode())
    assert isinstance(failure.value, MechanismFailed)
    assert not mechanism.is_complete
    with pytest.raises(MechanismFailed, match="nothing more to say"):
        mechanism.respond(f"v={SIGNATURE}".encode())
    assert not mechanism.is_complete


@pytest.mark.parametrize(
    "message",
    [
        "",
        "v=",
        "v",
        SIGNATURE,
        f"v={SIGNATURE},",
        f"v={SIGNATURE},x",
        f"v={SIGNATURE}\0",
        f"v={SIGNATURE},m=ext",
        f"v={SIGNATURE},e=other-error",
        f"v={SIGNATURE},v={SIGNATURE}",
        f" v={SIGNATURE}",
    ],
)
def test_a_final_message_that_is_none_is_refused(message: str) -> None:
    mechanism = proven()
    with pytest.raises(MechanismFailed) as failure:
        mechanism.respond(message.encode())
    assert SIGNATURE not in str(failure.value)
    assert not mechanism.is_complete


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("", "expected a message of SCRAM, attributes of the form a=value between commas"),
        (f"m=ext,{FIRST}", "the server demands an extension of SCRAM (m=), and none is known"),
        ("r=a,s=b", "expected a nonce, a salt and an iteration count (r=, s=, i=), got b'r=a,s=b'"),
        (f"r=3rfc,{S},{COUNT}", "the server's nonce does not continue the client's (RFC 5802 5.1)"),
        (f"{R},s=!,{COUNT}", "expected a salt in base64, got b'!'"),
        (f"{R},{S},i=04096", "expected an iteration count, got b'04096'"),
        (f"{R},{S},i=4095", "the server asks for 4095 iterations, fewer than 4096"),
        (f"{R},{S},i={'9' * 20}", f"the server asks for b'{'9' * 20}' iterations, more than 1000000"),
        (f"{R},{S},i={'9' * 21}", f"the server asks for b'{'9' * 20}'... (21 octets) iterations, more than 1000000"),
    ],
)
def test_what_is_wrong_with_a_first_message_is_told(message: str, told: str) -> None:
    with pytest.raises(MechanismFailed) as failure:
        client().respond(message.encode())
    assert str(failure.value) == told


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("x=1", "the server ends SCRAM without a signature (v=)"),
        ("v=AAAA", "the server's signature is wrong: it does not know the password (RFC 5802 3)"),
        (f"v={SIGNATURE},m=ext", "the server's signature (v=) comes with what does not belong there"),
    ],
)
def test_what_is_wrong_with_a_final_message_is_told(message: str, told: str) -> None:
    with pytest.raises(MechanismFailed) as failure:
        proven().respond(message.encode())
    assert str(failure.value) == told


@pytest.mark.parametrize("extension", ["", ",x=1", ",x=1,y==,R=a"])
def test_extensions_of_the_final_message_are_ignored(extension: str) -> None:
    mechanism = proven()
    assert mechanism.respond(f"v={SIGNATURE}{extension}".encode()) == b""
    assert mechanism.is_complete


def test_a_challenge_behind_the_final_message_is_refused() -> None:
    mechanism = proven()
    mechanism.respond(f"v={SIGNATURE}".encode())
    with pytest.raises(MechanismFailed, match="expects no challenge when the server's signature is right"):
        mechanism.respond(b"")
    assert not mechanism.is_complete


# Kept keys


def test_keys_are_kept_when_the_server_is_proven_and_used_again() -> None:
    cache = KeyCache()
    accounts = {"user": Account.of("sha256", "pencil")}
    for nonce in ("first", "second"):
        log_in(Scram(PENCIL, "SHA-256", key_cache=cache), ScramServer(accounts, nonce))
        assert len(cache) == 1
    for account in accounts.values():
        keys = cache.find("SHA-256", b"pencil", account.salt, 4096)
        assert keys is not None
        assert keys.server == account.server_key


def test_what_a_server_made_us_derive_is_not_kept_unless_it_is_proven() -> None:
    cache = KeyCache()
    mechanism = client(key_cache=cache)
    mechanism.respond(server_first())
    assert len(cache) == 0
    with pytest.raises(ProofMissing):
        mechanism.respond(b"v=AAAA")
    assert len(cache) == 0


def test_known_keys_are_no_work() -> None:
    cache = KeyCache()
    count = WORK_ITERATIONS + 1
    account = Account.with_many_iterations("sha1", "pencil", count)
    for is_work in (True, False):
        mechanism, server = Scram(PENCIL, "SHA-1", key_cache=cache), ScramServer({"user": account})
        response = mechanism.respond(server.hear_first(mechanism.initial_response()))
        assert isinstance(response, Work) is is_work
        final = response.compute() if isinstance(response, Work) else response
        assert mechanism.respond(server.hear_final(final)) == b""


def test_kept_keys_let_nobody_in_who_has_not_the_password() -> None:
    cache = KeyCache()
    accounts = {"user": Account.of("sha1", "pencil")}
    log_in(Scram(PENCIL, "SHA-1", key_cache=cache), ScramServer(accounts))
    with pytest.raises(Refusal, match="invalid-proof"):
        log_in(Scram(Password("user", "crayon"), "SHA-1", key_cache=cache), ScramServer(accounts))


# What is refused before anything is said


@pytest.mark.parametrize(
    ("credentials", "problem"),
    [
        (Password("", CANARY), r"^SCRAM needs a user and a password that are not empty \(RFC 5802 5\.1\)$"),
        (Password("user", ""), r"^SCRAM needs a user and a password that are not empty \(RFC 5802 5\.1\)$"),
        (Password("\u00ad", CANARY), "not empty"),
        (Password("user", "\u00ad\u200c"), "not empty"),
        (Password("user\0", CANARY), r"^the user cannot be prepared.*a control character \(RFC 4013 2\.3\)"),
        (Password("user", CANARY + "\0"), r"^the password cannot be prepared.*a control character \(RFC 4013 2\.3\)"),
        (Password("user", CANARY + "\u0627"), r"^the password cannot be prepared.*both right-to-left and"),
        (Password("user", CANARY + "🔑"), r"^the password cannot be prepared.*Unicode 3\.2 does not have"),
        (Password("user", CANARY, authzid="a\0"), r"^authzid must not hold a NUL"),
    ],
    ids=lambda value: ascii(value)[:40],
)
def test_credentials_that_cannot_be_prepared_are_refused_and_not_quoted(credentials: Password, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as refusal:
        Scram(credentials, "SHA-256")
    assert_hidden(CANARY, refusal.value)


@pytest.mark.parametrize("hash_name", ["", "SHA-224", "sha-1", "SHA-256-PLUS", "MD5"])
def test_another_hash_is_refused(hash_name: HashName) -> None:
    with pytest.raises(ValueError, match="expected one of SHA-1, SHA-256, SHA-512, got"):
        Scram(PENCIL, hash_name)


def test_it_exposes_no_password() -> None:
    assert not Scram.exposes_password
    assert not Scram(PENCIL, "SHA-1").exposes_password


# Whatever a server says


ATTRIBUTES = st.sampled_from([b"a", b"n", b"m", b"r", b"c", b"s", b"i", b"p", b"v", b"e", b"x", b"R", b"", b"rr"])
VALUES = st.one_of(
    st.binary(max_size=40),
    st.binary(max_size=40).map(base64.b64encode),
    st.integers().map(lambda number: str(number).encode()),
    st.sampled_from([b"4096", b"50001", b"1", b"4294967295", b"QSXCR+Q6sek8bf92", NONCE.encode(), SIGNATURE.encode()]),
    st.binary(max_size=20).map(lambda octets: NONCE.encode() + octets),
)
MESSAGES = st.one_of(
    st.binary(),
    st.lists(st.tuples(ATTRIBUTES, VALUES).map(b"=".join), max_size=6).map(b",".join),
    st.tuples(VALUES, VALUES, VALUES).map(lambda values: b"r=%b,s=%b,i=%b" % values),
    VALUES.map(lambda value: b"v=" + value),
    st.just(server_first()),
    st.just(b""),
)


@given(challenges=st.lists(MESSAGES, max_size=5), computes=st.booleans())
def test_any_challenge_is_answered_or_is_work_or_fails(challenges: list[bytes], computes: bool) -> None:
    mechanism = Scram(
        PENCIL, "SHA-1", make_nonce=lambda: NONCE, key_cache=KeyCache(), minimum_iterations=1, maximum_iterations=60_000
    )
    failures: list[str] = []
    for challenge in challenges:
        try:
            response = mechanism.respond(challenge)
        except MechanismFailed as failure:
            failures.append(str(failure))
            continue
        # Nothing is answered behind a failure.
        assert failures == []
        if isinstance(response, Work) and computes:
            response = response.compute()
        assert isinstance(response, bytes | Work)
        assert not mechanism.is_complete
    assert all(failure.isprintable() for failure in failures)


# Secrets


def test_its_secrets_are_the_prepared_password_and_the_proof() -> None:
    mechanism = Scram(Password("user", "pen\u00adcil"), "SHA-1", make_nonce=lambda: NONCE)
    assert mechanism.secrets == (b"pencil", b"")
    mechanism.initial_response()
    mechanism.respond(b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096")
    assert mechanism.secrets == (b"pencil", b"v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=")


def test_it_proves_the_server() -> None:
    assert Scram.proves_server
    assert Scram(PENCIL, "SHA-1").proves_server


def test_it_never_shows_its_secret() -> None:
    credentials = Password("user", CANARY)
    mechanism = Scram(credentials, "SHA-256", ChannelBinding("tls-unique", CANARY.encode()), server_offers_plus=True)
    assert_hidden(CANARY, mechanism)
    assert_hidden(CANARY, mechanism.initial_response())


@pytest.mark.parametrize(
    "challenges",
    [
        [b"hello"],
        [server_first(count="1")],
        [server_first(count="9" * 30)],
        [server_first(salt="!")],
        [server_first(NONCE)],
        [b"m=ext," + server_first()],
        [b"e=unknown-user"],
        [server_first(), b"v=AAAA"],
        [server_first(), b"e=invalid-proof"],
        [server_first(), b""],
        [server_first(count=str(WORK_ITERATIONS + 1)), b"v=AAAA"],
    ],
    ids=lambda challenges: repr(challenges[-1][:20]),
)
def test_no_failure_shows_the_secret(challenges: list[bytes]) -> None:
    cache = KeyCache()
    mechanism = client(Password("user", CANARY), "SHA-512", key_cache=cache)
    *before, last = challenges
    for challenge in before:
        response = mechanism.respond(challenge)
        assert_hidden(CANARY, response)
    with pytest.raises(MechanismFailed) as failure:
        mechanism.respond(last)
    assert_hidden(CANARY, failure.value, mechanism, cache)


@pytest.mark.parametrize("form", ["c=biws,r=a,p={proof}", "v={proof}", "p={proof}", "{proof}", "v={proof},e={proof}"])
def test_a_server_that_sends_back_our_proof_does_not_have_it_shown(form: str) -> None:
    # With it, and the salt, passwords can be tried.
    proof = "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="
    with pytest.raises(MechanismFailed) as failure:
        proven().respond(form.format(proof=proof).encode())
    assert_hidden(proof, failure.value.args)
