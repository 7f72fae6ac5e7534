"""Slopes: the partial derivatives of elementwise operations, written once for all derivative passes.

Each takes ``op(name, *args, attrs=())``, which applies one operation to nodes and to plain floats, the value ``y`` and
the arguments. A slope may have a smaller shape than ``y``; None stands for 0 everywhere.

What holds at kinks, here and in every engine: ``abs`` 0 at 0; ``minimum``, ``maximum`` one half each at ties;
``hypot``, ``arctan2`` and ``copysign`` 0 at 0; ``0**p`` has derivative 0 with respect to p, and with respect to its
base 0 for p > 1 or p = 0, 1 for p = 1 and an infinity otherwise; ``sqrt``, ``cbrt`` and ``log`` have infinite slopes
at 0.
"""

import math
from collections.abc import Callable

Slope = Callable | None


def _over(op, a, b):
    """``a / b``, and 0 where b is 0."""
    return op("where", op("equal", b, 0.0), 0.0, op("div", a, b))


def _share(op, chosen, other):
    """1 where ``chosen``, one half where neither it nor ``other``."""
    return op("where", chosen, 1.0, op("where", other, 0.0, 0.5))


def _inverse_root(factor):
    """``factor / sqrt((1 - x) (1 + x))``."""
    return lambda op, y, x: op("div", factor, op("sqrt", op("mul", op("sub", 1.0, x), op("add", 1.0, x))))


def _arccosh(op, y, x):
    return op("div", 1.0, op("sqrt", op("mul", op("sub", x, 1.0), op("add", x, 1.0))))


def _arctanh(op, y, x):
    return op("div", 1.0, op("mul", op("sub", 1.0, x), op("add", 1.0, x)))


def _power_base(op, y, a, b):
    return op("where", op("equal", b, 0.0), 0.0, op("mul", b, op("pow", a, op("sub", b, 1.0))))


def _power_exponent(op, y, a, b):
    zero = op("equal", a, 0.0)
    return op("where", zero, 0.0, op("mul", y, op("log", op("where", zero, 1.0, a))))


def _arctan2_first(op, y, a, b):
    h = op("hypot", a, b)
    return _over(op, _over(op, b, h), h)


def _arctan2_second(op, y, a, b):
    h = op("hypot", a, b)
    return op("neg", _over(op, _over(op, a, h), h))


# operation -> one slope an argument
SLOPES: dict[str, tuple[Slope, ...]] = {
    "neg": (lambda op, y, x: -1.0,),
    "abs": (lambda op, y, x: op("sign", x),),
    "exp": (lambda op, y, x: y,),
    "expm1": (lambda op, y, x: op("add", y, 1.0),),
    "log": (lambda op, y, x: op("div", 1.0, x),),
    "log1p": (lambda op, y, x: op("div", 1.0, op("add", 1.0, x)),),
    "log2": (lambda op, y, x: op("div", 1.0, op("mul", x, math.log(2))),),
    "log10": (lambda op, y, x: op("div", 1.0, op("mul", x, math.log(10))),),
    "sqrt": (lambda op, y, x: op("div", 0.5, y),),
    "cbrt": (lambda op, y, x: op("div", 1.0, op("mul", 3.0, op("mul", y, y))),),
    "sin": (lambda op, y, x: op("cos", x),),
    "cos": (lambda op, y, x: op("neg", op("sin", x)),),
    "tan": (lambda op, y, x: op("add", 1.0, op("mul", y, y)),),
    "arcsin": (_inverse_root(1.0),),
    "arccos": (_inverse_root(-1.0),),
    "arctan": (lambda op, y, x: op("div", 1.0, op("add", 1.0, op("mul", x, x))),),
    "sinh": (lambda op, y, x: op("cosh", x),),
    "cosh": (lambda op, y, x: op("sinh", x),),
    "tanh": (lambda op, y, x: op("mul", op("sub", 1.0, y), op("add", 1.0, y)),),
    "arcsinh": (lambda op, y, x: op("div", 1.0, op("hypot", 1.0, x)),),
    "arccosh": (_arccosh,),
    "arctanh": (_arctanh,),
    "add": (lambda op, y, a, b: 1.0, lambda op, y, a, b: 1.0),
    "sub": (lambda op, y, a, b: 1.0, lambda op, y, a, b: -1.0),
    "mul": (lambda op, y, a, b: b, lambda op, y, a, b: a),
    "zero_product": (lambda op, y, a, b: b, lambda op, y, a, b: a),
    "div": (lambda op, y, a, b: op("div", 1.0, b), lambda op, y, a, b: op("neg", op("div", y, b))),
    "pow": (_power_base, _power_exponent),
    "mod": (lambda op, y, a, b: 1.0, lambda op, y, a, b: op("neg", op("floor", op("div", a, b)))),
    "arctan2": (_arctan2_first, _arctan2_second),
    "hypot": (lambda op, y, a, b: _over(op, a, y), lambda op, y, a, b: _over(op, b, y)),
    "minimum": (
        lambda op, y, a, b: _share(op, op("less", a, b), op("less", b, a)),
        lambda op, y, a, b: _share(op, op("less", b, a), op("less", a, b)),
    ),
    "maximum": (
        lambda op, y, a, b: _share(op, op("greater", a, b), op("greater", b, a)),
        lambda op, y, a, b: _share(op, op("greater", b, a), op("greater", a, b)),
    ),
    "copysign": (lambda op, y, a, b: op("mul", op("sign", a), op("copysign", 1.0, b)), None),
    **dict.fromkeys(("sign", "floor", "ceil", "round", "trunc"), (None,)),
}

# A slope of these may be infinite where the value is finite.
SINGULAR = frozenset("log log1p log2 log10 sqrt cbrt arcsin arccos arccosh arctanh pow zero_product".split())


def slope_integer_power(op, y, x, exponent: int):
    """Slope of ``x ** exponent``, whose exponent is an attribute."""
    if exponent == 0:
        return None
    return op("mul", float(exponent), op("integer_power", x, attrs=(exponent - 1,))) if exponent != 1 else 1.0
