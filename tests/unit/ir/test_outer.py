"""Outer products whose factors are put out in their place."""

import numpy as np
import pytest
from support.tracing import trace

from pysciml.ir import outer
from pysciml.ir.evaluate import evaluate_program
from pysciml.ir.outer import factor_output
from pysciml.ir.reverse import vjp
from pysciml.networks import MLP


def expand(factors, blocks, size):
    """The output that factors stand for; NaN where no block is."""
    found = np.full(size, np.nan)
    for start, rows, columns, left, right in blocks:
        if columns:
            product = np.outer(factors[left : left + rows], factors[right : right + columns])
            found[start : start + rows * columns] = product.ravel()
        else:
            found[start : start + rows] = factors[left : left + rows]
    return found


MODELS = {
    "network": (lambda t, u, p: p.net(u**3), {"net": MLP(2, 2, width=30, depth=2, seed=1)}),
    "beside other parameters": (
        lambda t, u, p: p.rate * p.net(u) + p.bias,
        {"rate": 2.0, "net": MLP(2, 2, width=25, depth=2, seed=2), "bias": np.array([1.0, 2.0])},
    ),
    "a matrix": (lambda t, u, p: p.w @ np.concatenate([u, u]) * 1.0, {"w": np.arange(8.0).reshape(2, 4)}),
}


@pytest.mark.parametrize("name", MODELS)
def test_factors_stand_for_the_same_output(name, monkeypatch):
    model, p = MODELS[name]
    monkeypatch.setattr(outer, "LEAST", 4)
    program = trace(model, np.array([2.0, -1.0]), p)
    reverse = vjp(program, ["u", "p"])
    factored, blocks = factor_output(reverse, "c_p")
    rng = np.random.default_rng(0)
    inputs = [rng.normal(size=item.shape) for item in reverse.inputs]
    want, got = evaluate_program(reverse, *inputs), evaluate_program(factored, *inputs)
    np.testing.assert_array_equal(got[0], want[0])
    assert any(block.columns for block in blocks) and got[1].size < want[1].size
    np.testing.assert_array_equal(expand(got[1], blocks, want[1].size), want[1])


def test_a_small_program_stays_as_it_is():
    program = vjp(trace(MODELS["a matrix"][0], np.array([2.0, -1.0]), MODELS["a matrix"][1]), ["u", "p"])
    assert factor_output(program, "c_p") == (program, ())
