"""The lowering of every operation, on values where evaluators part, and its derivatives at kinks."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from support import diffrax_engine  # noqa: F401  (skips this module without the engine)

from pysciml.engines.diffrax.lower import LOWER, lower_program
from pysciml.engines.diffrax.precision import double_precision
from pysciml.ir.evaluate import evaluate_program
from pysciml.ir.ops import BINARY, COMPARISONS, OPERATIONS, UNARY
from pysciml.ir.program import Input, ProgramBuilder

SPECIAL = np.array(
    [0.0, -0.0, 1, -1, 0.5, -0.5, 2, -2, 3, -3, 2.5, -2.5, 0.3, -7.3, 10, 100, 1e-8, -1e-8, 1e-100, -1e-100]
    + [1e100, -1e100, np.inf, -np.inf, np.nan, 300, -300, 1e16]
)  # fmt: skip


@pytest.fixture(autouse=True)
def in_64_bits():
    with double_precision():
        yield


def one_node(op, attrs, *arrays):
    """A Program of one operation on its inputs."""
    builder = ProgramBuilder([Input(f"x{i}", np.shape(a)) for i, a in enumerate(arrays)])
    return builder.build([("y", builder.add(op, range(len(arrays)), attrs))])


def scalar_function(n, build):
    """The lowered function of ``u (n,)`` that ``build(builder)`` describes, as a sum."""
    builder = ProgramBuilder([Input("u", (n,))])
    node = build(builder)
    if builder.nodes[node].shape:
        node = builder.add("sum", [node], (tuple(range(len(builder.nodes[node].shape))),))
    lowered = lower_program(builder.build([("y", node)]))
    return lambda u: lowered(u)[0]


def both_gradients(f, u):
    """The gradient by reverse and by forward mode, compiled, which must agree."""
    u = jnp.asarray(u, dtype=float)
    reverse, forward = jax.jit(jax.grad(f))(u), jax.jit(jax.jacfwd(f))(u)
    np.testing.assert_array_equal(reverse, forward)
    return np.asarray(reverse)


def test_one_row_an_operation():
    assert LOWER.keys() == OPERATIONS.keys()


@pytest.mark.parametrize(
    ("op", "attrs"),
    [(op, ()) for op in [*UNARY, *BINARY, *COMPARISONS, "isnan", "isfinite"] if op != "integer_power"]
    + [("integer_power", (k,)) for k in (-3, -1, 0, 1, 2, 5)],
)
def test_elementwise_operations_agree_where_evaluators_part(op, attrs):
    arrays = [SPECIAL]
    if OPERATIONS[op].arity == 2:
        arrays = list(np.array(list(itertools.product(SPECIAL, SPECIAL))).T)
    program = one_node(op, attrs, *arrays)
    (want,) = evaluate_program(program, *arrays)
    got = np.asarray(jax.jit(lower_program(program))(*arrays)[0])
    assert got.dtype == want.dtype
    # the condition of exp, sinh and cosh is the size of their argument, here at most 300
    np.testing.assert_allclose(got, want, rtol=1e-14 if op not in ("exp", "sinh", "cosh") else 1e-13, atol=0)


@pytest.mark.parametrize("op", ["log", "log2", "log10"])
def test_logarithm_of_a_power_is_nan_below_zero(op):
    """XLA turns log(a**b) into b * log(abs(a)) where nothing stops it."""
    builder = ProgramBuilder([Input("a", (3,)), Input("b", (3,))])
    program = builder.build([("y", builder.add(op, [builder.add("pow", [0, 1])]))])
    a, b = np.array([-2.0, -1.5, 2.0]), np.array([3.0, 0.5, 3.0])
    got = jax.jit(lower_program(program))(a, b)[0]
    np.testing.assert_array_equal(np.isnan(got), [True, True, False])


@pytest.mark.parametrize(
    "window",
    [((0,), (3,), (1,)), ((1,), (3,), (2,)), ((6,), (3,), (-2,)), ((4,), (5,), (-1,)), ((2,), (0,), (1,))],
)
def test_slices_and_updates(window):
    base, value = np.arange(7.0), 10 + np.arange(float(window[1][0]))
    for program, inputs in [
        (one_node("slice", window, base), (base,)),
        (one_node("update", window, base, value), (base, value)),
    ]:
        np.testing.assert_array_equal(lower_program(program)(*inputs)[0], evaluate_program(program, *inputs)[0])


def test_update_of_a_matrix_backwards_and_strided():
    base, value = np.arange(20.0).reshape(4, 5), -np.arange(6.0).reshape(2, 3)
    program = one_node("update", ((3, 0), (2, 3), (-2, 2)), base, value)
    np.testing.assert_array_equal(lower_program(program)(base, value)[0], evaluate_program(program, base, value)[0])


def test_scatter_hands_its_cotangents_to_the_right_elements():
    f = scalar_function(
        3,
        lambda b: b.add(
            "mul",
            [b.add("scatter", [b.constant(np.ones((2, 2))), 0], ((3, 0, 2),)), b.constant([[1.0, 2.0], [3.0, 4.0]])],
        ),
    )
    np.testing.assert_array_equal(both_gradients(f, np.zeros(3)), [4.0, 1.0, 3.0])


def test_interp_holds_the_ends():
    x = np.array([-5.0, 0.0, 0.25, 1.0, 2.5, 3.0, 9.0, np.nan])
    xp, fp = np.array([0.0, 1.0, 3.0]), np.array([1.0, 5.0, -3.0])
    program = one_node("interp", (), x, xp, fp)
    np.testing.assert_array_equal(lower_program(program)(x, xp, fp)[0], np.interp(x, xp, fp))
    slope = jax.jit(jax.vmap(jax.grad(lambda x: LOWER["interp"]()(x, jnp.asarray(xp), jnp.asarray(fp)))))(x[:-1])
    np.testing.assert_array_equal(slope, [0.0, 4.0, 4.0, -4.0, -4.0, 0.0, 0.0])


@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid", "softplus", "gelu", "swish", "sin", "identity"])
def test_network_is_the_oracles(activation):
    attrs = (2, 3, 5, 2, activation, None, ((-1.0, 4.0), (1900.0, 1920.0)))
    rng = np.random.default_rng(0)
    weights, x = rng.standard_normal(15 + 30 + 18), np.array([[0.5, 1901.0], [3.0, 1919.0]])
    program = one_node("network", attrs, weights, x)
    (want,) = evaluate_program(program, weights, x)
    np.testing.assert_allclose(jax.jit(lower_program(program))(weights, x)[0], want, rtol=1e-13, atol=1e-13)


GUARDED = {
    "sqrt": lambda b: b.add("sqrt", [0]),
    "cbrt": lambda b: b.add("cbrt", [0]),
    "log": lambda b: b.add("log", [0]),
    "log1p": lambda b: b.add("log1p", [b.add("sub", [0, b.constant(1.0)])]),
    "div": lambda b: b.add("div", [b.constant(1.0), 0]),
    "pow": lambda b: b.add("pow", [0, b.constant(0.5)]),
    "integer_power": lambda b: b.add("integer_power", [0], (-2,)),
    "arcsin": lambda b: b.add("arcsin", [b.add("sub", [0, b.constant(1.0)])]),
    "arccosh": lambda b: b.add("arccosh", [b.add("add", [0, b.constant(1.0)])]),
    "x log x": lambda b: b.add("mul", [0, b.add("log", [0])]),
    "sqrt of a quotient": lambda b: b.add("sqrt", [b.add("div", [b.constant(1.0), 0])]),
}


@pytest.mark.parametrize("name", GUARDED)
def test_branch_that_is_not_taken_contributes_exactly_zero(name):
    """where(u > 0, f(u), 0) at u = 0 and u = -3, where f or its slope is NaN or infinite; at 0.5 f's own slope."""
    guarded = scalar_function(
        3,
        lambda b: b.add("where", [b.add("greater", [0, b.constant(0.0)]), GUARDED[name](b), b.constant(0.0)]),
    )
    gradient = both_gradients(guarded, [0.0, -3.0, 0.5])
    np.testing.assert_array_equal(gradient[:2], [0.0, 0.0])
    plain = scalar_function(1, GUARDED[name])
    slope = (plain(jnp.array([0.5 + 1e-6])) - plain(jnp.array([0.5 - 1e-6]))) / 2e-6
    np.testing.assert_allclose(gradient[2], slope, rtol=1e-7)


@pytest.mark.parametrize(
    ("build", "at", "want"),
    [
        (lambda b: b.add("abs", [0]), [0.0, -2.0, 3.0], [0.0, -1.0, 1.0]),
        (lambda b: b.add("maximum", [0, b.constant(0.0)]), [0.0, -2.0, 3.0], [0.5, 0.0, 1.0]),
        (lambda b: b.add("minimum", [0, b.constant(0.0)]), [0.0, -2.0, 3.0], [0.5, 1.0, 0.0]),
        (lambda b: b.add("max", [0], ((0,),)), [1.0, 1.0, 0.0], [0.5, 0.5, 0.0]),
        (lambda b: b.add("sqrt", [b.add("sum", [b.add("mul", [0, 0])], ((0,),))]), [0.0, 0.0], [0.0, 0.0]),
        (lambda b: b.add("sqrt", [b.add("sum", [b.add("integer_power", [0], (2,))], ((0,),))]), [3.0, 4.0], [0.6, 0.8]),
        (lambda b: b.add("hypot", [0, b.constant(0.0)]), [0.0, 2.0], [0.0, 1.0]),
        (lambda b: b.add("arctan2", [0, b.constant(0.0)]), [0.0, 2.0], [0.0, 0.0]),
        (lambda b: b.add("copysign", [0, b.constant(-1.0)]), [0.0, 2.0, -2.0], [0.0, -1.0, 1.0]),
        (lambda b: b.add("pow", [b.constant(0.0), 0]), [1.0, 2.0, 0.5], [0.0, 0.0, 0.0]),
        (lambda b: b.add("pow", [0, b.constant(2.0)]), [0.0, -3.0], [0.0, -6.0]),
        (lambda b: b.add("pow", [0, b.constant(1.0)]), [0.0, -3.0], [1.0, 1.0]),
        (lambda b: b.add("pow", [0, b.constant(0.0)]), [0.0, -3.0], [0.0, 0.0]),
        (lambda b: b.add("mod", [0, b.constant(2.0)]), [3.0, -3.0], [1.0, 1.0]),
        (lambda b: b.add("mod", [b.constant(7.0), 0]), [2.0, -2.0], [-3.0, 4.0]),
        (lambda b: b.add("floor", [0]), [1.0, 1.5], [0.0, 0.0]),
        (lambda b: b.add("prod", [0], ((0,),)), [0.0, 3.0, 5.0], [15.0, 0.0, 0.0]),
    ],
)
def test_written_rules_at_kinks(build, at, want):
    np.testing.assert_allclose(both_gradients(scalar_function(len(at), build), at), want, rtol=1e-15)


@pytest.mark.parametrize(
    "op", [op for op in UNARY if op not in ("integer_power", "sign", "floor", "ceil", "round", "trunc")]
)
def test_slopes_of_unary_operations(op):
    """Against central differences at points of the domain."""
    f = scalar_function(1, lambda b: b.add(op, [0]))
    for x in (1.3, 2.7) if op == "arccosh" else (0.3, 0.8) if op in ("log", "log2", "log10", "sqrt") else (0.3, -0.7):
        slope = (f(jnp.array([x + 1e-6])) - f(jnp.array([x - 1e-6]))) / 2e-6
        np.testing.assert_allclose(both_gradients(f, [x]), [slope], rtol=1e-7)


@pytest.mark.parametrize("op", ["mul", "div", "pow", "arctan2", "hypot"])
def test_slopes_of_binary_operations_with_broadcasting(op):
    """A (2, 1) against a (3,), by central differences in each element."""

    def build(b):
        left = b.add("reshape", [b.add("slice", [0], ((0,), (2,), (1,)))], ((2, 1),))
        return b.add(op, [left, b.add("slice", [0], ((2,), (3,), (1,)))])

    f, u = scalar_function(5, build), np.array([0.7, 1.9, 0.4, 1.1, 2.3])
    differences = [(f(jnp.asarray(u + h)) - f(jnp.asarray(u - h))) / 2e-6 for h in 1e-6 * np.eye(5)]
    np.testing.assert_allclose(both_gradients(f, u), differences, rtol=1e-8)


def test_second_derivatives_and_batches():
    f = scalar_function(3, GUARDED["x log x"])
    u = jnp.array([0.5, 1.0, 2.0])
    want = np.diag(1 / u)
    for hessian in (jax.jacfwd(jax.grad(f)), jax.jacrev(jax.jacfwd(f)), jax.jacrev(jax.grad(f))):
        np.testing.assert_allclose(jax.jit(hessian)(u), want, rtol=1e-14)
    batch = jnp.stack([u, u + 1])
    np.testing.assert_allclose(jax.jit(jax.vmap(jax.grad(f)))(batch), np.log(batch) + 1, rtol=1e-14)
