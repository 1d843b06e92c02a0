"""Sessions with Postfix and Dovecot are recorded, and played once more to the same client."""

from pathlib import Path

import pytest

import mailwire
from mailwire.endpoint import TLSMode
from mailwire.testing import RecordingProxy, ScriptedPeer, Tls, client_context
from tests.integration.mail_host import MailHost
from tests.integration.mailbox import Mailbox
from tests.sasl.secrecy import assert_hidden

MESSAGE = (Path(__file__).parents[1] / "data" / "sylpheed-message.eml").read_bytes()
# What a script can answer twice: Dovecot has SCRAM too, of which no exchange is like the other.
PLAIN = mailwire.Preferences(mechanisms=["PLAIN"])


@pytest.mark.parametrize("tls", ["none", "starttls", "implicit"])
async def test_a_mail_through_postfix_is_sent_to_a_script_as_well(
    mail_host: MailHost, mailbox: Mailbox, tls: TLSMode
) -> None:
    postfix, alice = mail_host.postfix, mail_host.alice
    port = postfix.tls_port if tls == "implicit" else postfix.port
    settings = mailwire.Endpoint(
        "localhost",
        tls=tls,
        tls_context=client_context() if tls != "none" else None,
        auth=mailwire.Password(alice.user, alice.password),
        auth_preferences=PLAIN,
        allow_cleartext_auth=True,
    )

    async def send(endpoint: mailwire.Endpoint) -> None:
        receipt = await mailwire.send(MESSAGE, endpoint, sender=alice.address, recipients=mailbox.address)
        assert receipt.accepted == (mailbox.address,)

    async with RecordingProxy("localhost", port, implicit_tls=tls == "implicit", tls_context=client_context()) as proxy:
        await send(settings.replace(port=proxy.port))
        await proxy.wait_idle()
    [recording] = proxy.recordings
    assert_hidden(alice.password, recording.text)
    assert (Tls() in recording.script()) is (tls != "none")
    async with ScriptedPeer(*recording.script()) as peer:
        await send(settings.replace(connect=peer.connect))


@pytest.mark.parametrize("tls", ["none", "starttls", "implicit"])
async def test_a_maildrop_of_dovecot_is_retrieved_from_a_script_as_well(
    mail_host: MailHost, mailbox: Mailbox, tls: TLSMode
) -> None:
    dovecot = mail_host.dovecot
    port = dovecot.tls_port if tls == "implicit" else dovecot.port
    settings = mailwire.Endpoint(
        "localhost",
        protocol="pop3",
        tls=tls,
        tls_context=client_context() if tls != "none" else None,
        auth=mailwire.Password(mailbox.user, mailbox.password),
        auth_preferences=PLAIN,
        allow_cleartext_auth=True,
    )
    mailbox.put([(1, MESSAGE)])
    async with RecordingProxy("localhost", port, implicit_tls=tls == "implicit", tls_context=client_context()) as proxy:
        [message] = await mailwire.retrieve(settings.replace(port=proxy.port))
        await proxy.wait_idle()
    assert message.raw == MESSAGE
    [recording] = proxy.recordings
    assert_hidden(mailbox.password, recording.text)
    async with ScriptedPeer(*recording.script()) as peer:
        [again] = await mailwire.retrieve(settings.replace(connect=peer.connect))
    assert again.raw == MESSAGE
