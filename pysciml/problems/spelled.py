"""Arguments as what can be compared: the same ones, given again, need not be read anew."""

from collections.abc import Iterable, Sequence
from operator import is_

import numpy as np

MUCH = 1_000_000  # bytes: arrays beyond are not kept
_CONSTANT = frozenset((type(None), bool, int, float, str, np.float64, np.int64))


def spell(values: Iterable, *constant: type) -> list | None:
    """Values as what can be compared: arrays and lists by content, others with their type.

    None if one of them may change, unless it is of a type that is said to be ``constant``.
    """
    spelled = []
    for value in values:
        kind = type(value)
        if kind is np.ndarray and value.dtype.kind in "iufM" and value.nbytes < MUCH:
            spelled.append((value.dtype, value.shape, value.tobytes()))
        elif kind in _CONSTANT or kind in constant:
            spelled.append((kind, value))
        elif kind in (list, tuple) and _NUMBERS.issuperset(map(type, value)):
            spelled.append((kind, tuple(map(type, value)), tuple(value)))
        else:
            return None
    return spelled


_NUMBERS = frozenset((int, float))


class Spelled:
    """Arguments of a call, to be compared with those of the next; ``can_last``: whether they can be."""

    def __init__(self, values: Sequence, *constant: type):
        self._values, self._constant = tuple(values), constant
        self._spelled = spell(values, *constant)
        self._changing = [k for k, value in enumerate(values) if type(value) in (np.ndarray, list)]
        self._changing_spelled = spell([values[k] for k in self._changing])
        self.can_last = self._spelled is not None

    def is_like(self, values: Sequence) -> bool:
        """Whether others are the same ones: quick where they are the same objects, as in a loop."""
        if all(map(is_, values, self._values)):
            return not self._changing or spell([values[k] for k in self._changing]) == self._changing_spelled
        return spell(values, *self._constant) == self._spelled
