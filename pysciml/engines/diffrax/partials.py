"""Elementwise operations with their partial derivatives, right at kinks and beside branches that ``where`` drops.

JAX's own rules multiply an infinite partial by the zero that a dropped branch hands back, and get NaN. Here every
product of a partial with a (co)tangent is a ``zero_product``, in which a factor 0 always wins: a dropped branch adds
exactly 0, in forward and reverse mode, and so does ``norm`` at 0.

What holds at kinks: ``abs`` 0 at 0; ``minimum``, ``maximum`` one half each at ties; ``hypot``, ``arctan2`` and
``copysign`` 0 at 0; ``0**p`` has derivative 0 with respect to p, and with respect to its base 0 for p > 1 or p = 0,
1 for p = 1 and an infinity otherwise; ``sqrt``, ``cbrt`` and ``log`` have infinite slopes at 0.
"""

from collections.abc import Callable
from math import log

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir


def _product(a, b):
    return jnp.where((a == 0) | (b == 0), 0.0, a * b)


def _batch_product(operands, axes):
    """Both factors with the batch in front and of one shape."""
    size = next(x.shape[axis] for x, axis in zip(operands, axes, strict=True) if axis is not None)
    moved = [
        jnp.broadcast_to(x, (size, *x.shape)) if axis is None else jnp.moveaxis(x, axis, 0)
        for x, axis in zip(operands, axes, strict=True)
    ]
    return zero_product_p.bind(*moved), 0


zero_product_p = Primitive("zero_product")
zero_product_p.def_impl(jax.jit(_product))
zero_product_p.def_abstract_eval(lambda a, b: a)
mlir.register_lowering(zero_product_p, mlir.lower_fun(_product, multiple_results=False))
batching.primitive_batchers[zero_product_p] = _batch_product
# bilinear as far as differentiation is concerned: the product rule holds wherever both factors are finite
ad.defbilinear(zero_product_p, lambda ct, a, b: zero_product(ct, b), lambda ct, a, b: zero_product(a, ct))


def zero_product(a, b):
    """``a * b`` of two arrays of one shape, 0 where either factor is 0, whatever the other is."""
    return zero_product_p.bind(a, b)


def differentiable(function: Callable, *partials: Callable) -> Callable:
    """``function`` of arrays of any shapes that broadcast, with derivatives from ``partials``, each of ``(y, *x)``."""
    inner = jax.custom_jvp(function)

    def rule(primals, tangents):
        y = inner(*primals)
        terms = [
            zero_product(jnp.broadcast_to(partial(y, *primals), y.shape).astype(y.dtype), tangent)
            for partial, tangent in zip(partials, tangents, strict=True)
            if not isinstance(tangent, SymbolicZero)
        ]
        return y, sum(terms[1:], terms[0]) if terms else jnp.zeros_like(y)

    inner.defjvp(rule, symbolic_zeros=True)
    return lambda *args: inner(*jnp.broadcast_arrays(*args))


def integer_power(exponent: int) -> Callable:
    """``x ** exponent`` of a Python int."""

    def slope(y, x):
        return exponent * jax.lax.integer_pow(x, exponent - 1) if exponent else jnp.zeros_like(x)

    return differentiable(lambda x: jax.lax.integer_pow(x, exponent), slope)


def _mod(a, b):
    """``np.mod``: the sign of the divisor, of a zero as well."""
    remainder = jnp.mod(a, b)
    return jnp.where(remainder == 0, jnp.copysign(remainder, b), remainder)


def _guarded(log):
    """A logarithm that is NaN below 0 in compiled code too: XLA turns log(a**b) into b * log(abs(a))."""
    return lambda x: jnp.where(x >= 0, log(x), jnp.nan)


def _over(a, b):
    """``a / b``, and 0 where b is 0."""
    return jnp.where(b == 0, 0.0, a / jnp.where(b == 0, 1.0, b))


def _power_base(y, a, b):
    return jnp.where(b == 0, 0.0, b * a ** (b - 1))


def _power_exponent(y, a, b):
    return jnp.where(a == 0, 0.0, y * jnp.log(jnp.where(a == 0, 1.0, a)))


def _share(chosen, other):
    """1 where ``chosen``, one half where neither it nor ``other``."""
    return jnp.where(chosen, 1.0, jnp.where(other, 0.0, 0.5))


ELEMENTWISE: dict[str, Callable] = {
    "abs": differentiable(jnp.abs, lambda y, x: jnp.sign(x)),
    "exp": differentiable(jnp.exp, lambda y, x: y),
    "expm1": differentiable(jnp.expm1, lambda y, x: y + 1),
    "log": differentiable(_guarded(jnp.log), lambda y, x: 1 / x),
    "log1p": differentiable(jnp.log1p, lambda y, x: 1 / (1 + x)),
    "log2": differentiable(_guarded(jnp.log2), lambda y, x: 1 / (x * log(2))),
    "log10": differentiable(_guarded(jnp.log10), lambda y, x: 1 / (x * log(10))),
    "sqrt": differentiable(jnp.sqrt, lambda y, x: 0.5 / y),
    "cbrt": differentiable(jnp.cbrt, lambda y, x: 1 / (3 * y * y)),
    "sin": differentiable(jnp.sin, lambda y, x: jnp.cos(x)),
    "cos": differentiable(jnp.cos, lambda y, x: -jnp.sin(x)),
    "tan": differentiable(jnp.tan, lambda y, x: 1 + y * y),
    "arcsin": differentiable(jnp.arcsin, lambda y, x: 1 / jnp.sqrt((1 - x) * (1 + x))),
    "arccos": differentiable(jnp.arccos, lambda y, x: -1 / jnp.sqrt((1 - x) * (1 + x))),
    "arctan": differentiable(jnp.arctan, lambda y, x: 1 / (1 + x * x)),
    "sinh": differentiable(jnp.sinh, lambda y, x: jnp.cosh(x)),
    "cosh": differentiable(jnp.cosh, lambda y, x: jnp.sinh(x)),
    "tanh": differentiable(jnp.tanh, lambda y, x: (1 - y) * (1 + y)),
    "arcsinh": differentiable(jnp.arcsinh, lambda y, x: 1 / jnp.hypot(1.0, x)),
    "arccosh": differentiable(jnp.arccosh, lambda y, x: 1 / jnp.sqrt((x - 1) * (x + 1))),
    "arctanh": differentiable(jnp.arctanh, lambda y, x: 1 / ((1 - x) * (1 + x))),
    "mul": differentiable(jnp.multiply, lambda y, a, b: b, lambda y, a, b: a),
    "div": differentiable(jnp.divide, lambda y, a, b: 1 / b, lambda y, a, b: -y / b),
    "pow": differentiable(jnp.power, _power_base, _power_exponent),
    "mod": differentiable(_mod, lambda y, a, b: jnp.ones_like(y), lambda y, a, b: -jnp.floor(a / b)),
    "arctan2": differentiable(
        jnp.arctan2,
        lambda y, a, b: _over(_over(b, jnp.hypot(a, b)), jnp.hypot(a, b)),
        lambda y, a, b: -_over(_over(a, jnp.hypot(a, b)), jnp.hypot(a, b)),
    ),
    "hypot": differentiable(jnp.hypot, lambda y, a, b: _over(a, y), lambda y, a, b: _over(b, y)),
    "minimum": differentiable(jnp.minimum, lambda y, a, b: _share(a < b, b < a), lambda y, a, b: _share(b < a, a < b)),
    "maximum": differentiable(jnp.maximum, lambda y, a, b: _share(a > b, b > a), lambda y, a, b: _share(b > a, a > b)),
    "copysign": differentiable(
        jnp.copysign, lambda y, a, b: jnp.sign(a) * jnp.copysign(1.0, b), lambda y, a, b: jnp.zeros_like(y)
    ),
}
