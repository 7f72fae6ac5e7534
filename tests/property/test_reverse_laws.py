"""Reverse mode on random Programs: the adjoint of forward mode, at kinks and beside what is infinite too."""

import numpy as np
import pytest
from support.programs import random_programs
from support.tracing import trace

from pysciml.ir.bound import evaluate_with_bound
from pysciml.ir.derivatives import jvp
from pysciml.ir.evaluate import evaluate_nodes, evaluate_program
from pysciml.ir.ops import OPERATIONS
from pysciml.ir.reverse import TRANSPOSES, vjp


def is_finite(program, inputs):
    return all(np.all(np.isfinite(v)) and np.all(np.abs(v) < 1e150) for v in evaluate_nodes(program, *inputs))


def names_of(program):
    return [item.name for item in program.inputs]


def test_the_table_holds_what_is_linear():
    structural = {name for name, row in OPERATIONS.items() if row.kind == "structural"}
    linear = "add sub neg mul zero_product div where interp sum cumsum matmul".split()
    assert TRANSPOSES.keys() == structural.union(linear)


def test_unknown_inputs_are_refused():
    (program, _), *_ = random_programs(1, seed=40, rhs=True)
    with pytest.raises(ValueError, match="no input 'q'"):
        vjp(program, ["q"])


def test_reverse_mode_is_the_adjoint_of_forward_mode():
    """<v, J w> = <J' v, w>, to the rounding errors of both sides."""
    compared = 0
    for k, (program, inputs) in enumerate(random_programs(1200, seed=41)):
        if not is_finite(program, inputs):
            continue
        rng = np.random.default_rng(k)
        forward, reverse = jvp(program, names_of(program)), vjp(program, names_of(program))
        assert [o.name for o in reverse.outputs] == [f"c_{name}" for name in names_of(program)]
        w = [rng.integers(-2, 3, np.shape(x)).astype(float) for x in inputs]
        v = [rng.integers(-2, 3, forward.nodes[o.node].shape).astype(float) for o in forward.outputs]
        products, errors = evaluate_with_bound(forward, *inputs, *w)
        cotangents, other_errors = evaluate_with_bound(reverse, *inputs, *v)
        assert [c.shape for c in cotangents] == [np.shape(x) for x in inputs]
        if not all(np.all(np.isfinite(x)) for x in (*products, *cotangents, *errors, *other_errors)):
            continue
        pairs = [*zip(v, products, errors, strict=True), *zip(w, cotangents, other_errors, strict=True)]
        sums = [float(np.sum(a * b)) for a, b, _ in pairs]
        noise = sum(float(np.sum(np.abs(a) * (e + 1e-16 * np.abs(b)))) for a, b, e in pairs)
        assert abs(sum(sums[: len(v)]) - sum(sums[len(v) :])) <= 100 * noise
        compared += any(sums)
    assert compared > 350


KINKS = {
    "dropped root": (lambda x: np.where(x > 0, np.sqrt(x), 2 * x), [-1.0, 0.0, 4.0]),
    "dropped quotient": (lambda x: np.where(x != 0, np.sin(x) / x, 1 + x), [0.0, 1.0]),
    "dropped logarithm": (lambda x: np.where(x > 1, np.log(x - 1), x**2), [1.0, 0.5, 3.0]),
    "root of a square": (lambda x: np.sqrt(x * x), [0.0, 2.0]),
    "element of no use": (lambda x: 1 / np.stack([x[0] - 1, x[1]])[np.array([1, 1])], [1.0, 2.0]),
    "gathered twice": (lambda x: (1 / x)[np.array([2, 1, 2, 2])], [0.0, 1.0, 2.0, 3.0]),
    "overwritten": (lambda x: np.concatenate([np.zeros(1), np.sqrt(x)[1:]]), [0.0, 1.0, 4.0]),
    "zero power": (lambda x: x**1.5 + 0.0**x, [0.0, 1.0]),
    "ties": (lambda x: np.maximum(x, x[::-1]) + np.max(x) * np.min(x), [1.0, 1.0, 0.5]),
    "absolute": (lambda x: np.abs(x) * np.sign(x), [0.0, -1.0]),
    "clipped": (lambda x: np.clip(x, 0.0, 1.0) * x, [0.0, 0.5, 1.0, 2.0]),
    "product beside zeros": (lambda x: np.prod(x) * x, [0.0, 2.0, 0.0]),
    "length of nothing": (lambda x: np.hypot(x, 0.0 * x) + np.arctan2(x, x), [0.0, 1.0]),
}


@pytest.mark.parametrize("name", KINKS)
def test_rows_equal_forward_mode_at_kinks(name):
    f, x = KINKS[name]
    x = np.array(x)
    program = trace(lambda t, u, p: f(u), x)
    forward, reverse = jvp(program, ["u"]), vjp(program, ["u"])
    n = program.nodes[program.outputs[0].node].size
    other = [np.zeros(item.shape) if item.name != "u" else x for item in program.inputs]
    columns = np.stack([evaluate_program(forward, *other, e)[0] for e in np.eye(len(x))], axis=1)
    rows = np.stack([evaluate_program(reverse, *other, e)[0] for e in np.eye(n)])
    assert np.all(np.isfinite(columns))
    np.testing.assert_allclose(rows, columns, rtol=1e-14, atol=1e-15)
