import copy
import json
from decimal import Decimal
from typing import Any

import pytest

from mailwire import MailwireError, error_from_dict, error_to_dict
from mailwire.errors import BudgetExceeded, ConnectionLost, Desynchronised, RetrievalIncomplete, ServerUnproven
from mailwire.message import RetrievedMessage
from mailwire.pop3 import Response
from mailwire.smtp import Delivery
from tests.test_errors import ERR, EXAMPLES, LATER, RECEIPT


def again(error: MailwireError) -> MailwireError:
    return error_from_dict(json.loads(json.dumps(error_to_dict(error))))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda error: type(error).__name__)
def test_an_error_goes_through_json_with_all_it_carries(example: MailwireError) -> None:
    error = copy.copy(example)
    bare = again(error)
    assert (type(bare), vars(bare)) == (type(error), vars(error))
    error.delivery, error.receipt, error.transcript = Delivery.REFUSED, RECEIPT, ("C: NOOP", "S: 550 no")
    error.add_note("while sending")
    read = again(error)
    assert type(read) is type(error)
    assert (str(read), repr(read), read.args) == (str(error), repr(error), error.args)
    assert vars(read) == vars(error)
    assert read.__notes__ == ["while sending"]


@pytest.mark.parametrize(
    "error",
    [
        Desynchronised("a", suspect=None),
        ServerUnproven("a", command="AUTH PLAIN ****", answer=None),
        ServerUnproven("a", command="AUTH PLAIN ****", answer=LATER),
        BudgetExceeded("a", messages=[RetrievedMessage(1, None, b"\xff\0"), RetrievedMessage(2, "u2", b"x")]),
        RetrievalIncomplete(
            "a",
            refusals={1: ERR, 7: Response(ok=False, line=b"\xff", body=b"\x80\r\n", login_delay=60)},
            messages=[RetrievedMessage(3, "u3", bytes(range(256)))],
        ),
    ],
)
def test_octets_and_what_is_not_there_go_through_json(error: MailwireError) -> None:
    assert vars(again(error)) == vars(error)


def test_an_error_does_not_take_its_report_along() -> None:
    error = ConnectionLost("gone")
    error.report = object()  # type: ignore[assignment]
    assert again(error).report is None


def test_an_attribute_of_somebody_else_is_no_record() -> None:
    error = ConnectionLost("gone")
    error.in_flight = (object(),)  # type: ignore[assignment]
    with pytest.raises(TypeError, match="got object"):
        error_to_dict(error)


@pytest.mark.parametrize(
    "spoilt",
    [
        {"kind": "SystemExit"},
        {"kind": "annotations"},
        {"kind": ["MailwireError"]},
        {"attributes": {"in_flight": {"code": "os.system"}}},
        {"attributes": {"in_flight": 1.5}},
        {"attributes": {"in_flight": {"octets": "x"}}},
        {"attributes": {"messages": {"message": {"number": 1, "uid": None, "raw": "\u20ac"}}}},
        {"attributes": {"delivery": {"delivery": "perhaps"}}},
        {"attributes": {"oauth": {"oauth": {"status": "x", "other": "y"}}}},
        {"attributes": ["x"]},
        {"notes": 1},
    ],
)
def test_what_is_no_record_of_an_error_is_refused(spoilt: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError, AttributeError)):
        error_from_dict({**error_to_dict(ConnectionLost("gone")), **spoilt})


def test_what_is_refused_is_quoted_in_part() -> None:
    record = error_to_dict(ConnectionLost("gone"))
    with pytest.raises(ValueError, match=r"^expected the name of an error of mailwire, got 'SystemExit'$"):
        error_from_dict({**record, "kind": "SystemExit"})
    with pytest.raises(ValueError, match=f"^expected what an error of mailwire carries, got '{'7' * 98}[.]0'$"):
        error_from_dict({**record, "attributes": {"in_flight": Decimal("7" * 98 + ".01")}})


@pytest.mark.parametrize("missing", ["kind", "text", "notes", "attributes"])
def test_a_record_that_lacks_something_is_refused(missing: str) -> None:
    record = error_to_dict(ConnectionLost("gone"))
    del record[missing]
    with pytest.raises(KeyError):
        error_from_dict(record)
