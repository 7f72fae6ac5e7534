"""How each elementwise operation is spelled in Julia, and how numbers and indices are.

Names that begin with ``np_`` are in ``julia/src/numpy_ops.jl``: they give NaN where Julia's own functions throw, and
have derivatives at kinks.
"""

import math

LOOP_NAMES = ("i", "j", "l", "m")

ELEMENTWISE: dict[str, str] = {
    "neg": "(-{0})",
    "add": "({0} + {1})",
    "sub": "({0} - {1})",
    "mul": "({0} * {1})",
    "div": "({0} / {1})",
    "pow": "np_pow({0}, {1})",
    "integer_power": "({0}^{attr})",
    "abs": "np_abs({0})",
    "sign": "np_sign({0})",
    "exp": "exp({0})",
    "expm1": "expm1({0})",
    "log": "np_log({0})",
    "log1p": "np_log1p({0})",
    "log2": "np_log2({0})",
    "log10": "np_log10({0})",
    "sqrt": "np_sqrt({0})",
    "cbrt": "np_cbrt({0})",
    "sin": "np_sin({0})",
    "cos": "np_cos({0})",
    "tan": "np_tan({0})",
    "arcsin": "np_arcsin({0})",
    "arccos": "np_arccos({0})",
    "arctan": "atan({0})",
    "sinh": "sinh({0})",
    "cosh": "cosh({0})",
    "tanh": "np_tanh({0})",
    "arcsinh": "asinh({0})",
    "arccosh": "np_arccosh({0})",
    "arctanh": "np_arctanh({0})",
    "floor": "np_floor({0})",
    "ceil": "np_ceil({0})",
    "round": "np_round({0})",
    "trunc": "np_trunc({0})",
    "mod": "np_mod({0}, {1})",
    "arctan2": "np_arctan2({0}, {1})",
    "hypot": "np_hypot({0}, {1})",
    "minimum": "np_minimum({0}, {1})",
    "maximum": "np_maximum({0}, {1})",
    "copysign": "np_copysign({0}, {1})",
    "zero_product": "np_zero_product({0}, {1})",
    "less": "({0} < {1})",
    "less_equal": "({0} <= {1})",
    "greater": "({0} > {1})",
    "greater_equal": "({0} >= {1})",
    "equal": "({0} == {1})",
    "not_equal": "({0} != {1})",
    "logical_and": "({0} & {1})",
    "logical_or": "({0} | {1})",
    "logical_not": "(!{0})",
    "isnan": "isnan({0})",
    "isfinite": "isfinite({0})",
    "to_float": "np_float({0})",
    "where": "np_where({0}, {1}, {2})",
    "interp": "np_interp({0}, {attr})",
}

# reduction -> (start, one step of the accumulator s)
REDUCTIONS: dict[str, tuple[str, str]] = {
    "sum": ("zero(T)", "{s} += {x}"),
    "prod": ("one(T)", "{s} *= {x}"),
    "max": ("convert(T, -Inf)", "{s} = np_maximum({s}, {x})"),
    "min": ("convert(T, Inf)", "{s} = np_minimum({s}, {x})"),
}


def literal(value) -> str:
    """A number as Julia text that reads back to the same bits (NaN to some NaN)."""
    if isinstance(value, bool) or type(value).__name__ == "bool":
        return "true" if value else "false"
    value = float(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Inf" if value > 0 else "(-Inf)"
    return repr(value) if math.copysign(1.0, value) > 0 else f"({value!r})"


_SUM, _PRODUCT, _POWER = frozenset(("add", "sub")), frozenset(("mul", "div")), frozenset(("integer_power",))
# operation -> for each argument, the operations whose parentheses may go there
_BARE = {
    **dict.fromkeys(_SUM, (_SUM | _PRODUCT | _POWER, _PRODUCT | _POWER)),
    **dict.fromkeys(_PRODUCT, (_PRODUCT | _POWER, _POWER)),
}


def spell(op: str, arguments: list[tuple[str | None, str]], attr: str = "") -> str:
    """An operation on arguments, each with its own operation (None: an atom), without needless parentheses."""
    template = ELEMENTWISE[op]
    texts = []
    for k, (inner, text) in enumerate(arguments):
        bare = inner in _BARE[op][k] if op in _BARE else not template.startswith("(")
        texts.append(strip(text) if inner and bare else text)
    return template.format(*texts, attr=attr)


def strip(text: str) -> str:
    """A text without parentheses around the whole of it."""
    depth = 0
    for k, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return text[1:-1] if k == len(text) - 1 and text[0] == "(" else text
    return text


def index(offset: int, strides: tuple[int, ...], names: tuple[str, ...], first: int = 1) -> str:
    """The Julia index of flat position ``offset`` plus strides times variables counted from ``first``: our only +1."""
    return _sum(offset + 1 - first * sum(strides), strides, names)


def shift(offset: int, strides: tuple[int, ...], names: tuple[str, ...]) -> str:
    """The number of elements before flat position ``offset`` plus strides times loop variables that count from 1."""
    return _sum(offset - sum(strides), strides, names)


def _sum(constant, strides, names):
    terms = [name if s == 1 else f"{s}*{name}" for s, name in zip(strides, names, strict=True) if s]
    if not terms:
        return str(constant)
    text = " + ".join(terms).replace("+ -", "- ")
    return text if constant == 0 else f"{text} {'+' if constant > 0 else '-'} {abs(constant)}"


def loop_names(count: int) -> tuple[str, ...]:
    """Names of that many nested loop variables."""
    return (*LOOP_NAMES, *(f"i{k}" for k in range(len(LOOP_NAMES), count)))[:count]
