"""The stand-in: what a user's function computes with while it is traced. It speaks NumPy and records operations.

Three kinds, because NumPy treats them differently. ``TracedArray`` has one dimension or more. ``TracedScalar`` stands
for a number: it has no length and no items, so that ``np.array([a, b])`` takes it as one element of an object array,
and it has ufuncs as methods (``a.sin()``), which is how ``np.sin`` reaches the elements of one. ``TracedCell`` is a
0-d array, which can be changed in place.

Each array keeps a ``layout``: an array of bools of the same shape and memory order as the real array would have.
NumPy itself then says whether a reshape is a view or a copy.
"""

import numbers
import operator
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..ir.ops import BOOL
from .recorder import Recorder, active_recorder
from .remedies import (
    explain_array,
    explain_attribute,
    explain_bool,
    explain_conversion,
    explain_hash,
)
from .source import is_sparse_product, trace_error

UFUNCS: dict[str, Callable] = {}  # name of a NumPy or SciPy ufunc -> what it does to traced values
FUNCTIONS: dict[Callable, Callable] = {}  # other function -> the same; ``operator.getitem`` and ``setitem`` are x[...]
METHODS: dict[str, Callable] = {}  # method that is more than the NumPy function of its name -> the same
CALL: dict[str, Callable] = {}  # "ufunc", "function", "method": check the arguments of a call, then look up the tables


class Storage:
    """The memory of one array made in the model: its newest node, and a version that grows with every write."""

    __slots__ = ("node", "version", "refusal")

    def __init__(self, node: int, refusal: tuple[str, str] | None = None):
        self.node = node
        self.version = 0
        self.refusal = refusal  # problem and remedy, if it can't be changed in place


class View(NamedTuple):
    """How a view reads its base (node of the base -> node), and writes it (base, value -> new node of the base)."""

    read: Callable[[int], int]
    write: Callable[[int, int], int] | None


class Traced:
    """A value inside a traced function. Views know their base: writes go through, reads see later writes."""

    __array_priority__ = 1000

    def __init__(self, recorder: Recorder, storage: Storage, layout, base=None, view=None, sure=True):
        self._recorder = recorder
        self._storage = storage
        self._layout = layout
        self._base = base
        self._view = view
        self._sure = sure  # whether the real array's memory order is known to be the layout's
        self._cache = (-1, -1)

    # ---- value ----

    @property
    def _node(self) -> int:
        """The node that holds the value now."""
        if self._recorder is not active_recorder():
            raise trace_error(
                "a traced value of an earlier call was used (it was kept in a global, a closure or an attribute)",
                "Traced values live only during one call f(t, u, p): pass what you need as an argument.",
            )
        if self._base is None:
            return self._storage.node
        if self._cache[0] != self._storage.version:
            self._cache = (self._storage.version, self._view.read(self._base._node))
        return self._cache[1]

    def _check_writable(self) -> None:
        if self._storage.refusal is not None:
            raise trace_error(*self._storage.refusal)

    def _assign(self, node: int) -> None:
        """Make ``node`` (of this shape and type) the value, here and in the array of which this is a view."""
        self._check_writable()
        if self._base is None:
            self._storage.node = node
            self._storage.version += 1
            return
        if self._view.write is None:
            raise trace_error("NumPy makes this view read-only", "Take a copy first: `x = x.copy()`.")
        self._base._assign(self._view.write(self._base._node, node))
        self._cache = (self._storage.version, node)

    def _update(self, result: "Traced") -> "Traced":
        """In-place change: a number is replaced, an array keeps its memory."""
        if isinstance(self, TracedScalar) and not isinstance(self, TracedCell):
            return result
        FUNCTIONS[np.copyto](self, result)
        return self

    # ---- what NumPy arrays have ----

    @property
    def shape(self) -> tuple[int, ...]:
        return self._layout.shape

    @property
    def ndim(self) -> int:
        return self._layout.ndim

    @property
    def size(self) -> int:
        return self._layout.size

    @property
    def dtype(self) -> np.dtype:
        is_bool = self._recorder.node(self._storage.node).dtype == BOOL
        return np.dtype(bool if is_bool else np.float64)

    @property
    def T(self):
        return FUNCTIONS[np.transpose](self)

    @property
    def real(self):
        return self

    @property
    def imag(self):
        return FUNCTIONS[np.zeros_like](self)

    # ---- NumPy's protocols ----

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        return CALL["ufunc"](ufunc, method, inputs, options)

    def __array_function__(self, function, types, args, kwargs):
        return CALL["function"](function, args, kwargs)

    def __getattr__(self, name):
        if name.startswith("__"):  # probed by NumPy and others on every contact
            raise AttributeError(name)
        raise explain_attribute(self, name)

    # ---- conversions to plain Python: impossible, each with what to write instead ----

    def __bool__(self):
        raise explain_bool()

    def __float__(self):
        raise explain_conversion("float")

    def __int__(self):
        raise explain_conversion("int")

    def __index__(self):
        raise explain_conversion("index")

    def __complex__(self):
        raise explain_conversion("complex")

    def __hash__(self):
        raise explain_hash()

    def __contains__(self, item):
        raise explain_bool()

    def __format__(self, spec):
        return repr(self)

    def __repr__(self):
        return f"<traced {self.dtype.name}, shape {self.shape}>"

    def __copy__(self):
        return FUNCTIONS[np.copy](self)

    def __deepcopy__(self, memo):
        return FUNCTIONS[np.copy](self)

    # ---- Python's functions of numbers ----

    def __round__(self, digits=None):
        return FUNCTIONS[np.round](self, 0 if digits is None else digits)

    def __floor__(self):
        return UFUNCS["floor"](self)

    def __ceil__(self):
        return UFUNCS["ceil"](self)

    def __trunc__(self):
        return UFUNCS["trunc"](self)

    def __divmod__(self, other):
        return UFUNCS["divmod"](self, other)

    def __rdivmod__(self, other):
        return UFUNCS["divmod"](other, self)


class TracedScalar(Traced):
    """A traced number."""


class TracedCell(TracedScalar):
    """A traced 0-d array."""

    def __getitem__(self, key):
        return FUNCTIONS[operator.getitem](self, key)

    def __setitem__(self, key, value):
        FUNCTIONS[operator.setitem](self, key, value)


class TracedArray(Traced):
    """A traced array of one dimension or more."""

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, key):
        return FUNCTIONS[operator.getitem](self, key)

    def __setitem__(self, key, value):
        FUNCTIONS[operator.setitem](self, key, value)

    def __iter__(self):
        return (self[k] for k in range(len(self)))

    def __array__(self, *args, **kwargs):
        if is_sparse_product():  # it then leaves the product to __rmatmul__
            holder = np.empty((), dtype=object)
            holder[()] = self
            return holder
        raise explain_array(self)


_OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "floordiv": "floor_divide",
    "mod": "remainder", "pow": "power", "matmul": "matmul", "and": "bitwise_and", "or": "bitwise_or",
    "xor": "bitwise_xor",
}  # fmt: skip
_COMPARISONS = {
    "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "eq": "equal", "ne": "not_equal",
}  # fmt: skip
_SIGNS = {"neg": "negative", "pos": "positive", "abs": "absolute", "invert": "invert"}
_METHODS = (
    "sum prod mean var std max min all any cumsum clip round dot trace diagonal reshape ravel transpose swapaxes "
    "squeeze repeat take copy flatten astype fill conj conjugate"
).split()


def _forward(name):
    return lambda self, *others: UFUNCS[name](self, *others)


def _reflected(name):
    return lambda self, other: UFUNCS[name](other, self)


def _in_place(name):
    return lambda self, other: self._update(UFUNCS[name](self, other))


def _method(name):
    return lambda self, *args, **kwargs: CALL["method"](name, self, args, kwargs)


for _word, _name in (_OPERATORS | _COMPARISONS | _SIGNS).items():
    setattr(Traced, f"__{_word}__", _forward(_name))
for _word, _name in _OPERATORS.items():
    setattr(Traced, f"__r{_word}__", _reflected(_name))
    setattr(Traced, f"__i{_word}__", _in_place(_name))
for _name in _METHODS:
    setattr(Traced, _name, _method(_name))
numbers.Number.register(TracedScalar)  # np.isscalar(x) is true, as for the float that it stands for
