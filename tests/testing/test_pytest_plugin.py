"""The fixtures, as they are used in tests of somebody's mail code."""

import asyncio
import importlib
import poplib
import re
import smtplib
from pathlib import Path

import pytest

import mailwire
from mailwire.testing import MECHANISMS, Account, Cut, MailServer, Policy, client_context, server_context
from mailwire.testing.pytest_plugin import BeginPeer, BeginProxy
from tests.integration.conftest import demand_libraries

GUIDE = Path(__file__).parents[2] / "docs" / "howto" / "test-your-mail-code.md"
MESSAGE = b"Subject: x\r\n\r\nhello\r\n"


def test_a_program_that_blocks_sends_and_retrieves(mail_server: MailServer) -> None:
    with smtplib.SMTP(mail_server.host, mail_server.smtp_port) as smtp:
        smtp.sendmail("bob@example.org", ["alice@example.org"], MESSAGE)
    assert [message.content for message in mail_server.messages("alice")] == [MESSAGE]
    pop = poplib.POP3(mail_server.host, mail_server.pop3_port)
    pop.user("alice")
    pop.pass_("secret")
    assert pop.stat() == (1, len(MESSAGE))
    pop.quit()


async def test_a_coroutine_sends_and_retrieves(mail_server: MailServer) -> None:
    endpoint = mailwire.Endpoint(mail_server.host, mail_server.smtp_port, tls="none")
    await mailwire.send(MESSAGE, endpoint, sender="bob@example.org", recipients=["alice@example.org"])
    await mail_server.wait_idle()
    assert len(mail_server.messages("alice")) == 1


def test_a_program_under_trio_sends(mail_server: MailServer) -> None:
    demand_libraries("trio")
    trio = importlib.import_module("trio")

    async def greet() -> bytes:
        async with await trio.open_tcp_stream(mail_server.host, mail_server.smtp_port) as stream:
            greeting: bytes = await stream.receive_some(1000)
            await stream.send_all(b"QUIT\r\n")
            await stream.receive_some(1000)
        # Its own coroutine is for asyncio; a thread can have an event loop of that kind.
        await trio.to_thread.run_sync(asyncio.run, mail_server.wait_idle())
        return greeting

    assert trio.run(greet).startswith(b"220")
    assert mail_server.smtp_sessions[0].closing


@pytest.mark.mail_server([Account("carol", "c", ("carol@example.org",))], policy=Policy(mechanisms=MECHANISMS))
class TestSettings:
    def test_a_marker_makes_the_server(self, mail_server: MailServer) -> None:
        assert [account.user for account in mail_server.maildrop.accounts] == ["carol"]

    @pytest.mark.mail_server(tls_context=server_context())
    def test_the_nearest_marker_wins_setting_by_setting(self, mail_server: MailServer) -> None:
        with smtplib.SMTP("localhost", mail_server.smtp_port) as smtp:
            smtp.starttls(context=client_context())
            smtp.login("carol", "c")
            smtp.sendmail("a@example.org", ["carol@example.org"], MESSAGE)
        assert len(mail_server.messages("carol")) == 1
        assert mail_server.smtp_sessions[0].is_encrypted

    @pytest.mark.mail_server([Account("dan", "")])
    def test_the_nearest_accounts_win(self, mail_server: MailServer) -> None:
        assert [account.user for account in mail_server.maildrop.accounts] == ["dan"]


def test_a_peer_refuses_a_program_that_blocks(scripted_peer: BeginPeer) -> None:
    peer = scripted_peer("S: 554 no", "C: QUIT", "S: 221 bye", lenient=True)
    with pytest.raises(smtplib.SMTPConnectError):
        smtplib.SMTP("127.0.0.1", peer.port)


async def test_a_peer_refuses_a_coroutine(scripted_peer: BeginPeer) -> None:
    peer, other = scripted_peer("S: 554 no", lenient=True), scripted_peer("S: 421 no", lenient=True)
    for each in (peer, other):
        with pytest.raises(mailwire.ReplyError):
            await mailwire.SMTPClient(each.endpoint()).connect()


def test_a_connection_is_bad(mail_server: MailServer, fault_proxy: BeginProxy) -> None:
    proxy = fault_proxy(mail_server.smtp_port, [[Cut(0)], []], seed=1)
    with pytest.raises((OSError, smtplib.SMTPServerDisconnected)):
        smtplib.SMTP(proxy.host, proxy.port)
    with smtplib.SMTP(proxy.host, proxy.port) as smtp:
        assert smtp.noop()[0] == 250


def test_in_a_project_of_its_own(pytester: pytest.Pytester) -> None:
    pytester.makeconftest('pytest_plugins = ["mailwire.testing.pytest_plugin"]')
    pytester.makeini("[pytest]\naddopts = --strict-markers\nfilterwarnings = error\n")
    pytester.makepyfile(
        """
        import smtplib
        import pytest

        @pytest.mark.mail_server(lmtp_path=None)
        def test_passes(mail_server):
            with smtplib.SMTP(mail_server.host, mail_server.smtp_port) as smtp:
                smtp.noop()

        def test_is_told_of_what_no_step_foresees(scripted_peer):
            peer = scripted_peer("S: 220 hi", "C: ehlo ...", "S: 250 hi", "C: mail ...", "S: 250 ok")
            with smtplib.SMTP("127.0.0.1", peer.port) as smtp:
                smtp.ehlo()
                with pytest.raises(smtplib.SMTPServerDisconnected):
                    smtp.noop()

        def test_is_told_that_nobody_has_connected(scripted_peer):
            scripted_peer("S: 220 hi", "C: QUIT")

        def test_need_not_connect(scripted_peer):
            scripted_peer("S: 220 hi", "C: QUIT", optional=True)

        @pytest.mark.mail_server([], "gmail")
        def test_takes_what_has_a_name_by_its_name(mail_server):
            pass

        @pytest.mark.mail_server([], accounts=[])
        def test_takes_accounts_once(mail_server):
            pass
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:asyncio", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=4, errors=4)
    result.stdout.fnmatch_lines(["*expected the client to say 'mail ...', it said 'noop'*"])
    result.stdout.fnmatch_lines(["*nobody has connected to the peer; its script begins with 'S: 220 hi'*"])
    result.stdout.fnmatch_lines(["*the accounts once, and all else by its name; got ??, 'gmail'*"])
    result = pytester.runpytest_inprocess("-p", "no:asyncio", "-p", "no:cacheprovider", "--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.mail_server(accounts, ??settings): *"])


def test_under_the_plugin_of_anyio(pytester: pytest.Pytester) -> None:
    demand_libraries("anyio")
    pytester.makeconftest('pytest_plugins = ["mailwire.testing.pytest_plugin"]')
    pytester.makeini("[pytest]\naddopts = --strict-markers\nfilterwarnings = error\n")
    pytester.makepyfile(
        """
        import mailwire
        import pytest

        @pytest.fixture
        def anyio_backend():
            return "asyncio"

        @pytest.mark.anyio
        async def test_passes(mail_server):
            endpoint = mailwire.Endpoint(mail_server.host, mail_server.smtp_port, tls="none")
            message = mailwire.compose(sender="shop@example.org", to="alice@example.org", text="News!")
            await mailwire.send(message, endpoint)
            assert len(mail_server.messages("alice")) == 1
        """
    )
    pytester.runpytest_inprocess("-p", "no:asyncio", "-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_the_examples_of_the_documentation_pass(pytester: pytest.Pytester) -> None:
    blocks = re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```$", GUIDE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 7
    for name, text in blocks:
        pytester.path.joinpath(name).write_text(text)
    settings = ("asyncio_mode = auto", "asyncio_default_fixture_loop_scope = function")
    pytester.makeini("\n".join(("[pytest]", "addopts = --strict-markers", "filterwarnings = error", *settings)))
    pytester.runpytest_inprocess("-p", "no:cacheprovider").assert_outcomes(passed=count_tests(blocks))


def count_tests(blocks: list[tuple[str, str]]) -> int:
    return sum(len(re.findall(r"^(?:async )?def test_", text, re.MULTILINE)) for _, text in blocks)
