"""Records: what ``u`` and ``p`` are, inside a model and as ``problem.p``."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..errors import TraceError
from ..words import nearest
from .external import ExternalInput
from .layout import Layout
from .network import Network
from .remedies import NotANumber
from .source import TraceAttributeError, TraceKeyError, trace_error
from .tracer import Traced


class Record(NotANumber):
    """Read-only named values: ``u.x`` or ``u["x"]``; ``x, y = u`` gives the values in declared order.

    Its only public attributes are the user's names; ``record_names`` and ``record_items`` serve the other rooms.
    """

    __slots__ = ("__values",)

    def __init__(self, values: Mapping):
        object.__setattr__(self, "_Record__values", dict(values))

    def __getattr__(self, name: str):
        if name in self.__values:
            return self.__values[name]
        if name.startswith("__"):  # probed by NumPy, copy and others
            raise AttributeError(name)
        raise self.__unknown(name, TraceAttributeError)

    def __getitem__(self, name: str):
        if isinstance(name, str) and name in self.__values:
            return self.__values[name]
        if not isinstance(name, str):
            raise trace_error(
                f"a record has names, not positions: got [{name!r}]",
                f"Write u.{next(iter(self.__values), 'x')}, or `{', '.join(self.__values)} = u` for all in order.",
                kind=TraceKeyError,
            )
        raise self.__unknown(name, TraceKeyError)

    def __unknown(self, name, kind):
        hint = nearest(name, self.__values).removeprefix("; ").capitalize()
        words = {
            "keys": "Use dir(u), or the names themselves.", "items": "Use the names themselves: u.x.",
            "values": "Iterate over the record itself.", "get": 'Write u.x or u["x"].',
        }  # fmt: skip
        known = f"The names are {', '.join(self.__values) or 'none'}. {hint or words.get(name, '')}"
        return trace_error(f"there is no {name!r}", known.strip(), kind=kind)

    def __iter__(self) -> Iterator:
        return iter(self.__values.values())

    def __len__(self) -> int:
        return len(self.__values)

    def __dir__(self):
        return list(self.__values)

    def __contains__(self, name) -> bool:
        return isinstance(name, str) and name in self.__values

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return "Record(" + ", ".join(f"{name}={value!r}" for name, value in self.__values.items()) + ")"

    def __setattr__(self, name, value):
        raise _read_only(name)

    def __setitem__(self, name, value):
        raise _read_only(name)

    def __delattr__(self, name):
        raise _read_only(name)

    def __delitem__(self, name):
        raise _read_only(name)

    def __eq__(self, other):
        if any(isinstance(v, Traced) for v in self.__values.values()):
            raise self.__refuse__()
        if not isinstance(other, Record) or set(self.__values) != set(other.__values):
            return False
        return all(_is_equal(value, other.__values[name]) for name, value in self.__values.items())

    def __hash__(self):
        if any(isinstance(v, Traced) for v in self.__values.values()):
            raise self.__refuse__()
        return hash(frozenset((name, _hash_key(value)) for name, value in self.__values.items()))

    def __reduce__(self):
        return Record, (self.__values,)

    def __refuse__(self) -> TraceError:
        names = list(self.__values)
        form = ", ".join(f'"{n}": -p.k * u.{n}' for n in names[:2]) + (", ..." if len(names) > 2 else "")
        return trace_error(
            f"arithmetic on a whole record ({', '.join(names)}): a record is not an array",
            f"Compute by name and return a dict: {{{form}}}; or np.stack([{', '.join('u.' + n for n in names[:3])}]).",
        )


def _read_only(name) -> TraceError:
    return trace_error(
        f"p and u are read-only: {name!r} can't be set",
        "Compute a new value: `x = u.x + 1`; change a problem with problem.remake(p={...}).",
    )


def _is_equal(a, b) -> bool:
    if isinstance(a, Network | ExternalInput) or isinstance(b, Network | ExternalInput):
        return a == b
    return np.shape(a) == np.shape(b) and bool(np.array_equal(a, b))


def _hash_key(value):
    return (
        value
        if isinstance(value, Network | ExternalInput)
        else (np.shape(value), np.asarray(value, dtype=float).tobytes())
    )


def record_items(record: Record) -> dict:
    """Name to value, in declared order."""
    return {name: record[name] for name in record_names(record)}


def record_names(record: Record) -> list[str]:
    """The names of a record in declared order (``dir`` sorts them)."""
    return record.__dir__()


def make_record(layout: Layout, flat: np.ndarray) -> Any:
    """The values ``(size,)`` of a layout in the form that the model sees: record, array, float, network or None.

    Arrays are read-only; an integer parameter is an int.
    """
    values = {}
    for entry in layout.entries:
        part = np.array(flat[entry.slice]).reshape(entry.shape)
        part.flags.writeable = False
        if entry.network is not None:
            values[entry.name] = Network(entry.network, part)
        elif entry.table is not None:
            values[entry.name] = ExternalInput(entry.table, part)
        elif entry.shape:
            values[entry.name] = part
        else:
            values[entry.name] = float(part) if entry.is_float else int(part)
    return shape_as_form(layout, values)


def shape_as_form(layout: Layout, values: Mapping) -> Any:
    """Values by name in the form of a layout."""
    if layout.form == "record":
        return Record(values)
    return None if layout.form == "none" else next(iter(values.values()))
