"""Arguments as what can be compared: the same ones, given again, need not be read anew."""

from collections.abc import Iterable

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
