from mailwire.testing import Account, LMTPServer, Maildrop, Policy
from tests.testing.dialogue import greeted, play, say

ALICE = Account("alice", "", ("alice@example.org",))
BOB = Account("bob", "", ("bob@example.org",))
POLICY = Policy(
    size_limit=100,
    extensions=("PIPELINING", "CHUNKING", "ENHANCEDSTATUSCODES"),
    delivery_replies={"bob@example.org": "552 5.2.2 Over quota"},
)
GROUP = b"MAIL FROM:<>\r\nRCPT TO:<alice@example.org>\r\nRCPT TO:<bob@example.org>\r\n"


def server(maildrop: Maildrop | None = None, policy: Policy = POLICY) -> LMTPServer:
    return greeted(LMTPServer(maildrop or Maildrop([ALICE, BOB]), policy=policy))


def test_every_accepted_recipient_has_a_reply_of_its_own() -> None:
    maildrops = []

    def open_session() -> LMTPServer:
        maildrops.append(Maildrop([ALICE, BOB]))
        return server(maildrops[-1])

    play(
        open_session,
        """
        C: EHLO client
        S: 500 5.5.1 Unknown command
        C: HELO client
        S: 500 5.5.1 Unknown command
        C: MAIL FROM:<>
        S: 503 5.5.1 Bad sequence of commands: LHLO comes first
        C: LHLO
        S: 501 5.5.4 Syntax error, expected LHLO and a domain or an address literal
        C: LHLO client
        S: 250-localhost greets client
        S: 250-PIPELINING
        S: 250-ENHANCEDSTATUSCODES
        S: 250 CHUNKING
        C: MAIL FROM:<>
        S: 250 2.1.0 Sender <> accepted
        C: RCPT TO:<alice@example.org>
        S: 250 2.1.5 Recipient <alice@example.org> accepted
        C: RCPT TO:<nobody@example.org>
        S: 550 5.1.1 No such recipient <nobody@example.org>
        C: RCPT TO:<bob@example.org>
        S: 250 2.1.5 Recipient <bob@example.org> accepted
        C: RCPT TO:<ALICE@example.org>
        S: 250 2.1.5 Recipient <ALICE@example.org> accepted
        C: DATA
        S: 354 Send the message, end with a dot on a line by itself
        C: hello
        C: .
        S: 250 2.1.5 Recipient <alice@example.org> has it as 00000001
        S: 552 5.2.2 Over quota
        S: 250 2.1.5 Recipient <ALICE@example.org> has it as 00000001
        C: QUIT
        S: 221 2.0.0 localhost closes the connection
        """,
    )
    for maildrop in maildrops:
        (message,) = maildrop.messages("alice")
        assert message.content == b"hello\r\n"
        assert message.envelope is not None
        assert message.envelope.recipients == ("alice@example.org", "ALICE@example.org")
        assert maildrop.messages("bob") == ()


def test_the_last_chunk_has_a_reply_for_each_recipient_and_others_have_one() -> None:
    session = server()
    say(session, b"LHLO client\r\n", GROUP)

    assert say(session, b"BDAT 2\r\n\r\n") == b"250 2.0.0 2 octets taken\r\n"
    replies = say(session, b"BDAT 0 LAST\r\n").decode().splitlines()
    assert replies == ["250 2.1.5 Recipient <alice@example.org> has it as 00000001", "552 5.2.2 Over quota"]


def test_a_message_that_is_refused_is_refused_for_each_recipient() -> None:
    maildrop = Maildrop([ALICE, BOB])
    session = server(maildrop)
    say(session, b"LHLO client\r\n", GROUP + b"DATA\r\n")

    assert say(session, b"a" * 200 + b"\r\n.\r\n") == b"552 5.3.4 More than 100 octets\r\n" * 2
    assert maildrop.messages("alice") == ()


def test_a_message_may_reach_nobody() -> None:
    maildrop = Maildrop([ALICE])
    policy = Policy(delivery_replies={"alice@example.org": "421 4.3.0 Going down"})
    session = server(maildrop, policy)
    say(session, b"LHLO client\r\n", GROUP[: GROUP.index(b"RCPT TO:<bob")] + b"DATA\r\n")

    assert say(session, b"hello\r\n.\r\n") == b"421 4.3.0 Going down\r\n"
    assert session.closing
    assert maildrop.messages("alice") == ()


def test_a_reply_can_be_told_that_takes_the_message() -> None:
    maildrop = Maildrop([ALICE])
    session = server(maildrop, Policy(delivery_replies={"alice@example.org": "250 fine"}))
    say(session, b"LHLO client\r\n", b"MAIL FROM:<>\r\nRCPT TO:<alice@example.org>\r\nDATA\r\n")

    assert say(session, b"hello\r\n.\r\n") == b"250 fine\r\n"
    assert [message.content for message in maildrop.messages("alice")] == [b"hello\r\n"]


def test_a_message_for_nobody_has_no_reply_and_does_not_begin() -> None:
    play(
        server,
        """
        C: LHLO client
        S: 250-localhost greets client
        S: 250-PIPELINING
        S: 250-ENHANCEDSTATUSCODES
        S: 250 CHUNKING
        C: DATA
        S: 503 5.5.1 Bad sequence of commands: MAIL comes first
        C: BDAT 0 LAST
        S: 503 5.5.1 Bad sequence of commands: MAIL comes first
        C: MAIL FROM:<>
        S: 250 2.1.0 Sender <> accepted
        C: RCPT TO:<nobody@example.org>
        S: 550 5.1.1 No such recipient <nobody@example.org>
        C: DATA
        S: 503 5.5.1 Bad sequence of commands: RCPT comes first
        C: BDAT 0
        S: 503 5.5.1 Bad sequence of commands: RCPT comes first
        C: BDAT 0 LAST
        C: NOOP
        S: 250 2.0.0 Still here
        """,
    )
