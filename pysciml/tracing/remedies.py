"""What can't be traced, and what to write instead: chosen from the user's source text."""

import ast
import math

from .source import TraceAttributeError, calling_library, running_place, syntax_at, trace_error

_MATH = {
    "fabs": "np.abs", "asin": "np.arcsin", "acos": "np.arccos", "atan": "np.arctan", "atan2": "np.arctan2",
    "asinh": "np.arcsinh", "acosh": "np.arccosh", "atanh": "np.arctanh", "pow": "**", "fsum": "np.sum",
    "dist": "np.linalg.norm", "prod": "np.prod", "isclose": "np.abs(a - b) < tolerance", "sumprod": "np.dot",
    "copysign": "np.copysign", "fmod": "np.fmod", "hypot": "np.hypot",
}  # fmt: skip
_NO_NUMPY = {"gamma", "lgamma", "erf", "erfc", "factorial", "comb", "perm", "gcd", "lcm", "isqrt", "nextafter", "ulp"}

_CHOICE = "Use np.where(condition, a, b), which computes both and chooses elementwise."
_SYNTAX_REMEDIES: dict[type, tuple[str, str]] = {
    ast.And: ("`and`", "Use np.logical_and(a, b), or (a) & (b) with the brackets."),
    ast.Or: ("`or`", "Use np.logical_or(a, b), or (a) | (b) with the brackets."),
    ast.Not: ("`not`", "Use np.logical_not(a), or ~(a) with the brackets."),
    ast.If: ("`if`", _CHOICE),
    ast.IfExp: ("`a if condition else b`", _CHOICE),
    ast.While: ("`while`", "Use a for loop over a fixed range, with np.where for what depends on the state."),
    ast.Assert: ("`assert`", "Check results after solving; the model function only says what du/dt is."),
    ast.comprehension: ("`if` in a comprehension", _CHOICE),
    ast.Match: ("`match`", _CHOICE),
}
_CALL_REMEDIES = {
    "max": "Use np.maximum(a, b), or np.max(np.stack([a, b, ...])) for more than two.",
    "min": "Use np.minimum(a, b), or np.min(np.stack([a, b, ...])) for more than two.",
    "sorted": "The order of traced values is not known: use np.minimum and np.maximum.",
    "any": "Use np.any(x), or np.logical_or(a, b).",
    "all": "Use np.all(x), or np.logical_and(a, b).",
    "bool": "Drop bool(): a comparison can be used in np.where and in arithmetic.",
    "filter": _CHOICE,
}
_OBJECTS = (
    "np.array([...]) of traced values is an array of Python objects, on which NumPy's comparisons, np.maximum, np.sign "
    "or np.linalg.norm do not work: build it with np.stack([...])."
)
_PUSH = (
    "Make the array from a traced one, `z = np.zeros_like(u)` (any shape: `np.zeros_like(u[0], shape=2)`), or build it "
    "at once: np.stack([a, b])."
)


def _called(node: ast.AST) -> str:
    """The last name of what a call calls: ``sin`` of ``math.sin(x)``."""
    if not isinstance(node, ast.Call):
        return ""
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def _bool_remedy(chain: list[ast.AST]) -> tuple[str, str] | None:
    """What asked for the truth of a traced value, and the remedy, from an expression and its ancestors."""
    node = chain[0]
    if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
        return "`in`", "Compare with each value and combine: np.logical_or(x == a, x == b)."
    if isinstance(node, ast.Compare) and len(node.ops) > 1:
        return "a chained comparison", "Write (a < x) & (x < b), with the brackets."
    if _called(node) in _CALL_REMEDIES and isinstance(node.func, ast.Name):
        return f"Python's {_called(node)}()", _CALL_REMEDIES[_called(node)]
    if isinstance(node, ast.If | ast.While | ast.Assert):
        return _SYNTAX_REMEDIES[type(node)]
    for child, parent in zip(chain, [*chain[1:], None], strict=True):
        if isinstance(child, ast.BoolOp | ast.UnaryOp) and type(child.op) in _SYNTAX_REMEDIES:
            return _SYNTAX_REMEDIES[type(child.op)]
        if isinstance(parent, ast.match_case) and child is parent.pattern:
            return _SYNTAX_REMEDIES[ast.Match]
        is_test = child is getattr(parent, "test", None) or (
            isinstance(parent, ast.comprehension) and child in parent.ifs
        )
        if is_test and type(parent) in _SYNTAX_REMEDIES:
            return _SYNTAX_REMEDIES[type(parent)]
    return None


def explain_bool():
    """The error of asking whether a traced value is true."""
    place = running_place()
    found = [remedy for chain in syntax_at(place) if (remedy := _bool_remedy(chain))]
    asked, remedy = found[0] if found else ("this line", f"{_CHOICE} {_OBJECTS}")
    return trace_error(
        f"{asked} asks whether a traced value is true; its value is not known while the model is traced", remedy, place
    )


def _conversion_remedy(chain: list[ast.AST]) -> str | None:
    node = chain[0]
    word = _called(node)
    is_bare = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    if word in ("array", "asarray"):
        return "Leave dtype out of np.array([...]), or build it with np.stack([a, b])."
    if isinstance(node, ast.Call) and getattr(getattr(node.func, "value", None), "id", "") in ("np", "numpy"):
        return f"np.{word} does not accept this argument traced. {_OBJECTS}"
    if word in _NO_NUMPY:
        return f"math.{word} has no form that can be traced; a table does: np.interp(x, xs, ys)."
    if hasattr(math, word):
        name = _MATH.get(word, f"np.{word}")
        return (
            f"Use {name} instead of math.{word}."
            if name.startswith("np")
            else f"Use `a {name} b` instead of math.{word}."
        )
    if is_bare and word == "float":
        return "Drop float(): traced numbers compute like floats."
    if is_bare and word == "int":
        return "Use np.floor(x) or np.trunc(x); an index or a loop count must be a plain int, closed over."
    if is_bare and word == "complex":
        return "Write real and imaginary parts as two states."
    target = getattr(chain[-1], "targets", [getattr(chain[-1], "target", None)])[0]
    return _PUSH if isinstance(target, ast.Subscript) and isinstance(node, ast.Subscript) else None


_LIBRARIES = {
    "vectorize": "Drop np.vectorize: NumPy's functions work elementwise already, with np.where for `if`.",
    "scipy": "SciPy's functions can't be traced, but for the ufuncs of scipy.special: make a fine table outside f and "
    "use np.interp(x, xs, ys).",
    "jax": "Use NumPy's functions: np.sin instead of jnp.sin.",
    "jaxlib": "Use NumPy's functions: np.sin instead of jnp.sin.",
    "torch": "Use NumPy's functions: np.sin instead of torch.sin.",
    "numba": "Take the @njit off functions that the model calls: the whole model is compiled.",
    "pandas": "Use NumPy arrays: series.to_numpy() outside f.",
}


def library_remedy(library: str) -> str:
    """What to write instead of a call into another library."""
    return _LIBRARIES.get(library, "")


def explain_conversion(kind: str):
    """The error of turning a traced value into a Python number."""
    place, library = running_place(), library_remedy(calling_library())
    if library:
        return trace_error("a traced value was handed to a library that needs its number", library, place)
    found = [remedy for chain in syntax_at(place) if (remedy := _conversion_remedy(chain))]
    if kind == "index":
        problem = "a traced value can't be an index, a length or a loop count: its value is not known while tracing"
        remedy = "Use a plain int that the function closes over; for a table use np.interp, for a choice np.where."
        return trace_error(problem, remedy if not found or "int" not in found[0] else found[0], place)
    problem = f"a traced value can't become a Python {kind}, nor be stored in a plain array: its value is not known yet"
    general = f"{_PUSH} Instead of math.sin use np.sin; drop float()."
    return trace_error(problem, found[0] if found else general, place)


def explain_array(value):
    """The error of turning a traced array into a plain one."""
    return trace_error(
        f"a traced array (shape {value.shape}) can't become a plain NumPy array, nor be stored in one",
        library_remedy(calling_library())
        or "Join arrays with np.stack([a, b]) or np.concatenate([a, b]) instead of np.array([a, b]); it is an array "
        "already: drop np.asarray(u); copy with u.copy(); fill an array that starts as `z = np.zeros_like(u)`.",
    )


def explain_hash():
    """The error of using a traced value as a dictionary key, in a set, or as the argument of a cached function."""
    return trace_error(
        "a traced value can't be a dictionary key, a member of a set or the argument of a cached function",
        "Take functools.lru_cache off functions that the model calls; use np.interp for a table.",
    )


_ATTRIBUTES = {
    "sel": "Traced values have no xarray labels: write x[3] or x[2:5]; find positions outside f.",
    "isel": "Traced values have no xarray dims: write x[3] or x[2:5], with axes in declared order.",
    "values": "Drop .values: it is an array already.",
    "data": "Drop .data: it is an array already.",
    "item": "Drop .item(): traced numbers compute like floats.",
    "tolist": "Traced values can't become Python lists: [x[k] for k in range(len(x))] works.",
    "flat": "Write x.reshape(-1)[k].",
    "dims": "Traced values have no xarray dims; x.shape has the axes in declared order.",
    "coords": "Traced values have no xarray coordinates: close over the array of coordinates.",
    "rolling": "Use np.convolve or slices such as (x[2:] + x[1:-1] + x[:-2]) / 3.",
    "shift": "Use np.roll(x, k, axis), or slices.",
    "interp": "Use np.interp(x, xs, ys).",
    "sort": "The order of traced values is not known while tracing.",
    "argmax": "The position of a maximum is not known while tracing; np.max(x) works.",
    "argmin": "The position of a minimum is not known while tracing; np.min(x) works.",
    "nonzero": "Use np.where(condition, a, b).",
}


def explain_attribute(value, name: str):
    """The error of an attribute that a traced value does not have."""
    remedy = _ATTRIBUTES.get(name, "It has NumPy's arithmetic, functions, indexing and the common methods of arrays.")
    return trace_error(f"a traced value (shape {value.shape}) has no .{name}", remedy, kind=TraceAttributeError)


class NotANumber:
    """Base of records and networks: arithmetic and NumPy functions of the whole raise what ``__refuse__`` says."""

    __slots__ = ()

    def __refuse__(self):
        """The error, with what to write instead."""
        raise NotImplementedError

    def __array_ufunc__(self, *args, **kwargs):
        raise self.__refuse__()

    def __array_function__(self, *args, **kwargs):
        raise self.__refuse__()

    def __array__(self, *args, **kwargs):
        raise self.__refuse__()


def _refuse_operator(self, *others):
    raise self.__refuse__()


_ARITHMETIC = "add sub mul truediv floordiv mod pow matmul and or xor".split()
for _word in [*_ARITHMETIC, *(f"r{word}" for word in _ARITHMETIC), *"neg pos abs invert lt le gt ge float int".split()]:
    setattr(NotANumber, f"__{_word}__", _refuse_operator)
