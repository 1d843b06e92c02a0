import copy
import pickle

import pytest

from mailwire._wire.mapping import FrozenMapping


def test_it_is_a_mapping_in_the_order_given() -> None:
    mapping = FrozenMapping({"b": 1, "a": 2})
    assert list(mapping.items()) == [("b", 1), ("a", 2)]
    assert mapping["a"] == 2
    assert "c" not in mapping
    assert len(mapping) == 2
    assert repr(mapping) == "{'b': 1, 'a': 2}"
    with pytest.raises(KeyError):
        mapping["c"]


def test_it_is_a_value() -> None:
    mapping = FrozenMapping({"b": 1, "a": 2})
    twin = FrozenMapping({"a": 2, "b": 1})
    assert mapping == twin == {"a": 2, "b": 1}
    assert hash(mapping) == hash(twin)
    assert mapping != FrozenMapping({"a": 2})
    assert len({hash(FrozenMapping({"a": number})) for number in range(10)}) > 1
    pickled = [pickle.loads(pickle.dumps(mapping, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    for other in (copy.copy(mapping), copy.deepcopy(mapping), *pickled):
        assert type(other) is FrozenMapping
        assert other == mapping
        assert list(other) == ["b", "a"]


def test_it_does_not_change_with_what_it_was_made_from() -> None:
    items = {"a": 1}
    mapping = FrozenMapping(items)
    items["b"] = 2
    assert mapping == {"a": 1}
    with pytest.raises(TypeError):
        mapping["a"] = 2  # type: ignore[index]
