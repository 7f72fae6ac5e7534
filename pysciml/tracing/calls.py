"""Calls of NumPy functions on traced values: arguments checked, tables looked up, results put where asked."""

import inspect
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from .lifting import is_c_ordered, lift
from .source import trace_error
from .tracer import CALL, FUNCTIONS, METHODS, UFUNCS, Traced

_STRUCTURAL: set[Callable] = set()  # functions whose result's memory order NumPy tells from bool arrays alone
_STATIC = set(  # arguments that decide shapes or which elements are taken
    "axis axes axis1 axis2 shift repeats reps indices indices_or_sections obj pad_width n k num decimals ord offset "
    "shape newshape ddof correction edge_order period mode order source destination dtype".split()
)
REFUSED: dict[str, str] = {}  # name of a function that can't be traced -> what to write instead


def implements(*functions: Callable | str, structural: bool = False):
    """Decorator: what these NumPy functions do to traced values, with NumPy's own arguments.

    A function that only some releases of NumPy have is given by its name.
    """
    known = [getattr(np, f, None) if isinstance(f, str) else f for f in functions]

    def register(implementation):
        for function in known:
            if function is None:
                continue
            FUNCTIONS[function] = implementation
            if structural:
                _STRUCTURAL.add(function)
        return implementation

    return register


@lru_cache(maxsize=512)
def _signature(implementation):
    return inspect.signature(implementation)


def _name(function) -> str:
    module = getattr(function, "__module__", "") or "numpy"
    prefix = "np.linalg." if "linalg" in module else "np.fft." if "fft" in module else "np."
    return prefix + getattr(function, "__name__", str(function))


def _refuse(name: str):
    remedy = REFUSED.get(
        name.removeprefix("np.").removeprefix("scipy.special."),
        "Write it with operations that can: arithmetic, slices, np.where, np.sum, @.",
    )
    return trace_error(f"{name} can't be traced", remedy)


def call_function(function: Callable, args: tuple, kwargs: dict):
    """A NumPy function other than a ufunc."""
    name = _name(function)
    implementation = FUNCTIONS.get(function)
    if implementation is None:
        raise _refuse(name)
    kwargs = _check_options(name, dict(kwargs))
    out = kwargs.pop("out", None)
    try:
        given = _signature(implementation).bind(*args, **kwargs).arguments
    except TypeError as error:
        raise trace_error(f"{name}: {error} in the form that can be traced", "Leave this argument out.") from None
    for word in _STATIC & given.keys():
        if _traced_in(given[word]):
            raise trace_error(
                f"{name}: {word} can't depend on a traced value",
                "Use a plain int or array that the function closes over.",
            )
    result = implementation(*args, **kwargs)
    _fix_layout(function, result, args, kwargs)
    return result if out is None else _store(out, result, name)


def _check_options(name, options):
    """The options without those that change nothing here; TraceError for a type that traced values can't have."""
    dtype = options.pop("dtype", None)
    if dtype is not None and np.dtype(dtype) not in (np.float64, np.bool_):
        raise trace_error(f"{name}: dtype={dtype!r}: traced values are float64 or bool", "Leave dtype out.")
    if dtype is not None and np.dtype(dtype) == np.bool_:
        options["dtype"] = dtype
    if options.get("where", True) is not True:
        raise trace_error(f"{name}: where= can't be traced", "Use np.where(condition, f(x), x).")
    for word in ("where", "casting", "subok", "like"):
        options.pop(word, None)
    return options


def _fix_layout(function, result, args, kwargs):
    """Give results of functions the memory order of the real arrays, or mark it as not known."""
    results = result if isinstance(result, list | tuple) else [result]
    given = _traced_in((args, kwargs))
    fresh = [r for r in results if isinstance(r, Traced) and r._base is None and r.ndim > 1]
    fresh = [r for r in fresh if all(r is not v for v in given)]
    if not fresh or all(is_c_ordered(v) for v in given):
        return
    if function in _STRUCTURAL and len(results) == 1:
        layout = function(*_as_layouts(args), **_as_layouts(kwargs))
        result._layout = np.empty_like(layout, dtype=bool)
        result._sure = all(v._sure for v in given)
        return
    for value in fresh:
        value._sure = False


def _traced_in(value):
    if isinstance(value, Traced):
        return [value]
    if isinstance(value, np.ndarray) and value.dtype != object:
        return [lift(value)] if not value.flags.c_contiguous else []
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [found for item in items for found in _traced_in(item)]


def _as_layouts(value):
    if isinstance(value, Traced):
        return value._layout
    if isinstance(value, list | tuple):
        return type(value)(_as_layouts(item) for item in value)
    return {key: _as_layouts(item) for key, item in value.items()} if isinstance(value, dict) else value


def call_ufunc(ufunc: np.ufunc, method: str, inputs: tuple, options: dict):
    """A ufunc, or its ``reduce``, ``accumulate`` or ``outer``."""
    name = ufunc.__name__
    out = options.pop("out", None)
    shown = ("np." if hasattr(np, name) else "scipy.special.") + name + ("" if method == "__call__" else f".{method}")
    options = _check_options(shown, options)
    options.pop("order", None)
    table = UFUNCS if method == "__call__" else _REDUCTIONS.get(method, {})
    if name not in table:
        raise _refuse(shown)
    if method == "__call__" and options:
        raise trace_error(f"{shown}: {', '.join(options)}= can't be traced", "Leave it out.")
    result = table[name](*inputs, **options)
    if out is None:
        return result
    if len(out) == 1:
        return _store(out[0], result, shown)
    return tuple(r if o is None else _store(o, r, shown) for o, r in zip(out, result, strict=True))


_REDUCTIONS: dict[str, dict[str, Callable]] = {"reduce": {}, "accumulate": {}, "outer": {}}


def implements_reduction(method: str, name: str):
    """Decorator: what ``np.<name>.<method>`` does to traced values."""

    def register(implementation):
        _REDUCTIONS[method][name] = implementation
        return implementation

    return register


def _store(out, result, name):
    """Put a result into ``out``: an array made in the model, or an object array."""
    if isinstance(out, Traced):
        FUNCTIONS[np.copyto](out, result)
        return out
    if isinstance(out, np.ndarray) and out.dtype == object and out.shape == result.shape:
        for index in np.ndindex(*out.shape):
            out[index] = result[index] if index else result
        return out
    raise trace_error(
        f"{name} would change a plain NumPy array in place, and a traced value can't be stored in one",
        "Start from a traced array, `total = np.zeros_like(u)`, or write `total = total + x` instead of `total += x`.",
    )


def implements_method(*names: str):
    """Decorator: what methods of arrays do that are more than the NumPy function of their name."""

    def register(implementation):
        METHODS.update(dict.fromkeys(names, implementation))
        return implementation

    return register


def call_method(name: str, value: Traced, args: tuple, kwargs: dict):
    """A method of arrays: the NumPy function of that name, but for how shapes may be written."""
    if name in METHODS:
        return METHODS[name](value, *args, **kwargs)
    if name in ("reshape", "transpose") and len(args) > 1:
        args = (args,)
    return call_function(getattr(np, name), (value, *args), kwargs)


CALL.update(ufunc=call_ufunc, function=call_function, method=call_method)
