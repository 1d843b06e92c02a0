"""`mailwire check`, against the loopback server."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mailwire import TLSInfo
from mailwire._wire.trace import Spoken
from mailwire.cli.check import render
from mailwire.cli.inspection import Announcement, Inspection, read
from mailwire.cli.verdict import Judgement, judge
from mailwire.error_record import error_from_dict
from mailwire.errors import TLSFailed
from mailwire.testing import MECHANISMS, QUIRKS, Account, MailServer, Policy, authority_file, server_context
from mailwire.transcript import Transcript
from tests.cli.program import mailwire

ACCOUNTS = [Account("b", "secret", ("b@example.org",))]
PASSWORD = {"MAILWIRE_PASSWORD": "secret"}
TRUST = ("--ca-file", authority_file())


def labels(report: str) -> dict[str, str]:
    """The first line of each entry of a report by its label."""
    return {line[:13].strip(): line[14:] for line in report.splitlines() if line[:13].strip() and line[13:14] == " "}


async def test_a_server_is_shown_before_and_after_tls() -> None:
    async with MailServer(ACCOUNTS, tls_context=server_context(), policy=Policy(mechanisms=MECHANISMS)) as server:
        url = f"smtp+starttls://b@localhost:{server.smtp_port}"
        ended = await mailwire("check", url, *TRUST, environment=PASSWORD)

    shown = labels(ended.out)
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.splitlines()[0] == f"smtp+starttls://localhost:{server.smtp_port}"
    assert shown["greeting"] == "220 localhost ESMTP mailwire.testing"
    assert shown["in the clear"].startswith("PIPELINING, SIZE")
    assert shown["under TLS"].startswith("PIPELINING, SIZE")
    assert shown["login"].startswith("by SCRAM-SHA-512")
    assert shown["TLS"].startswith("TLSv1.3, TLS_")
    assert re.match(r"valid for \d+ days, to 2125-01-01; SHA-256", shown["certificate"])
    assert re.match(r"\d+, the shortest of \d+\.\d ms; \d+\.\d ms for all", shown["round trips"])
    assert "it takes passwords before TLS" in ended.out
    assert server.messages("b") == ()


async def test_a_maildrop_is_shown_after_the_login() -> None:
    async with MailServer(ACCOUNTS, tls_context=server_context(), implicit_tls=True, quirk=QUIRKS["gmail"]) as server:
        url = f"pop3s://b@localhost:{server.pop3_port}"
        ended = await mailwire("check", url, *TRUST, environment=PASSWORD)

    assert ended.status == 0
    shown = labels(ended.out)
    assert "in the clear" not in shown
    assert "EXPIRE 0: what is retrieved may be gone at once" in ended.out
    assert "LOGIN-DELAY 300" in ended.out


async def test_what_was_seen_can_be_had_as_json() -> None:
    async with MailServer(ACCOUNTS, tls_context=server_context(), implicit_tls=True) as server:
        ended = await mailwire("check", f"smtps://localhost:{server.smtp_port}", "--json", *TRUST)

    values = json.loads(ended.out)
    assert values["tls"]["version"] == "TLSv1.3"
    assert values["announcements"][0]["phase"] == "under TLS"
    assert values["mechanism"] is values["error"] is None
    assert {"weak", "note", "good"} >= {judgement["kind"] for judgement in values["judgements"]}
    assert len(values["round_trips"]) >= 4


async def test_a_failure_is_in_the_json_too() -> None:
    async with MailServer(ACCOUNTS, tls_context=server_context()) as server:
        ended = await mailwire("check", f"smtp+starttls://localhost:{server.smtp_port}", "--json", "--quiet")
    nobody = await mailwire("check", "smtps://localhost:1", "--json")

    values = json.loads(ended.out)
    assert ended.status == 76
    assert values["greeting"] == "220 localhost ESMTP mailwire.testing"
    assert values["judgements"] == []
    error = error_from_dict(values["error"])
    assert isinstance(error, TLSFailed)
    assert ended.err == f"mailwire: {error}\n"
    values = json.loads(nobody.out)
    assert (nobody.status, values["greeting"], values["error"]["kind"]) == (75, None, "ConnectionFailed")


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "LOGIN", "PLAIN"])
async def test_what_is_offered_behind_a_login_in_many_steps_is_told_as_such(mechanism: str) -> None:
    tls, policy = server_context(), Policy(mechanisms=(mechanism,))
    async with MailServer(ACCOUNTS, tls_context=tls, implicit_tls=True, policy=policy) as server:
        url = f"pop3s://b@localhost:{server.pop3_port}"
        ended = await mailwire("check", url, "--json", *TRUST, environment=PASSWORD)
        bare = await mailwire(
            "check", f"smtps://b@localhost:{server.smtp_port}", "--json", *TRUST, environment=PASSWORD
        )

    assert [each["phase"] for each in json.loads(ended.out)["announcements"]] == ["under TLS", "logged in"]
    assert [each["phase"] for each in json.loads(bare.out)["announcements"]] == ["under TLS"]


def phases(*dialogue: str) -> list[str]:
    """In which phases a server has said what it can do, over TLS from the first octet."""
    transcript = Transcript()
    for line in dialogue:
        transcript.record("C" if line.startswith("C") else "S", Spoken(line[3:]))
    inspection = read(
        transcript, server="x", protocol="pop3", is_implicit=True, is_local=False, tls=TLS, mechanism=None
    )
    return [announcement.phase for announcement in inspection.announcements]


def test_a_login_is_what_the_server_says_behind_its_last_challenge() -> None:
    begin = ("S: +OK hi", "C: AUTH LOGIN", "S: +", "C: ****", "S: + ****", "C: ****")
    capabilities = ("C: CAPA", "S: +OK")
    assert phases(*begin, "S: +OK you are in", *capabilities) == ["logged in"]
    assert phases(*begin, "S: -ERR no", *capabilities) == ["under TLS"]
    assert phases("S: +OK hi", "C: USER b", "S: +OK", *capabilities, "C: PASS ****", "S: +OK") == ["under TLS"]


async def test_what_tls_was_is_told_where_the_login_fails() -> None:
    async with MailServer(ACCOUNTS, tls_context=server_context(), implicit_tls=True) as server:
        url = f"smtps://b@localhost:{server.smtp_port}"
        ended = await mailwire("check", url, "--json", *TRUST, environment={"MAILWIRE_PASSWORD": "wrong"})
        shown = await mailwire("check", url, *TRUST, environment={"MAILWIRE_PASSWORD": "wrong"})

    values = json.loads(ended.out)
    assert (ended.status, values["error"]["kind"]) == (77, "AuthenticationFailed")
    assert values["tls"]["version"] == "TLSv1.3"
    assert labels(shown.out)["TLS"].startswith("TLSv1.3, TLS_")


async def test_an_lmtp_server_is_shown() -> None:
    async with MailServer(ACCOUNTS) as server:
        ended = await mailwire("check", f"lmtp://localhost:{server.lmtp_port}")

    assert (ended.status, ended.err) == (0, "")
    assert labels(ended.out)["in the clear"].startswith("PIPELINING")
    assert "LHLO" not in ended.out


async def test_a_server_without_tls_is_weak_and_quiet_is_quiet() -> None:
    async with MailServer(ACCOUNTS) as server:
        ended = await mailwire("check", f"pop3://localhost:{server.pop3_port}")
        quiet = await mailwire("check", f"pop3://localhost:{server.pop3_port}", "-q", "--transcript")

    assert "weak          everybody on the way can read" in ended.out
    assert "--json" not in ended.out
    assert quiet.out == ""
    assert "C: CAPA" in quiet.err


async def test_a_certificate_that_nobody_knows_is_told(tmp_path: Path) -> None:
    async with MailServer(ACCOUNTS, tls_context=server_context()) as server:
        ended = await mailwire("check", f"smtp+starttls://localhost:{server.smtp_port}")
        asked = await mailwire("check", f"smtp+starttls://localhost:{server.smtp_port}", "-q")

    # What was seen before that, is told all the same.
    assert ended.status == asked.status == 76
    assert labels(ended.out)["greeting"].startswith("220 localhost")
    assert asked.out == ""
    assert "certificate" in ended.err


async def test_nobody_there_is_told() -> None:
    ended = await mailwire("check", "smtps://localhost:1")
    assert (ended.status, ended.out) == (75, "")
    assert "no connection" in ended.err


# The verdict

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TLS = TLSInfo("TLSv1.3", "TLS_AES_256_GCM_SHA384", b"", True, NOW + timedelta(days=80))


def seen(
    *announcements: Announcement,
    protocol: str = "smtp",
    tls: TLSInfo | None = TLS,
    is_local: bool = False,
    mechanism: str | None = None,
) -> Inspection:
    return Inspection("x", protocol, True, is_local, "220 x", announcements, tls, mechanism, (), 0.1)


def kinds(inspection: Inspection) -> dict[str, str]:
    """The kind of each judgement by the first words of it."""
    return {judgement.text: judgement.kind for judgement in judge(inspection, NOW)}


def said(inspection: Inspection, kind: str) -> str:
    return "; ".join(text for text, each in kinds(inspection).items() if each == kind)


GOOD = Announcement("under TLS", ("PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 0", "AUTH SCRAM-SHA-256-PLUS PLAIN"))


def test_a_good_server_has_no_weakness() -> None:
    assert set(kinds(seen(GOOD)).values()) == {"good"}


@pytest.mark.parametrize(("days", "kind"), [(20, "weak"), (21, "good"), (-3, "weak")])
def test_a_certificate_near_its_end_is_a_weakness(days: int, kind: str) -> None:
    tls = TLSInfo("TLSv1.3", "x", b"", True, NOW + timedelta(days=days, hours=1))
    assert f"valid for {days} more days" in said(seen(GOOD, tls=tls), kind)


def test_what_was_not_checked_or_is_old_is_told() -> None:
    told = seen(GOOD, tls=TLSInfo("TLSv1.2", "x", b"", False))
    assert "may be anybody's" in said(told, "weak")
    assert "TLSv1.2" in said(told, "note")
    assert "no TLS" in said(seen(GOOD, tls=None), "weak")
    assert "does not leave the machine" in said(seen(GOOD, tls=None, is_local=True), "good")
    assert said(seen(GOOD, tls=None, is_local=True), "weak") == ""


def test_logins_are_judged() -> None:
    clear = Announcement("in the clear", ("AUTH PLAIN LOGIN SCRAM-SHA-1",))
    assert "LOGIN, PLAIN offered in the clear" in said(seen(clear, GOOD), "weak")
    assert "LOGIN" not in said(seen(Announcement("in the clear", ("AUTH SCRAM-SHA-1",)), GOOD), "weak")
    plain = Announcement("under TLS", ("AUTH PLAIN CRAM-MD5",))
    assert "CRAM-MD5 should not" in said(seen(plain), "weak")
    assert "there is no SCRAM" in said(seen(plain), "note")
    assert "not bound" in said(seen(Announcement("under TLS", ("AUTH SCRAM-SHA-1",))), "note")
    assert "not bound" not in said(seen(Announcement("in the clear", ("AUTH SCRAM-SHA-1",)), tls=None), "note")


def test_what_is_missing_is_told() -> None:
    assert "no PIPELINING" in said(seen(Announcement("under TLS", ("AUTH PLAIN",))), "note")
    assert "no EHLO" in said(seen(), "note")
    assert "no LHLO" in said(seen(protocol="lmtp"), "note")
    assert "no CAPA" in said(seen(protocol="pop3"), "note")
    bare = seen(Announcement("logged in", ("USER",)), protocol="pop3", mechanism="USER")
    assert "no UIDL" in said(bare, "weak")
    assert "no PIPELINING" in said(bare, "note")
    assert bare.mechanisms(bare.offer) == ("USER",)


@pytest.mark.parametrize(
    ("keywords", "told"), [((), "UIDL, PIPELINING"), (("UIDL",), "PIPELINING"), (("PIPELINING",), "UIDL")]
)
def test_what_a_maildrop_may_announce_behind_the_login_is_no_weakness_before_it(
    keywords: tuple[str, ...], told: str
) -> None:
    inspection = seen(Announcement("under TLS", ("SASL SCRAM-SHA-256-PLUS", *keywords)), protocol="pop3")
    assert said(inspection, "weak") == ""
    assert said(inspection, "note") == f"not announced before the login: {told}; a look with credentials tells"


@pytest.mark.parametrize("mechanism", [None, "USER"])
async def test_a_server_that_shows_all_behind_the_login_is_not_weak_before_it(mechanism: str | None) -> None:
    async with MailServer(ACCOUNTS, quirk=QUIRKS["gmail"]) as server:
        url = f"pop3://{'b@' if mechanism else ''}localhost:{server.pop3_port}"
        ended = await mailwire("check", url, "--allow-cleartext-auth", environment=PASSWORD)

    assert ("not announced before the login: UIDL, PIPELINING" in ended.out) == (mechanism is None)
    assert "no UIDL" not in ended.out
    assert "no PIPELINING" not in ended.out


@pytest.mark.parametrize(
    ("keywords", "told"),
    [
        (("EXPIRE 0",), {"weak": "EXPIRE 0"}),
        (("EXPIRE 30 USER",), {"note": "EXPIRE 30"}),
        (("EXPIRE NEVER",), {}),
        (("EXPIRE",), {}),
        (("LOGIN-DELAY 60",), {"note": "LOGIN-DELAY 60"}),
    ],
)
def test_the_rules_of_a_maildrop_are_told(keywords: tuple[str, ...], told: dict[str, str]) -> None:
    offer = Announcement("under TLS", ("UIDL", "PIPELINING", "SASL SCRAM-SHA-256-PLUS", *keywords))
    inspection = seen(offer, protocol="pop3")
    assert {kind: text for kind in ("weak", "note") if (text := said(inspection, kind))}.keys() == told.keys()
    for kind, text in told.items():
        assert text in said(inspection, kind)


def test_a_report_is_as_wide_as_a_page() -> None:
    offer = Announcement("under TLS", tuple(f"KEYWORD{number} with parameters" for number in range(30)))
    report = render(seen(offer), [Judgement("weak", "x " * 200)], NOW)

    assert all(len(line) <= 100 for line in report.splitlines())
    assert "login" not in labels(report)
    unchecked = render(seen(tls=TLSInfo("TLSv1.2", "x", b"", False)), [], NOW)
    assert "certificate   not checked; SHA-256" in unchecked
    assert "TLS" not in labels(render(seen(tls=None), [], NOW))
