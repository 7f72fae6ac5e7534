"""Elementwise functions: the ufuncs of NumPy, and a few of ``scipy.special``, in terms of operations."""

import math

import numpy as np

from .calls import REFUSED, implements, implements_reduction
from .lifting import combined_layout, elementwise, is_bool, lift, make_value, record, to_bool, to_float
from .source import trace_error
from .tracer import FUNCTIONS, UFUNCS, Traced, TracedScalar

_SAME = {
    **{name: name for name in "sign exp expm1 log log1p log2 log10 sqrt cbrt sin cos tan arcsin arccos arctan".split()},
    **{name: name for name in "sinh cosh tanh arcsinh arccosh arctanh arctan2 hypot copysign isnan isfinite".split()},
    **{name: name for name in "less less_equal greater greater_equal equal not_equal".split()},
    **{name: name for name in "logical_and logical_or logical_not".split()},
    **{"fabs": "abs", "divide": "div", "true_divide": "div", "float_power": "pow", "rint": "round", "remainder": "mod"},
}
_ON_BOOLS = {"add": "logical_or", "multiply": "logical_and", "maximum": "logical_or", "minimum": "logical_and"}
_ON_FLOATS = {"add": "add", "multiply": "mul", "maximum": "maximum", "minimum": "minimum"}
_LARGEST_EXPONENT = 1024  # of a float that is written as a whole number


def ufunc(*names: str):
    """Decorator: what the ufuncs of these names do to traced values."""

    def register(implementation):
        UFUNCS.update(dict.fromkeys(names, implementation))
        return implementation

    return register


def _operation(op):
    return lambda *values: elementwise(op, *values)


def _by_type(name):
    """Functions that NumPy gives a logical meaning on two bools."""

    def apply(a, b):
        a, b = lift(a), lift(b)
        both = is_bool(a) and is_bool(b)
        return elementwise(_ON_BOOLS[name] if both else _ON_FLOATS[name], a, b)

    return apply


def _integral(name):
    """Functions that leave whole numbers, and so bools, as they are."""
    return lambda x: elementwise(name, x)


UFUNCS.update({name: _operation(op) for name, op in _SAME.items()})
UFUNCS.update({name: _by_type(name) for name in _ON_BOOLS})
UFUNCS.update({name: _integral(name) for name in ("floor", "ceil", "trunc")})


@ufunc("absolute")
def _absolute(x):
    x = lift(x)
    return x if is_bool(x) else elementwise("abs", x)


@ufunc("negative", "subtract")
def _subtract(*values):
    values = [lift(v) for v in values]
    if all(is_bool(v) for v in values):
        raise trace_error(
            "NumPy has no minus for bools",
            "Use ~mask or np.logical_xor(a, b); or `1.0 - mask` for numbers.",
        )
    return elementwise("sub" if len(values) == 2 else "neg", *values)


@ufunc("power", "pow")
def power(base, exponent):
    """``base ** exponent``; a whole number known while tracing becomes an integer power."""
    whole = _whole_number(exponent)
    return elementwise("pow", base, exponent) if whole is None else elementwise("integer_power", base, attrs=(whole,))


def _whole_number(value) -> int | None:
    if isinstance(value, Traced | bool | np.bool_) or np.ndim(value) or not np.isscalar(value):
        return None
    if isinstance(value, int | np.integer):
        return int(value)
    is_whole = isinstance(value, float | np.floating) and value == round_or_nan(value)
    return int(value) if is_whole and abs(value) <= _LARGEST_EXPONENT else None


def round_or_nan(value: float) -> float:
    """The nearest whole number; NaN if there is none."""
    return float(round(value)) if math.isfinite(value) else math.nan


@ufunc("positive", "conjugate")
def _positive(x):
    return make_value(lift(x)._node, combined_layout([lift(x)]), sure=lift(x)._sure)


@ufunc("square")
def _square(x):
    return power(x, 2)


@ufunc("reciprocal")
def _reciprocal(x):
    return elementwise("div", 1.0, x)


@ufunc("exp2")
def _exp2(x):
    return elementwise("pow", 2.0, x)


@ufunc("exp10")
def _exp10(x):
    return elementwise("pow", 10.0, x)


@ufunc("degrees", "rad2deg")
def _degrees(x):
    return elementwise("mul", x, 180.0 / np.pi)


@ufunc("radians", "deg2rad")
def _radians(x):
    return elementwise("mul", x, np.pi / 180.0)


@ufunc("floor_divide")
def floor_divide(a, b):
    """``a // b`` as NumPy computes it: from the remainder, so that 1 // 0.1 is 9."""
    a, b = lift(a), lift(b)
    whole = elementwise("round", elementwise("div", elementwise("sub", a, elementwise("mod", a, b)), b))
    return choose(elementwise("equal", b, 0.0), elementwise("div", a, b), whole)


@ufunc("divmod")
def _divmod(a, b):
    return floor_divide(a, b), elementwise("mod", a, b)


@ufunc("fmod")
def _fmod(a, b):
    a = lift(a)
    rest = elementwise("mod", elementwise("abs", a), elementwise("abs", b))
    return choose(elementwise("less", a, 0.0), elementwise("neg", rest), rest)


@ufunc("modf")
def _modf(x):
    whole = elementwise("trunc", x)
    return elementwise("sub", x, whole), whole


@ufunc("fmax")
def _fmax(a, b):
    return _skip_nan("maximum", lift(a), lift(b))


@ufunc("fmin")
def _fmin(a, b):
    return _skip_nan("minimum", lift(a), lift(b))


def _skip_nan(op, a, b):
    return choose(elementwise("isnan", a), b, choose(elementwise("isnan", b), a, elementwise(op, a, b)))


@ufunc("isinf")
def _isinf(x):
    return elementwise("logical_not", elementwise("logical_or", elementwise("isnan", x), elementwise("isfinite", x)))


@ufunc("signbit")
def _signbit(x):
    return elementwise("less", elementwise("copysign", 1.0, x), 0.0)


@ufunc("heaviside")
def _heaviside(x, at_zero):
    x = lift(x)
    step = choose(elementwise("less", x, 0.0), 0.0, choose(elementwise("equal", x, 0.0), at_zero, 1.0))
    return choose(elementwise("isnan", x), x, step)


@ufunc("logaddexp")
def logaddexp(a, b):
    """``log(exp(a) + exp(b))``: no overflow, and right derivatives where a == b."""
    a, b = to_float(a), to_float(b)
    is_less = elementwise("less", a, b)
    larger, smaller = choose(is_less, b, a), choose(is_less, a, b)
    is_same_infinity = elementwise(
        "logical_and", elementwise("equal", a, b), elementwise("logical_not", elementwise("isfinite", a))
    )
    gap = choose(is_same_infinity, 0.0, elementwise("sub", smaller, larger))
    return elementwise("add", larger, elementwise("log1p", elementwise("exp", gap)))


@ufunc("logaddexp2")
def _logaddexp2(a, b):
    log2 = math.log(2.0)
    return elementwise("div", logaddexp(elementwise("mul", a, log2), elementwise("mul", b, log2)), log2)


@ufunc("expit")
def _expit(x):
    """The logistic function; ``exp`` never overflows, and the derivative at 0 is 1/4."""
    x = to_float(x)
    is_negative = elementwise("less", x, 0.0)
    small = elementwise("exp", choose(is_negative, x, elementwise("neg", x)))
    return elementwise("div", choose(is_negative, small, 1.0), elementwise("add", 1.0, small))


@ufunc("logit")
def _logit(x):
    return elementwise("sub", elementwise("log", x), elementwise("log1p", elementwise("neg", x)))


@ufunc("xlogy")
def _xlogy(x, y):
    return _product_with_zero("log", x, y)


@ufunc("xlog1py")
def _xlog1py(x, y):
    return _product_with_zero("log1p", x, y)


def _product_with_zero(op, x, y):
    x, y = to_float(x), to_float(y)
    is_zero = elementwise(
        "logical_and", elementwise("equal", x, 0.0), elementwise("logical_not", elementwise("isnan", y))
    )
    return choose(is_zero, 0.0, elementwise("mul", x, elementwise(op, choose(is_zero, 1.0, y))))


@ufunc("logical_xor")
def _logical_xor(a, b):
    a, b = to_bool(a), to_bool(b)
    both = elementwise("logical_and", a, b)
    return elementwise("logical_and", elementwise("logical_or", a, b), elementwise("logical_not", both))


def _on_bools(name, implementation):
    def apply(*values):
        values = [lift(v) for v in values]
        if not all(is_bool(v) for v in values):
            raise trace_error(
                f"`{name}` works on conditions, and one side is a number",
                "Put brackets around comparisons, (x > 0) & (x < 1), or use np.logical_and(a, b).",
            )
        return implementation(*values)

    return apply


UFUNCS["bitwise_and"] = _on_bools("&", _operation("logical_and"))
UFUNCS["bitwise_or"] = _on_bools("|", _operation("logical_or"))
UFUNCS["bitwise_xor"] = _on_bools("^", _logical_xor)
UFUNCS["invert"] = UFUNCS["bitwise_invert"] = _on_bools("~", _operation("logical_not"))


def choose(condition, a, b) -> Traced:
    """``np.where`` of a condition that may hold numbers."""
    condition, a, b = to_bool(condition), lift(a), lift(b)
    if not (is_bool(a) and is_bool(b)):
        a, b = to_float(a), to_float(b)
    result = record("where", condition, a, b, layout=combined_layout([condition, a, b]))
    result._sure = all(v._sure for v in (condition, a, b))
    return result


@implements(np.where)
def _where(condition, x=None, y=None):
    if x is None or y is None:
        raise trace_error(
            "np.where(condition) gives positions, which are not known while tracing",
            "Use np.where(condition, a, b).",
        )
    result = choose(condition, x, y)
    return make_value(result._node, result._layout, is_cell=True, sure=result._sure)


@implements(np.clip)
def _clip(a, a_min=None, a_max=None, *, min=None, max=None):
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    result = lift(a)
    if low is not None:
        result = UFUNCS["maximum"](result, low)
    if high is not None:
        result = UFUNCS["minimum"](result, high)
    return _positive(result) if result is a else result


UFUNCS["clip"] = _clip


@implements(np.round, np.around)
def _round(a, decimals=0):
    if decimals == 0:
        return elementwise("round", a)
    factor = 10.0 ** abs(decimals)
    first, last = ("mul", "div") if decimals > 0 else ("div", "mul")
    return elementwise(last, elementwise("round", elementwise(first, a, factor)), factor)


@implements(np.sinc)
def _sinc(x):
    x = elementwise("mul", np.pi, choose(elementwise("equal", x, 0.0), 1e-20, x))
    return elementwise("div", elementwise("sin", x), x)


@implements(np.nan_to_num)
def _nan_to_num(x, copy=True, nan=0.0, posinf=None, neginf=None):
    old, largest = to_float(x), np.finfo(float).max
    new = choose(elementwise("equal", old, np.inf), largest if posinf is None else posinf, old)
    new = choose(elementwise("equal", old, -np.inf), -largest if neginf is None else neginf, new)
    new = choose(elementwise("isnan", old), nan, new)
    if copy or not isinstance(x, Traced):
        return new
    written = x._update(new)
    return written if x.ndim else new  # of no dimension NumPy gives a number, which later writes don't reach


@implements(np.real, np.real_if_close)
def _real(val):
    return val


@implements(np.imag)
def _imag(val):
    return elementwise("mul", 0.0, val)


@implements(np.isreal)
def _isreal(x):
    return FUNCTIONS[np.ones_like](x, dtype=bool)


def _outer(name):
    def apply(a, b):
        a, b = lift(a), lift(b)
        a = record("reshape", a, attrs=((*a.shape, *(1,) * b.ndim),)) if b.ndim else a
        return UFUNCS[name](a, b)

    return apply


for _name in (
    "add",
    "subtract",
    "multiply",
    "divide",
    "minimum",
    "maximum",
    "power",
    *"less greater hypot arctan2".split(),
):
    implements_reduction("outer", _name)(_outer(_name))


def _scalar_method(name):
    return lambda self, *others: UFUNCS[name](self, *others)


for _name in UFUNCS:  # np.sin of an object array calls the method sin of its elements
    if not hasattr(TracedScalar, _name):
        setattr(TracedScalar, _name, _scalar_method(_name))

_NO_TABLE = (
    "It has no operation yet; where its argument is known, compute a table outside f and use np.interp(x, xs, ys)."
)
REFUSED |= dict.fromkeys(
    ["erf", "erfc", "erfinv", "gamma", "gammaln", "beta", "digamma", "j0", "j1", "jv", "lambertw"], _NO_TABLE
)
REFUSED |= {"frexp": "Use np.log2.", "ldexp": "Write x * 2.0**n.", "add.at": "Use a matrix of zeros and ones: M @ x."}
