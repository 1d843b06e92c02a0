import re
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from mailwire import Anonymous, Endpoint, External, OAuthToken, Password
from mailwire.aio.pop3_settings import POP3Settings
from mailwire.maildrop import Account, Policy, Run, name_account, retrieve_all, watch
from tests.maildrop.runs import MemorySink
from tests.sasl.secrecy import is_ours_to_answer_for

ENDPOINT = Endpoint("Pop.example.org", protocol="pop3", auth=Password("b", "x"))


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("pop3s://b:x@Pop.Example.org", "b@pop.example.org"),
        ("pop3s://b:x@pop.example.org:110", "b@pop.example.org"),
        ("pop3s://b:x@pop.example.org.", "b@pop.example.org"),
        ("pop3s://b:x@pop.example.org.:1995", "b@pop.example.org:1995"),
        ("pop3+starttls://b:x@pop.example.org", "b@pop.example.org"),
        ("pop3s://b%40example.org:x@pop.example.org:1995", "b@example.org@pop.example.org:1995"),
        ("pop3+unix://b:x@/run/one%ff", "b@localhost:/run/one%FF"),
        ("pop3+unix://b:x@Pop.example.org/run/two", "b@pop.example.org"),
    ],
)
def test_an_account_is_named_by_its_user_and_its_server(url: str, name: str) -> None:
    assert name_account(Endpoint.parse(url)) == name


def test_two_sockets_of_a_machine_are_two_accounts(tmp_path: Path) -> None:
    names = {name_account(Endpoint.parse(f"pop3+unix://b:x@{tmp_path}/{socket}")) for socket in "ab"}
    assert len(names) == 2


@pytest.mark.parametrize("name", ["a\ud800", "\udfffb"])
def test_the_name_of_an_account_is_text(name: str) -> None:
    with pytest.raises(ValueError, match=f"^expected a name that UTF-8 can express, got {re.escape(repr(name))}$"):
        Account(ENDPOINT, MemorySink(), name=name)
    assert Account(ENDPOINT, MemorySink(), name="a\ud7ff\ue000").name == "a\ud7ff\ue000"


def test_an_account_wants_a_place_for_its_mail() -> None:
    told = r"^expected a sink .*, got 'Mail': a path is given as Maildir\(path\) or MboxSink\(path\)$"
    with pytest.raises(ValueError, match=told):
        Account(ENDPOINT, "Mail")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("auth", "user"),
    [
        (Password("b", "x"), "b"),
        (Password("b", "x", authzid="c"), "c"),
        (OAuthToken("b", "t"), "b"),
        (External("c"), "c"),
    ],
)
def test_an_account_is_that_of_whom_the_session_acts_for(auth: Any, user: str) -> None:
    assert name_account(ENDPOINT.replace(auth=auth)) == f"{user}@pop.example.org"


@pytest.mark.parametrize("auth", [None, Anonymous(), External()])
def test_credentials_that_tell_no_user_name_no_account(auth: Any) -> None:
    endpoint = ENDPOINT.replace(auth=auth)
    told = f"the credentials for {endpoint} tell no user: the account needs a name for the ledger"
    with pytest.raises(ValueError, match=f"^{re.escape(told)}$"):
        name_account(endpoint)
    with pytest.raises(ValueError, match="tell no user"):
        Account(endpoint, MemorySink())
    assert Account(endpoint, MemorySink(), name="work").name == "work"


def test_an_account_has_what_it_was_given() -> None:
    sink, policy, settings = MemorySink(), Policy(limit=1), POP3Settings(utf8=True)
    account = Account(ENDPOINT, sink, policy=policy, settings=settings)
    assert (account.endpoint, account.into, account.name) == (ENDPOINT, sink, "b@pop.example.org")
    assert account.policy is policy
    assert account.settings is settings

    bare = Account("pop3s://b:x@pop.example.org", sink, name="work")
    assert bare.endpoint == Endpoint.parse("pop3s://b:x@pop.example.org")
    assert (bare.policy, bare.settings, bare.name) == (Policy(), POP3Settings(), "work")


def test_a_policy_is_one() -> None:
    with pytest.raises(ValueError, match=r"^expected policy to be a Policy, got 'all' \(str\)$"):
        Account(ENDPOINT, MemorySink(), policy="all")  # type: ignore[arg-type]


def test_an_account_shows_no_secret() -> None:
    account = Account("pop3s://b:secret@pop.example.org", MemorySink())
    assert repr(account) == f"<Account 'b@pop.example.org' at {account.endpoint}>"
    assert "secret" not in repr(account)


def shown_by(error: BaseException) -> str:
    """Return what a traceback may show of the frames of ours behind an error."""
    summary = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "".join(f"{frame.locals}" for frame in summary.stack if is_ours_to_answer_for(frame.filename))


@pytest.mark.parametrize(
    ("url", "rest"), [("smtps://b:secret@x", {}), ("pop3s://b:secret@x", {"policy": 3}), ("pop3s://secret@x", {})]
)
def test_a_traceback_can_show_an_account_that_was_refused(url: str, rest: dict[str, Any]) -> None:
    with pytest.raises(ValueError) as caught:
        Account(url, "Mail", **rest)  # type: ignore[arg-type]
    shown = shown_by(caught.value)
    assert "'self': '<Account that was refused>'" in shown
    assert "b:secret" not in shown


URL = "pop3s://b:secret@pop.example.org"


async def listened(reports: Any) -> None:
    async for _ in reports:
        pass


async def begin_a_run(given: Iterable[Any]) -> None:
    for account in given:
        Run(account)


@pytest.mark.parametrize(
    "begin", [lambda given: listened(retrieve_all(given)), lambda given: listened(watch(given)), begin_a_run]
)
@pytest.mark.parametrize("others", [[], [Account(ENDPOINT, MemorySink())]])
async def test_what_is_no_account_is_refused_and_never_shown(
    begin: Callable[[Iterable[Any]], Any], others: list[Account]
) -> None:
    with pytest.raises(ValueError, match=r"^expected an Account, got a value of the type str$") as caught:
        await begin([*others, URL])
    assert "secret" not in shown_by(caught.value)


@pytest.mark.parametrize("begin", [retrieve_all, watch])
async def test_a_url_in_place_of_accounts_is_none_and_never_shown(begin: Callable[[Any], Any]) -> None:
    with pytest.raises(ValueError, match=r"^expected an Account, got a value of the type str$") as caught:
        await listened(begin(URL))
    assert "secret" not in shown_by(caught.value)
