import base64
import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailwire.sasl import Mechanism, MechanismFailed, Password
from mailwire.sasl.anonymous import AnonymousMechanism
from mailwire.sasl.channel_binding import BindingType, ChannelBinding
from mailwire.sasl.choice import (
    MECHANISMS,
    Credentials,
    Option,
    Preferences,
    Situation,
    candidates,
    is_weaker,
    make_mechanism,
)
from mailwire.sasl.cram_md5 import CramMD5
from mailwire.sasl.external import ExternalMechanism
from mailwire.sasl.identities import Anonymous, External, OAuthToken
from mailwire.sasl.keys import KeyCache
from mailwire.sasl.login import Login
from mailwire.sasl.oauth import OAuthBearer, XOAuth2
from mailwire.sasl.plain import Plain
from mailwire.sasl.scram import MAXIMUM_ITERATIONS, MINIMUM_ITERATIONS, Scram
from tests.sasl.scram_server import Account, Refusal, ScramServer
from tests.sasl.secrecy import CANARY, assert_hidden

NAME = "sparrow-9c1e"  # is no secret, and is not quoted either
PASSWORD = Password("user", "pencil")
TOKEN = OAuthToken("user", "token")

# The best first.
PLUS = ["SCRAM-SHA-512-PLUS", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS"]
SCRAM = ["SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1"]
ALL = [*PLUS, *SCRAM, "OAUTHBEARER", "XOAUTH2", "EXTERNAL", "PLAIN", "LOGIN", "ANONYMOUS", "CRAM-MD5"]

BINDING_NAMES: tuple[BindingType, ...] = ("tls-exporter", "tls-unique", "tls-server-end-point")
BINDINGS: Mapping[BindingType, ChannelBinding] = {name: ChannelBinding(name, name.encode()) for name in BINDING_NAMES}
EXPORTER: Mapping[BindingType, ChannelBinding] = {"tls-exporter": BINDINGS["tls-exporter"]}


def situation(
    offered: Collection[str] = ALL,
    *,
    is_confidential: bool = True,
    channel_bindings: Mapping[BindingType, ChannelBinding] = BINDINGS,
) -> Situation:
    return Situation(offered, is_confidential, channel_bindings, "mail.example.org", 465)


def chosen(
    credentials: Credentials = PASSWORD,
    *,
    mechanisms: Sequence[str] | None = None,
    offered: Collection[str] = ALL,
    is_confidential: bool = True,
    channel_bindings: Mapping[BindingType, ChannelBinding] = BINDINGS,
) -> list[str]:
    where = situation(offered, is_confidential=is_confidential, channel_bindings=channel_bindings)
    return list(candidates(credentials, where, Preferences(mechanisms=mechanisms)))


async def provide(_failure: object) -> str:
    return "token"


def own() -> Mechanism:
    return Plain(PASSWORD)


# What is chosen among


def test_all_that_is_chosen_among_stands_in_its_order() -> None:
    assert [option.name for option in MECHANISMS] == ALL


def test_each_option_says_what_its_mechanism_is() -> None:
    exposing = ["OAUTHBEARER", "XOAUTH2", "PLAIN", "LOGIN", "CRAM-MD5"]
    assert [option.name for option in MECHANISMS if option.exposes_password] == exposing
    assert [option.name for option in MECHANISMS if not option.is_automatic] == ["CRAM-MD5"]
    presented: dict[type, Credentials] = {Password: PASSWORD, OAuthToken: TOKEN, External: External()}
    for option in MECHANISMS:
        made = make_mechanism(option.name, presented.get(option.takes, Anonymous()), situation(), Preferences())
        assert made.name == option.name
        assert made.exposes_password == option.exposes_password


# Candidates


@pytest.mark.parametrize(
    ("credentials", "names"),
    [
        (PASSWORD, [*PLUS, *SCRAM, "PLAIN", "LOGIN"]),
        (TOKEN, ["OAUTHBEARER", "XOAUTH2"]),
        (OAuthToken("user", provide), ["OAUTHBEARER", "XOAUTH2"]),
        (External(), ["EXTERNAL"]),
        (Anonymous(), ["ANONYMOUS"]),
        (own, []),
    ],
)
def test_of_all_that_is_offered_what_presents_the_credentials_is_used_the_best_first(
    credentials: Credentials, names: list[str]
) -> None:
    for offered in (ALL, ALL[::-1], frozenset(ALL), dict.fromkeys(ALL)):
        assert chosen(credentials, offered=offered) == names


@pytest.mark.parametrize(
    ("offered", "names"),
    [
        (["PLAIN"], ["PLAIN"]),
        (["LOGIN", "PLAIN"], ["PLAIN", "LOGIN"]),
        (["PLAIN", "SCRAM-SHA-1"], ["SCRAM-SHA-1", "PLAIN"]),
        (["SCRAM-SHA-1-PLUS", "SCRAM-SHA-512"], ["SCRAM-SHA-1-PLUS", "SCRAM-SHA-512"]),
        (["PLAIN", "PLAIN"], ["PLAIN"]),
        (["CRAM-MD5"], []),
        (["DIGEST-MD5", "NTLM", "GSSAPI", "X-ODD", "SCRAM-SHA-224", "SCRAM-SHA-512-PLUS-X", "-PLUS", ""], []),
        (["PLAIN-CLIENTTOKEN", "PLAIN LOGIN", "plain"], []),
        ([], []),
    ],
)
def test_nothing_is_used_that_the_server_does_not_offer(offered: list[str], names: list[str]) -> None:
    assert chosen(offered=offered) == names


@pytest.mark.parametrize(
    ("credentials", "names"),
    [(PASSWORD, [*PLUS, *SCRAM]), (TOKEN, []), (External(), ["EXTERNAL"]), (Anonymous(), ["ANONYMOUS"])],
)
def test_where_somebody_may_listen_nothing_is_used_that_gives_the_credentials_away(
    credentials: Credentials, names: list[str]
) -> None:
    assert chosen(credentials, is_confidential=False) == names
    assert chosen(credentials, is_confidential=False, mechanisms=ALL) == names


def test_without_something_to_bind_to_no_plus_form_is_used() -> None:
    assert chosen(channel_bindings={}) == [*SCRAM, "PLAIN", "LOGIN"]
    assert chosen(channel_bindings={}, mechanisms=ALL) == [*SCRAM, "PLAIN", "LOGIN", "CRAM-MD5"]
    assert chosen(channel_bindings={}, offered=PLUS) == []


def test_what_the_caller_does_not_bind_to_lets_no_plus_form_be_used() -> None:
    preferences = Preferences(channel_bindings=("tls-unique",))
    assert candidates(PASSWORD, situation(PLUS, channel_bindings=EXPORTER), preferences) == ()
    assert candidates(PASSWORD, situation(PLUS), preferences) == tuple(PLUS)


@pytest.mark.parametrize(
    ("pinned", "names"),
    [
        (["LOGIN"], ["LOGIN"]),
        (["LOGIN", "PLAIN"], ["LOGIN", "PLAIN"]),
        (["PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-512-PLUS"], ["PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-512-PLUS"]),
        (["login", "Scram-Sha-256"], ["LOGIN", "SCRAM-SHA-256"]),
        (("PLAIN",), ["PLAIN"]),
        (["CRAM-MD5"], ["CRAM-MD5"]),
        (["cram-md5", "PLAIN"], ["CRAM-MD5", "PLAIN"]),
        (["XOAUTH2", "EXTERNAL", "ANONYMOUS"], []),
        (["DIGEST-MD5", "APOP", "", "PLAIN"], ["PLAIN"]),
        ([], []),
    ],
)
def test_where_the_caller_names_mechanisms_only_these_are_used_in_this_order(
    pinned: Sequence[str], names: list[str]
) -> None:
    assert chosen(mechanisms=pinned) == names


def test_what_the_caller_names_must_be_offered_all_the_same() -> None:
    assert chosen(mechanisms=["CRAM-MD5", "LOGIN"], offered=["LOGIN"]) == ["LOGIN"]


def test_cram_md5_is_used_only_where_it_is_named() -> None:
    assert "CRAM-MD5" not in chosen()
    assert chosen(offered=["CRAM-MD5"]) == []
    assert chosen(offered=["CRAM-MD5"], mechanisms=["CRAM-MD5"]) == ["CRAM-MD5"]
    assert chosen(offered=["CRAM-MD5"], mechanisms=["CRAM-MD5"], is_confidential=False) == []


def test_a_protocol_may_have_more_to_choose_from_than_sasl() -> None:
    options = (
        *MECHANISMS,
        Option("USER", Password, exposes_password=True),
        Option("APOP", Password, exposes_password=True, is_automatic=False),
    )
    where = situation([*ALL, "USER", "APOP"])
    names = [*PLUS, *SCRAM, "PLAIN", "LOGIN", "USER"]
    assert candidates(PASSWORD, where, Preferences(), options) == tuple(names)
    assert candidates(PASSWORD, where, Preferences(mechanisms=["APOP", "user"]), options) == ("APOP", "USER")
    assert candidates(PASSWORD, where, Preferences(mechanisms=["APOP", "USER"])) == ()
    assert candidates(External(), where, Preferences(mechanisms=["APOP"]), options) == ()


@given(
    st.sampled_from([PASSWORD, TOKEN, External(), Anonymous(), own]),
    st.sets(st.sampled_from([*ALL, "X-ODD"])),
    st.booleans(),
    st.sets(st.sampled_from(BINDING_NAMES)),
    st.none() | st.lists(st.sampled_from([*ALL, "X-ODD"]), max_size=6, unique=True),
)
def test_whatever_is_offered_a_candidate_is_safe_and_can_be_made(
    credentials: Credentials,
    offered: set[str],
    is_confidential: bool,
    bindings: set[BindingType],
    pinned: list[str] | None,
) -> None:
    there = {name: BINDINGS[name] for name in bindings}
    where = situation(offered, is_confidential=is_confidential, channel_bindings=there)
    preferences = Preferences(mechanisms=pinned)
    names = candidates(credentials, where, preferences)
    order = ALL if pinned is None else pinned
    assert list(names) == sorted(names, key=order.index)
    for name in names:
        mechanism = make_mechanism(name, credentials, where, preferences)
        assert mechanism.name == name
        assert name in offered
        assert is_confidential or not mechanism.exposes_password
        assert pinned is not None or name != "CRAM-MD5"


# The remembered mechanism


def test_a_mechanism_is_weaker_than_those_before_it_and_no_weaker_than_itself() -> None:
    for (first, name), (second, remembered) in itertools.product(enumerate(ALL), repeat=2):
        assert is_weaker(name, remembered) is (first > second)
        assert is_weaker(name, remembered.lower()) is (first > second)


def test_next_to_a_remembered_mechanism_that_nobody_knows_every_other_is_weaker() -> None:
    assert all(is_weaker(name, "GSSAPI") for name in ALL)


def test_a_mechanism_that_nobody_knows_is_as_good_as_itself_alone() -> None:
    assert not is_weaker("GSSAPI", "gssapi")
    assert is_weaker("GSSAPI", "X-WHISPER")
    assert all(is_weaker("GSSAPI", name) for name in ALL)


def test_strength_is_judged_among_all_that_a_protocol_has() -> None:
    options = (*MECHANISMS, Option("APOP", Password, exposes_password=True))
    assert is_weaker("APOP", "CRAM-MD5", options)
    assert not is_weaker("CRAM-MD5", "APOP", options)
    assert is_weaker("CRAM-MD5", "APOP")


def test_the_choice_itself_does_not_look_at_what_is_remembered() -> None:
    preferences = Preferences(remembered="SCRAM-SHA-512")
    assert candidates(PASSWORD, situation(["PLAIN"]), preferences) == ("PLAIN",)


# What there is to bind to


@pytest.mark.parametrize(
    ("wanted", "there", "found"),
    [
        (BINDING_NAMES, BINDING_NAMES, "tls-exporter"),
        (BINDING_NAMES, BINDING_NAMES[::-1], "tls-exporter"),
        (BINDING_NAMES, ("tls-server-end-point", "tls-unique"), "tls-unique"),
        (BINDING_NAMES, ("tls-server-end-point",), "tls-server-end-point"),
        (("tls-server-end-point", "tls-exporter"), BINDING_NAMES, "tls-server-end-point"),
        (("tls-unique",), ("tls-exporter", "tls-server-end-point"), None),
        ((), BINDING_NAMES, None),
        (BINDING_NAMES, (), None),
    ],
)
def test_it_is_bound_to_the_first_that_the_caller_wants_and_the_session_has(
    wanted: tuple[BindingType, ...], there: tuple[BindingType, ...], found: BindingType | None
) -> None:
    where = situation(channel_bindings={name: BINDINGS[name] for name in there})
    assert where.binding(Preferences(channel_bindings=wanted)) == (None if found is None else BINDINGS[found])


def test_by_default_the_binding_of_the_session_goes_before_that_of_the_certificate() -> None:
    assert Preferences().channel_bindings == BINDING_NAMES


# The mechanism


def server_for(
    hash_name: str, *, offers_plus: bool = False, bindings: Mapping[str, bytes] = MappingProxyType({})
) -> ScramServer:
    account = Account.of(hash_name.replace("SHA-", "sha"), "pencil")
    return ScramServer({"user": account}, offers_plus=offers_plus, bindings=dict(bindings))


def log_in(mechanism: Mechanism, server: ScramServer) -> None:
    first = server.hear_first(mechanism.initial_response() or b"", is_plus=mechanism.name.endswith("-PLUS"))
    final = mechanism.respond(first)
    assert isinstance(final, bytes)
    assert mechanism.respond(server.hear_final(final)) == b""
    assert mechanism.is_complete


@pytest.mark.parametrize("name", [*PLUS, *SCRAM])
def test_every_scram_logs_in_with_its_hash(name: str) -> None:
    mechanism = make_mechanism(name, PASSWORD, situation(), Preferences())
    assert isinstance(mechanism, Scram)
    hash_name = name.removeprefix("SCRAM-").removesuffix("-PLUS")
    log_in(mechanism, server_for(hash_name, offers_plus=True, bindings={"tls-exporter": b"tls-exporter"}))


@pytest.mark.parametrize("binding", BINDING_NAMES)
def test_a_plus_form_binds_to_whichever_the_session_has(binding: BindingType) -> None:
    where = situation(PLUS, channel_bindings={binding: BINDINGS[binding]})
    mechanism = make_mechanism("SCRAM-SHA-256-PLUS", PASSWORD, where, Preferences())
    server = server_for("SHA-256", offers_plus=True, bindings={binding: binding.encode()})
    log_in(mechanism, server)
    assert server.flag == f"p={binding}"


# RFC 5802 6. Without a channel binding the client is one that does not support it, whatever is offered.
@pytest.mark.parametrize(
    ("name", "offered", "has_binding", "flag"),
    [
        ("SCRAM-SHA-256-PLUS", ["SCRAM-SHA-256-PLUS"], True, "p=tls-exporter"),
        ("SCRAM-SHA-256-PLUS", ["SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"], True, "p=tls-exporter"),
        ("SCRAM-SHA-256", ["SCRAM-SHA-256"], True, "y"),
        ("SCRAM-SHA-256", ["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN"], True, "y"),
        ("SCRAM-SHA-256", ["SCRAM-SHA-256"], False, "n"),
        ("SCRAM-SHA-256", ["SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"], True, "n"),
        ("SCRAM-SHA-256", ["SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"], False, "n"),
        # One that can bind with another hash can bind: "y" would have it break off.
        ("SCRAM-SHA-256", ["SCRAM-SHA-256", "SCRAM-SHA-1-PLUS"], True, "n"),
        ("SCRAM-SHA-256", ["SCRAM-SHA-256", "SCRAM-SHA-1-PLUS"], False, "n"),
    ],
)
def test_the_server_is_told_what_the_client_thinks_that_it_offers(
    name: str, offered: list[str], has_binding: bool, flag: str
) -> None:
    where = situation(offered, channel_bindings=EXPORTER if has_binding else {})
    mechanism = make_mechanism(name, PASSWORD, where, Preferences())
    assert mechanism.name == name
    first = mechanism.initial_response()
    assert first is not None
    assert first.startswith(f"{flag},,n=user,r=".encode())
    # The same once more, from a server that knows what it offers.
    offers_plus = any(other.endswith("-PLUS") for other in offered)
    log_in(mechanism, server_for("SHA-256", offers_plus=offers_plus, bindings={"tls-exporter": b"tls-exporter"}))


@pytest.mark.parametrize(
    ("unknown", "left"),
    [
        ("SCRAM-SHA-512-PLUS", ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"]),
        ("SCRAM-SHA-512", ["SCRAM-SHA-512-PLUS", "SCRAM-SHA-256", "X-ODD-PLUS", "PLAIN"]),
        ("X-NOBODY", ["SCRAM-SHA-512-PLUS", "SCRAM-SHA-512", "SCRAM-SHA-256", "X-ODD-PLUS", "PLAIN"]),
    ],
)
def test_with_a_plus_form_that_the_server_does_not_have_they_all_go(unknown: str, left: list[str]) -> None:
    where = situation(["SCRAM-SHA-512-PLUS", "SCRAM-SHA-512", "SCRAM-SHA-256", "X-ODD-PLUS", "PLAIN"])
    assert where.without(unknown) == situation(tuple(left))


def test_a_server_that_has_a_plus_form_breaks_off_where_somebody_has_said_that_it_has_none() -> None:
    where = situation().without("SCRAM-SHA-256-PLUS")
    mechanism = make_mechanism("SCRAM-SHA-256", PASSWORD, where, Preferences())
    with pytest.raises(Refusal, match=r"^server-does-support-channel-binding$"):
        log_in(mechanism, server_for("SHA-256", offers_plus=True, bindings={"tls-exporter": b"tls-exporter"}))
    log_in(make_mechanism("SCRAM-SHA-256", PASSWORD, where, Preferences()), server_for("SHA-256"))


def test_a_caller_who_binds_to_nothing_says_so() -> None:
    where = situation(["SCRAM-SHA-256"])
    first = make_mechanism("SCRAM-SHA-256", PASSWORD, where, Preferences(channel_bindings=())).initial_response()
    assert first is not None
    assert first.startswith(b"n,,")


def test_scram_keeps_to_the_iterations_that_the_caller_allows() -> None:
    preferences = Preferences(minimum_iterations=5000, maximum_iterations=6000)
    for count, problem in ((4999, "fewer than 5000"), (6001, "more than 6000")):
        mechanism = make_mechanism("SCRAM-SHA-1", PASSWORD, situation(), preferences)
        first = mechanism.initial_response() or b""
        nonce = first.rpartition(b"r=")[2].decode()
        with pytest.raises(MechanismFailed, match=problem):
            mechanism.respond(f"r={nonce}x,s=QUFB,i={count}".encode())


def test_scram_keeps_its_keys_in_the_callers_cache() -> None:
    cache = KeyCache()
    preferences = Preferences(key_cache=cache)
    log_in(make_mechanism("SCRAM-SHA-1", PASSWORD, situation(SCRAM), preferences), server_for("SHA-1"))
    assert len(cache) == 1


@pytest.mark.parametrize(
    ("name", "credentials", "kind", "message"),
    [
        ("PLAIN", Password("user", "pencil", "other"), Plain, b"other\0user\0pencil"),
        ("LOGIN", PASSWORD, Login, None),
        ("CRAM-MD5", PASSWORD, CramMD5, None),
        (
            "OAUTHBEARER",
            TOKEN,
            OAuthBearer,
            b"n,a=user,\1host=mail.example.org\1port=465\1auth=Bearer token\1\1",
        ),
        (
            "OAUTHBEARER",
            OAuthToken("user", "token", authzid="other"),
            OAuthBearer,
            b"n,a=other,\1host=mail.example.org\1port=465\1auth=Bearer token\1\1",
        ),
        ("XOAUTH2", TOKEN, XOAuth2, b"user=user\1auth=Bearer token\1\1"),
        ("EXTERNAL", External("other"), ExternalMechanism, b"other"),
        ("ANONYMOUS", Anonymous("trace"), AnonymousMechanism, b"trace"),
    ],
)
def test_the_mechanism_presents_the_credentials(
    name: str, credentials: Credentials, kind: type[Mechanism], message: bytes | None
) -> None:
    mechanism = make_mechanism(name, credentials, situation(), Preferences())
    assert type(mechanism) is kind
    assert mechanism.initial_response() == message


def test_what_was_connected_to_may_be_left_out() -> None:
    where = Situation(["OAUTHBEARER"], True, {})
    assert make_mechanism("OAUTHBEARER", TOKEN, where, Preferences()).initial_response() == (
        b"n,a=user,\1auth=Bearer token\1\1"
    )


def test_every_mechanism_is_new() -> None:
    made = [make_mechanism("PLAIN", PASSWORD, situation(), Preferences()) for _ in range(2)]
    assert made[0] is not made[1]


@pytest.mark.parametrize("name", [*ALL, "USER", "SCRAM-SHA-224", "plain", ""])
def test_a_mechanism_for_other_credentials_is_none(name: str) -> None:
    takes = {option.name: option.takes for option in MECHANISMS}
    presented: list[Credentials] = [Password(NAME, CANARY), OAuthToken(NAME, CANARY), External(), Anonymous(), own]
    for credentials in presented:
        if isinstance(credentials, takes.get(name, ())):
            continue
        with pytest.raises(ValueError, match=f"^{name} is no mechanism for {type(credentials).__name__}$") as refusal:
            make_mechanism(name, credentials, situation(), Preferences())
        assert_hidden(CANARY, refusal.value)


UNFIT: list[tuple[str, Credentials]] = [
    *((name, Password(NAME, CANARY + "\ue000")) for name in (*PLUS, *SCRAM)),
    *((name, Password("\0" + NAME, CANARY)) for name in (*PLUS, *SCRAM, "PLAIN", "CRAM-MD5")),
    *((name, Password("", CANARY)) for name in (*PLUS, *SCRAM, "PLAIN", "LOGIN", "CRAM-MD5")),
    *((name, Password(NAME, CANARY, NAME)) for name in ("LOGIN", "CRAM-MD5")),
    *((name, OAuthToken(NAME, CANARY + "\n")) for name in ("OAUTHBEARER", "XOAUTH2")),
    *((name, OAuthToken(NAME + "\1", CANARY)) for name in ("OAUTHBEARER", "XOAUTH2")),
    ("XOAUTH2", OAuthToken("", CANARY)),
    ("XOAUTH2", OAuthToken(NAME, CANARY, NAME)),
    ("EXTERNAL", External(NAME + "\0")),
    ("ANONYMOUS", Anonymous(NAME + "\n")),
]


@pytest.mark.parametrize(("name", "credentials"), UNFIT, ids=lambda value: value if isinstance(value, str) else "")
def test_credentials_that_a_mechanism_cannot_present_are_refused_and_not_quoted(
    name: str, credentials: Credentials
) -> None:
    with pytest.raises(ValueError, match=r".") as refusal:
        make_mechanism(name, credentials, situation(), Preferences())
    assert NAME not in str(refusal.value)
    assert_hidden(CANARY, refusal.value)


def test_xoauth2_says_why_it_presents_no_authzid() -> None:
    with pytest.raises(ValueError, match=r"^XOAUTH2 has no place for an authzid$"):
        make_mechanism("XOAUTH2", OAuthToken("user", "token", authzid="other"), situation(), Preferences())


def test_the_provider_of_a_token_is_asked_before() -> None:
    for name in ("OAUTHBEARER", "XOAUTH2"):
        with pytest.raises(AssertionError, match="the provider of a token is asked before a mechanism is made"):
            make_mechanism(name, OAuthToken("user", provide), situation(), Preferences())


# Preferences


def test_without_preferences_the_choice_is_ours() -> None:
    preferences = Preferences()
    assert (preferences.mechanisms, preferences.remembered, preferences.key_cache) == (None, None, None)
    assert preferences.minimum_iterations == MINIMUM_ITERATIONS == 4096
    assert preferences.maximum_iterations == MAXIMUM_ITERATIONS == 1_000_000


def test_the_names_of_mechanisms_are_kept_in_upper_case() -> None:
    names = ["plain", "Scram-SHA-1"]
    preferences = Preferences(mechanisms=names)
    names.clear()
    assert preferences.mechanisms == ("PLAIN", "SCRAM-SHA-1")


@pytest.mark.parametrize("text", ["PLAIN", "PLAIN LOGIN", ""])
def test_a_text_is_no_list_of_names(text: str) -> None:
    with pytest.raises(ValueError, match=f"expected the names of mechanisms, got the text '{text}'"):
        Preferences(mechanisms=text)


def test_a_text_is_no_list_of_bindings() -> None:
    with pytest.raises(ValueError, match=r"^expected the names of channel bindings, got the text 'tls-unique'$"):
        Preferences(channel_bindings="tls-unique")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("mechanisms", 42, "mechanisms to be a sequence of names, got 42 (int)"),
        ("mechanisms", {"PLAIN"}, "mechanisms to be a sequence of names, got {'PLAIN'} (set)"),
        ("mechanisms", ["PLAIN", None], "a name in mechanisms to be text, got None (NoneType)"),
        ("remembered", b"PLAIN", "remembered to be text or None, got b'PLAIN' (bytes)"),
        ("minimum_iterations", 4096.0, "minimum_iterations to be a whole number, got 4096.0 (float)"),
        ("maximum_iterations", "10000", "maximum_iterations to be a whole number, got '10000' (str)"),
        ("maximum_iterations", None, "maximum_iterations to be a whole number, got None (NoneType)"),
        ("key_cache", {}, "key_cache to be a KeyCache or None, got {} (dict)"),
        ("channel_bindings", None, "channel_bindings to be a sequence of names, got None (NoneType)"),
        ("channel_bindings", [42], "a name in channel_bindings to be text, got 42 (int)"),
    ],
)
def test_what_is_of_another_kind_is_no_preference(name: str, value: Any, told: str) -> None:
    with pytest.raises(ValueError) as caught:
        Preferences(**{name: value})
    assert str(caught.value) == f"expected {told}"


# With more than can be computed, no SCRAM could be made, and the next best is PLAIN.
@pytest.mark.parametrize(("least", "most"), [(0, 4096), (-1, 1), (4097, 4096), (1, 0), (1, 2**31), (1, 10**10)])
def test_limits_that_allow_no_count_are_refused(least: int, most: int) -> None:
    with pytest.raises(ValueError, match=f"maximum_iterations <= 2147483647, got {least} and {most}$"):
        Preferences(minimum_iterations=least, maximum_iterations=most)


def test_whatever_limit_is_a_preference_is_one_of_scrams() -> None:
    preferences = Preferences(maximum_iterations=2**31 - 1)
    assert isinstance(make_mechanism("SCRAM-SHA-256", PASSWORD, situation(), preferences), Scram)


@pytest.mark.parametrize("name", ["tls_exporter", "TLS-EXPORTER", "tls-server-endpoint", ""])
def test_a_binding_that_nobody_knows_is_refused(name: Any) -> None:
    # With none that is known, SCRAM would not be bound at all.
    known = "tls-server-end-point, tls-unique, tls-exporter"
    with pytest.raises(ValueError, match=f"^expected channel_bindings of {known}, got {name!r}$"):
        Preferences(channel_bindings=["tls-unique", name])


def test_preferences_that_were_given_lists_can_be_hashed() -> None:
    names: list[BindingType] = ["tls-unique"]
    preferences = Preferences(mechanisms=["PLAIN"], channel_bindings=names)
    names.clear()
    assert preferences.channel_bindings == ("tls-unique",)
    assert hash(preferences) == hash(Preferences(mechanisms=("PLAIN",), channel_bindings=("tls-unique",)))


def test_limits_may_allow_one_count_alone() -> None:
    preferences = Preferences(minimum_iterations=1, maximum_iterations=1)
    assert (preferences.minimum_iterations, preferences.maximum_iterations) == (1, 1)


def test_options_preferences_and_situations_are_values() -> None:
    assert Option("A", Password, True) == Option("A", Password, True, True) != Option("A", Password, False)
    assert Preferences(mechanisms=["PLAIN"]) == Preferences(mechanisms=("plain",)) != Preferences()
    assert situation() == situation() != situation(["PLAIN"])
    changes: list[Callable[[], None]] = [
        lambda: Preferences().__setattr__("remembered", "PLAIN"),
        lambda: situation().__setattr__("is_confidential", True),
        lambda: MECHANISMS[0].__setattr__("exposes_password", True),
    ]
    for change in changes:
        with pytest.raises(AttributeError):
            change()


def test_a_situation_never_shows_what_there_is_to_bind_to() -> None:
    data = base64.b64decode("Y2FuYXJ5LTdmM2EtQ29ycmVjdCtIb3JzZQ==")
    where = situation(channel_bindings={"tls-unique": ChannelBinding("tls-unique", data)})
    assert_hidden(CANARY, where)
