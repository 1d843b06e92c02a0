from tests.mutation.bare import bared

CODE = '''\
class Point:
    @property
    def x(self) -> int:
        """How far to the right."""
        return 1

    @x.setter
    def x(self, value: int) -> None: ...

    @classmethod
    def origin(cls) -> "Point":
        return cls()


@lru_cache(16)
def far(
    a: int, b: int
) -> int:
    return a + b


class Shape(Protocol):
    @property
    def area(self) -> float: ...
'''
BARED = '''\
class Point:
    def _property_x(self) -> int:
        """How far to the right."""
        return 1
    x = property(_property_x)

    def _setter_x(self, value: int) -> None: ...
    x = x.setter(_setter_x)

    @classmethod
    def origin(cls) -> "Point":
        return cls()


def _lru_cache_far(
    a: int, b: int
) -> int:
    return a + b
far = lru_cache(16)(_lru_cache_far)


class Shape(Protocol):
    @property
    def area(self) -> float: ...
'''


def test_a_decorated_function_is_written_above_what_is_made_of_it() -> None:
    assert bared(CODE) == BARED
