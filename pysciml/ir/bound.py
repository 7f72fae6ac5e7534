"""How far another correct evaluator may be from the oracle: a forward error bound carried along by the oracle.

Every value carries an error. An elementwise operation is evaluated again with its arguments moved by ``SPREAD`` times
their errors to either side: the largest change, divided by ``SPREAD``, is what the errors become, and the rounding of
the operation itself is added. So the bound knows the slope and the curvature of each operation without a table
of derivatives, and the same corners tell where the result is a matter of luck: a comparison near a tie, a rounding at
a half, a logarithm or a quotient that may be NaN or infinite. Such elements have an infinite error from there on.
"""

import itertools
from collections.abc import Callable

import numpy as np

from .evaluate import EVALUATE, check_inputs
from .network import apply_network
from .ops import OPERATIONS
from .program import Program

EPS = np.finfo(float).eps
TINY = np.finfo(float).tiny  # below it an evaluator may flush to zero
HUGE = 1e307  # above it, or if something on the way may be, overflow is a matter of luck
SPREAD = 100.0  # tests accept 100 times the bound
SIGN_ONLY = 1e-320  # an error below it concerns only the sign of a zero

# Zeros whose sign may differ between evaluators (x + 0, max(0, -0), sums that start at +0)
_UNSIGNED_ZERO = frozenset("add sub sum matmul maximum minimum max min cumsum mod".split())
# Arguments that must not come near a change of sign: poles and jumps
_SIGNED = {"div": (1,), "pow": (0,), "arctan2": (0,), "copysign": (1,)}
_UNDERFLOWING = frozenset("mul zero_product div exp pow integer_power prod".split())
_EXACT = frozenset("neg abs maximum minimum copysign".split())
_DISCRETE = frozenset("sign floor ceil round trunc isnan isfinite less less_equal greater greater_equal".split())

# (attrs, value, values of the arguments, their errors) -> error, infinite where the value is a matter of luck
Rule = Callable[[tuple, np.ndarray, list, list], np.ndarray]


def evaluate_with_bound(program: Program, *inputs) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """The outputs of a program and an error bound for each of their elements.

    Parameters
    ----------
    program : Program
    *inputs : array_like
        As for ``evaluate_program``; taken as exact.

    Returns
    -------
    outputs, bounds : tuples of arrays
        Bounds have the outputs' shapes. A bound is the error to first order of an evaluator whose operations are
        right to the last bit or so. It is infinite where the inputs are too close to a tie, a pole or the limits of
        floating point for any evaluator to be held to a value, and 0 for NaN and infinity that every evaluator must
        find.
    """
    arrays = check_inputs(program, inputs)
    pairs: list[tuple] = []
    with np.errstate(all="ignore"):
        for node in program.nodes:
            if node.op in ("input", "constant"):
                value = (arrays if node.op == "input" else program.constants)[node.attrs[0]]
                pairs.append((value, np.zeros(value.shape)))
            else:
                pairs.append(_apply(node.op, *(pairs[i] for i in node.args), attrs=node.attrs))
    chosen = [pairs[output.node] for output in program.outputs]
    return tuple(np.asarray(value) for value, _ in chosen), tuple(np.asarray(error) for _, error in chosen)


def _apply(op, *args, attrs=()):
    """Value and error of one operation on pairs; plain numbers and arrays are exact."""
    pairs = [a if isinstance(a, tuple) else (np.asarray(a, dtype=float), np.zeros(np.shape(a))) for a in args]
    if op == "network":
        return apply_network(_apply, attrs, *pairs)
    values, errors = [p[0] for p in pairs], [p[1] for p in pairs]
    value = EVALUATE[op](*attrs)(*values)
    error = RULES[op](attrs, value, values, errors) if op in RULES else _corners(op, attrs, value, values, errors)
    return value, _finish(op, value, values, error)


def _finish(op, value, values, error):
    """Underflow, overflow, the sign of zeros; NaN and infinity are exact unless a matter of luck."""
    if value.dtype == np.bool_:
        return error
    magnitude = np.abs(value)
    error = np.where(np.isnan(error), np.inf, error)
    error = error + np.where((magnitude > 0) & (magnitude < 4 * TINY), 4 * TINY, 0.0)
    if op in _UNDERFLOWING:
        error = error + np.where((magnitude == 0) & _all_regular(op, values), 4 * TINY, 0.0)
    if op in _UNSIGNED_ZERO:
        error = np.where((magnitude == 0) & (error == 0), 5e-324, error)
    if OPERATIONS[op].kind != "structural" and op != "where":
        error = np.where((magnitude > HUGE) & np.isfinite(value), np.inf, error)
    return np.where(np.isfinite(value) | np.isinf(error), error, 0.0)


def _all_regular(op, values):
    """Whether a zero result can only come from underflow."""
    if op == "prod":
        return False  # its own rule decides
    return np.logical_and.reduce(np.broadcast_arrays(*(np.isfinite(v) & ((v != 0) | (op == "exp")) for v in values)))


def _any_unknown(errors):
    """Elementwise: whether an argument is a matter of luck already."""
    return np.logical_or.reduce(np.broadcast_arrays(*(np.isinf(e) for e in errors)))


def _same(a, b):
    return (a == b) | (np.isnan(a) & np.isnan(b))


def _moved(values, errors):
    """The corners of the box of ``SPREAD`` errors around the arguments."""
    deltas = [SPREAD * np.where(np.isinf(e), 0.0, e) for e in errors]
    for signs in itertools.product((-1.0, 1.0), repeat=len(values)):
        yield [v + s * d for v, s, d in zip(values, signs, deltas, strict=True)]


def _corners(op, attrs, value, values, errors):
    """The rule of smooth elementwise operations, and of those with poles and jumps."""
    function = EVALUATE[op](*attrs)
    unknown = _any_unknown(errors) | _near_jump(op, attrs, values, errors)
    change = np.zeros(np.shape(value))
    for corner in _moved(values, errors):
        moved = function(*corner)
        finite = np.isfinite(value)
        unknown = unknown | ~np.where(finite, np.isfinite(moved), _same(moved, value))
        change = np.fmax(change, np.where(finite, np.abs(moved - value), 0.0))
    if op in ("sin", "cos"):
        change = np.where(SPREAD * errors[0] > 1.0, 2.0, change)
    rounding = 0.0 if op in _EXACT else EPS * (1 + abs(attrs[0]) if op == "integer_power" else 1)
    return np.where(unknown, np.inf, change / SPREAD + rounding * np.abs(np.where(np.isfinite(value), value, 0.0)))


def _near_jump(op, attrs, values, errors):
    """Elementwise: whether a pole or a jump lies inside the box of the arguments, where corners might miss it."""
    signed = (0,) if op == "integer_power" and attrs[0] < 0 else _SIGNED.get(op, ())
    near = np.bool_(False)
    for i in signed:
        x, d = values[i], SPREAD * errors[i]
        near = near | (np.signbit(x - d) != np.signbit(x + d)) & (d > 0)
    if op == "copysign":
        near = near | np.isnan(values[1])  # the sign of a NaN means nothing
    if op == "tan":
        x, d = values[0], SPREAD * errors[0]
        near = near | (d > 1.0) | (np.floor((x - d) / np.pi + 0.5) != np.floor((x + d) / np.pi + 0.5)) & (d > 0)
    if op == "mod":
        quotient = np.floor(values[0] / values[1])
        for a, b in _moved(values, errors):
            near = near | ~_same(np.floor(a / b), quotient)
    return near


def _discrete(function, *others):
    """Rule of an operation whose result is one of a few values: exact, or a matter of luck."""

    def rule(attrs, value, values, errors):
        errors = [np.where(e <= SIGN_ONLY, 0.0, e) for e in errors]
        unknown = _any_unknown(errors)
        for test in (function, *others):
            here = test(*values)
            for corner in _moved(values, errors):
                unknown = unknown | ~_same(test(*corner), here)
        return np.where(unknown, np.inf, 0.0)

    return rule


def _exact(attrs, value, values, errors):
    return np.where(_any_unknown(errors), np.inf, 0.0)


def _where(attrs, value, values, errors):
    """The error of the branch taken."""
    return np.where(np.isinf(errors[0]), np.inf, np.where(values[0], errors[1], errors[2]))


def _interp(attrs, value, values, errors):
    """Errors of x through the curve, errors of the heights as they are; the places must be exact."""
    (x, places, heights), (x_error, places_error, heights_error) = values, errors
    if not np.isfinite(heights).all() or np.any(places_error) or np.isinf(heights_error).any():
        return np.full(np.shape(value), np.inf)
    moved = [np.interp(corner, places, heights) for (corner,) in _moved([x], [x_error])]
    change = np.fmax(*(np.where(np.isnan(x), 0.0, np.abs(m - value)) for m in moved))
    right = np.clip(np.searchsorted(places, x), 1, len(places) - 1)
    scale = np.maximum(np.abs(heights[right - 1]), np.abs(heights[right]))
    error = change / SPREAD + np.maximum(heights_error[right - 1], heights_error[right]) + 8 * EPS * scale
    return np.where(np.isinf(x_error), np.inf, error)


def _finite_magnitude(x):
    return np.where(np.isfinite(x), np.abs(x), 0.0)


def _sum(attrs, value, values, errors):
    x, axes = values[0], attrs[0]
    n = int(np.prod([np.shape(x)[i] for i in axes], dtype=int))
    total = np.sum(_finite_magnitude(x), axis=axes)
    return np.where(total > HUGE, np.inf, np.sum(errors[0], axis=axes) + n * EPS * total)


def _cumsum(attrs, value, values, errors):
    x, axis = values[0], attrs[0]
    total = np.cumsum(_finite_magnitude(x), axis=axis)
    return np.where(total > HUGE, np.inf, np.cumsum(errors[0], axis=axis) + np.shape(x)[axis] * EPS * total)


def _prod(attrs, value, values, errors):
    """The products of any order must stay within range, else NaN and infinity depend on the order."""
    x, error, axes = values[0], errors[0], attrs[0]
    n = int(np.prod([np.shape(x)[i] for i in axes], dtype=int))
    size = np.abs(x)
    most = np.prod(np.where(np.isfinite(x), np.maximum(size, 1.0), 1.0), axis=axes)
    least = np.prod(np.where(np.isfinite(x) & (x != 0), np.minimum(size, 1.0), 1.0), axis=axes)
    uncertain = (size <= SPREAD * error) & (error > 0)
    clash = np.any(np.isinf(x), axis=axes) & np.any(uncertain, axis=axes)
    unknown = np.any(np.isinf(error), axis=axes) | (most > HUGE) | (least < 1e-290) | clash
    change = (np.prod(size + SPREAD * error, axis=axes) - np.prod(size, axis=axes)) / SPREAD
    return np.where(unknown, np.inf, np.where(np.isfinite(value), change + n * EPS * np.abs(value), 0.0))


def _extreme(attrs, value, values, errors):
    return np.max(errors[0], axis=attrs[0])


def _matmul(attrs, value, values, errors):
    (a, b), n = values, np.shape(values[0])[-1]
    unknown_a, unknown_b = (np.isinf(e).astype(float) for e in errors)
    error_a, error_b = (np.where(np.isinf(e), 0.0, e) for e in errors)
    size_a, size_b = _finite_magnitude(a), _finite_magnitude(b)
    uncertain_a, uncertain_b = (
        ((s <= SPREAD * e) & (e > 0)).astype(float) for s, e in ((size_a, error_a), (size_b, error_b))
    )
    infinite_a, infinite_b = np.isinf(a).astype(float), np.isinf(b).astype(float)
    total = size_a @ size_b
    error = error_a @ size_b + size_a @ error_b + error_a @ error_b + n * (EPS * total + TINY * (total > 0))
    luck = unknown_a @ np.ones_like(b) + np.ones_like(a) @ unknown_b
    luck = luck + infinite_a @ uncertain_b + uncertain_a @ infinite_b
    return np.where((luck > 0) | (total > HUGE), np.inf, error)


def _moving(op):
    """Rule of a structural operation: errors move as values do."""
    return lambda attrs, value, values, errors: EVALUATE[op](*attrs)(*errors)


RULES: dict[str, Rule] = {
    **{op: _moving(op) for op, row in OPERATIONS.items() if row.kind == "structural"},
    **{op: _discrete(EVALUATE[op]()) for op in _DISCRETE},
    **{op: _discrete(EVALUATE[op](), np.less, np.greater) for op in ("equal", "not_equal")},
    **{op: _exact for op in "logical_and logical_or logical_not to_float".split()},
    **{"where": _where, "interp": _interp, "sum": _sum, "cumsum": _cumsum, "prod": _prod},
    **{"max": _extreme, "min": _extreme, "matmul": _matmul},
}
