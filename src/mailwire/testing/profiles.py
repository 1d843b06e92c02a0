"""Profiles: real servers that differ from the standards, each as a quirk.

Each is taken from a captured session, or from documented complaints of those who had to do with the server; which,
is said where it is defined. Where a complaint is about some messages and does not say which, it befalls the second and
third here. What no source shows is what the standards say.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from .quirks import CAPABILITIES, Defect, POP3Quirk, Quirk, SMTPQuirk
from .smtp_extensions import EXTENSIONS

__all__ = [
    "ARGOSOFT",
    "BARE_LF",
    "EXCHANGE",
    "GMAIL",
    "JPOP",
    "KM_RU",
    "MAILLENNIUM",
    "NETEASE",
    "NO_CAPA",
    "NO_UIDL",
    "O2",
    "OFFICE365",
    "QUIRKS",
    "SPLIT_DOT",
    "UNSTUFFED",
]

_ARGOSOFT_GREETING: Final = "ArGoSoft Mail Server Freeware, Version 1.8 (1.8.8.8)"
_ARGOSOFT_FAREWELL: Final = "Aba he"

# What was captured of servers is from before RFC 6856, or shows nothing of it.
_OLDER: Final = frozenset({"UTF8", "LANG"})

ARGOSOFT: Final = Quirk(
    "argosoft",
    SMTPQuirk(
        replies={
            "greeting": f"220 {_ARGOSOFT_GREETING}",
            "helo": "250 Welcome [{peer}], pleased to meet you",
            "sender accepted": '250 Sender "{path}" OK...',
            "recipient accepted": '250 Recipient "{path}" OK...',
            "data": '354 Enter mail, end with "." on a line by itself',
            "message accepted": "250 Message accepted for delivery. <{id}@{hostname}>",
            "quit": f"221 {_ARGOSOFT_FAREWELL}",
        },
        unknown_commands=frozenset({"EHLO", "STARTTLS", "AUTH", "BDAT"}),
        withheld_extensions=frozenset(EXTENSIONS),
        takes_bare_hello=True,
        takes_bare_paths=True,
    ),
    POP3Quirk(
        responses={
            "greeting": f"+OK {_ARGOSOFT_GREETING}",
            "user": "+OK Password required for {user}",
            "logged in": "+OK Mailbox locked and ready",
            "list": "+OK",
            "uidl": "+OK",
            "quit": f"+OK {_ARGOSOFT_FAREWELL}",
        },
        unknown_commands=frozenset({"CAPA", "STLS", "AUTH"}),
        withheld_capabilities=frozenset(CAPABILITIES),
        dot_apart=True,
        # The one capture of RETR announces 522 octets where LIST said 533 and 533 came. Which octets it leaves out is
        # not known, and needs not be: a client that frames by the announced number is wrong with any shortfall.
        retr_shortfall=11,
    ),
)
"""ArGoSoft Mail Server Freeware 1.8, from three sessions of September 2021 captured with Sylpheed 3.7.0, telnet and a C
program. What no capture shows (VRFY, TOP, the wording of refusals) is ours, without the codes it never heard of."""

GMAIL: Final = Quirk(
    "gmail",
    pop3=POP3Quirk(
        responses={
            "greeting": "+OK Gpop ready for requests from {peer}",
            "user": "+OK send PASS",
            "logged in": "+OK Welcome.",
            "unknown": "-ERR bad command",
            "quit": "+OK Farewell.",
        },
        unknown_command_closes=True,
        withheld_capabilities=_OLDER | {"AUTH-RESP-CODE", "IMPLEMENTATION"},
        late_capabilities=frozenset({"TOP", "UIDL", "PIPELINING"}),
        further_capabilities=("EXPIRE 0", "LOGIN-DELAY 300", "X-GOOGLE-RICO"),
        session_limit=250,
        retr_hides=True,
        large_message=20 * 1024 * 1024,
    ),
)
"""Gmail. What it can do it tells only behind the login (mail-api #50, mpop's source); it hangs up on a command that it
does not announce (fdm #140), shows some 250 messages to a session (node-pop3 #2, yam #392), and what was retrieved is
gone from POP3 without any DELE (getmail's FAQ, wanderlust #118). Behind a message of 20 MB it drops the connection
when that is to be deleted (MailKit #82)."""

EXCHANGE: Final = Quirk(
    "exchange",
    pop3=POP3Quirk(
        responses={
            "greeting": "+OK Microsoft Exchange Server 2003 POP3 server version 6.5.7638.1 ({hostname}) ready.",
            "challenge": "+OK {challenge}",
            "credentials": "-ERR Logon failure: unknown user name or bad password.",
            "sequence": "-ERR Command is not valid in this state.",
            "quit": "+OK Microsoft Exchange Server 2003 POP3 server version 6.5.7638.1 signing off.",
        },
        withheld_capabilities=_OLDER | {"RESP-CODES", "AUTH-RESP-CODE", "IMPLEMENTATION"},
        further_capabilities=("EXPIRE NEVER",),
        list_surplus=1024,
        defects={2: Defect.EMPTY, 3: Defect.UNTERMINATED},
    ),
)
"""Exchange 2003, with what its predecessor was known for. "+OK" asks for a response of AUTH (MailKit #391, with the
capabilities as they are here); sizes are those of its database, the last line of some messages has no end, and the
dot stands directly behind it (fetchmail's FAQ S2); some messages come empty."""

OFFICE365: Final = Quirk(
    "office365",
    pop3=POP3Quirk(
        responses={
            "greeting": "+OK The Microsoft Exchange POP3 service is ready. [TABPADIAUAAxADIAMwBDAEEAMAAwADEA]",
            "initial response": "-ERR Protocol error. Connection is closed. 10",
            "credentials": "-ERR Logon failure: unknown user name or bad password.",
            "quit": "+OK Microsoft Exchange Server POP3 server signing off.",
        },
        withheld_capabilities=_OLDER | {"PIPELINING", "RESP-CODES", "AUTH-RESP-CODE", "IMPLEMENTATION"},
        refuses_initial_responses=True,
        defects={2: Defect.BLANK_ANSWER},
    ),
)
"""Exchange Online. AUTH with an initial response ends the connection (getmail6 #256, mpop #11), there is no PIPELINING,
and an empty line answers the DELE of some messages (MailKit #1634, #1636)."""

NETEASE: Final = Quirk(
    "163",
    pop3=POP3Quirk(
        responses={
            "greeting": "+OK Welcome to coremail Mail Pop3 Server (163coms[{peer}s])",
            "logged in": "+OK {count} message(s) [{octets} byte(s)]",
            "credentials": "-ERR \u7528\u6237\u540d\u6216\u5bc6\u7801\u9519\u8bef",  # "user name or password wrong"
            "message unavailable": "-ERR Can't get the letter, try again later",
            "too many": "-ERR Download exceed",
            "quit": "+OK core mail",
        },
        encoding="gbk",
        withheld_capabilities=_OLDER | {"PIPELINING", "RESP-CODES", "AUTH-RESP-CODE", "IMPLEMENTATION"},
        octets_wrap=True,
        retr_limit=3,
        defects={2: Defect.UNAVAILABLE},
    ),
)
"""NetEase (163, 126) and QQ: texts in GBK (zmail #30, qqbot #36), messages that are not to be had and a quota on what
is retrieved (zmail #22, #115), and of a maildrop with much in it a negative number of octets (MailKit #872)."""

JPOP: Final = Quirk(
    "jpop",
    pop3=POP3Quirk(responses={"greeting": "+OK JPOP server ready"}, withheld_capabilities=_OLDER | {"UIDL"}),
)
"""Yahoo, AOL and Verizon: UIDL is there, and not announced (neomutt #1427)."""

MAILLENNIUM: Final = Quirk(
    "maillennium",
    pop3=POP3Quirk(
        responses={"greeting": "+OK Maillennium POP3/PROXY server #1"},
        withheld_capabilities=_OLDER | {"PIPELINING", "RESP-CODES", "AUTH-RESP-CODE"},
        uid_separator="    ",
        top_limit=64 * 1024,
    ),
)
"""Comcast and others: several blanks before the unique id (thunderbird-android #323, mpop's source), and TOP ends
behind 64 KiB whatever it was asked for (fetchmail's FAQ I8)."""

KM_RU: Final = Quirk(
    "km.ru",
    pop3=POP3Quirk(
        responses={"greeting": "+OK POP3 server ready"},
        withheld_capabilities=_OLDER | {"TOP", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "IMPLEMENTATION"},
        further_capabilities=("RESP-CODE", "IMPLEMENTATION fast_pop"),
        doubled_responses=frozenset({"top"}),
    ),
)
"""pop.km.ru: two status lines answer TOP, which is not announced (MailKit #1533); what is, is misspelt."""

O2: Final = Quirk(
    "o2",
    pop3=POP3Quirk(
        responses={"greeting": "+OK POP3 ready"},
        withheld_capabilities=_OLDER | {"RESP-CODES", "AUTH-RESP-CODE", "IMPLEMENTATION"},
        pipelining_limit=3,
    ),
)
"""poczta.o2.pl: PIPELINING is announced, and ends the connection when it is used (MailKit #174)."""

# No product, but what many have in common.

BARE_LF: Final = Quirk("bare-lf", pop3=POP3Quirk(line_end=b"\n"))
"""Its lines end in LF alone, those of messages too (curl, node-pop3 and yapople wait for ever)."""

UNSTUFFED: Final = Quirk("unstuffed", pop3=POP3Quirk(stuffs_dots=False))
"""A line that begins with a dot is sent as it is (cpython #95252, greenmail #475, mailpit #299, netius #96)."""

NO_UIDL: Final = Quirk(
    "no-uidl",
    pop3=POP3Quirk(unknown_commands=frozenset({"UIDL"}), withheld_capabilities=frozenset({"UIDL"})),
)
"""It knows RFC 1939 without what is optional there (fetchmail's man page)."""

NO_CAPA: Final = Quirk(
    "no-capa",
    pop3=POP3Quirk(unknown_commands=frozenset({"CAPA", "STLS", "AUTH"}), withheld_capabilities=frozenset(CAPABILITIES)),
)
"""It was written before RFC 2449 (fetchmail's FAQ R11)."""

SPLIT_DOT: Final = Quirk("split-dot", pop3=POP3Quirk(dot_apart=True))
"""The dot that ends an answer comes in a packet of its own (node-pop3 #36, #32)."""

QUIRKS: Final[Mapping[str, Quirk]] = MappingProxyType(
    {
        quirk.name: quirk
        for quirk in (
            ARGOSOFT,
            GMAIL,
            EXCHANGE,
            OFFICE365,
            NETEASE,
            JPOP,
            MAILLENNIUM,
            KM_RU,
            O2,
            BARE_LF,
            UNSTUFFED,
            NO_UIDL,
            NO_CAPA,
            SPLIT_DOT,
        )
    }
)
"""The profiles by name."""
