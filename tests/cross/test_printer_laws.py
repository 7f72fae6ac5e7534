"""Printed Programs, compiled and run by Julia, equal the oracle: one Julia, hundreds of random Programs."""

from itertools import product

import numpy as np
import pytest
from support.engines import require_engine
from support.programs import assert_equals_oracle, random_programs

from pysciml.engines.choose import load_engine
from pysciml.ir.expand import expand_networks
from pysciml.ir.ops import BOOL
from pysciml.ir.program import Input, ProgramBuilder
from pysciml.networks import MLP

N_PROGRAMS = 500


@pytest.fixture(scope="module")
def evaluate():
    """Evaluator of Programs by Julia."""
    require_engine("julia")
    engine = load_engine("julia")

    def run(program, *inputs):
        sizes = [program.nodes[output.node].size for output in program.outputs]
        flat = engine.evaluate(program, inputs)
        parts = np.split(flat, np.cumsum(sizes)[:-1])
        nodes = [program.nodes[output.node] for output in program.outputs]
        return tuple(
            part.reshape(node.shape).astype(bool if node.dtype == BOOL else float)
            for part, node in zip(parts, nodes, strict=True)
        )

    return run


def test_random_programs_equal_the_oracle(evaluate):
    shares = []
    for program, inputs in random_programs(N_PROGRAMS, seed=11):
        shares.append(assert_equals_oracle(lambda *x, program=program: evaluate(program, *x), program, inputs))
    assert np.mean(shares) > 0.9


def test_random_right_hand_sides_equal_the_oracle(evaluate):
    for program, inputs in random_programs(60, seed=12, rhs=True, most_nodes=40):
        assert_equals_oracle(lambda *x, program=program: evaluate(program, *x), program, inputs)


def test_numbers_that_are_no_part_of_the_text_are_the_same(evaluate, monkeypatch):
    """A Program's text with its constants, and the one that many share."""
    engine = load_engine("julia")
    load = engine._load.program
    for program, inputs in random_programs(25, seed=13):
        expected = evaluate(program, *inputs)
        with monkeypatch.context() as patch:
            patch.setattr(engine._load, "program", lambda one: load(one, (), has_numbers=False))
            found = evaluate(program, *inputs)
        for one, other in zip(expected, found, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("width, depth, batch", [(3, 1, ()), (16, 2, ()), (200, 2, ()), (8, 2, (5,)), (160, 1, (7,))])
def test_networks_equal_the_oracle(evaluate, width, depth, batch):
    net = MLP(2, 3, width=width, depth=depth, input_range=[(-1, 2), (0, 3)], final_activation="softplus")
    builder = ProgramBuilder([Input("w", (net.n_weights,)), Input("x", (*batch, 2))])
    program = builder.build([("y", builder.add("network", (0, 1), net.attrs))])
    x = np.random.default_rng(0).uniform(0, 2, (*batch, 2))
    weights = net.initial_weights("net")
    assert_equals_oracle(lambda *given: evaluate(program, *given), program, (weights, x))
    (expanded,) = evaluate(expand_networks(program), weights, x)
    np.testing.assert_array_equal(expanded, evaluate(program, weights, x)[0])


@pytest.mark.parametrize("exponent", [0.5, 1.5, 2.5, -0.5, -1.5, -2.5])
def test_halves_as_exponents(evaluate, exponent):
    x = np.concatenate([[0.0, -0.0, np.inf, -np.inf, np.nan, -1.0, 4.0], np.geomspace(1e-100, 1e100, 50)])
    builder = ProgramBuilder([Input("x", x.shape)])
    program = builder.build([("y", builder.add("pow", (0, builder.constant(exponent))))])
    with np.errstate(all="ignore"):
        expected = np.power(x, np.full(x.shape, exponent))  # of a number NumPy takes the root itself
    np.testing.assert_allclose(evaluate(program, x)[0], expected, rtol=5e-16)


def test_products_of_all_sizes_equal_the_oracle(evaluate):
    """Rows, columns and matrices, transposed or not, below, at and beside the widths of vectors of numbers."""
    turns = [(False, False), (True, False), (False, True), (True, True)]
    builder = ProgramBuilder([Input("x", (25 * 35,))])
    products = []
    for (a, m), (b, k), (c, n) in product(*map(enumerate, ((1, 2, 6, 25), (1, 3, 4, 9, 21), (1, 2, 5, 8, 19, 35)))):
        turn = turns[(a + b + c) % 4]
        pair = [_matrix(builder, *shape, is_turned) for shape, is_turned in zip(((m, k), (k, n)), turn, strict=True)]
        products.append(builder.add("reshape", (builder.add("matmul", pair),), ((m * n,),)))
    program = builder.build([("y", builder.add("concatenate", products, (0,)))])
    x = np.random.default_rng(1).normal(size=25 * 35)
    assert_equals_oracle(lambda *given: evaluate(program, *given), program, (x,))


def _matrix(builder, rows, columns, is_turned):
    """The first numbers of x as a matrix in C order, or as the transpose of one."""
    part = builder.add("slice", (0,), ((0,), (rows * columns,), (1,)))
    if not is_turned:
        return builder.add("reshape", (part,), ((rows, columns),))
    return builder.add("transpose", (builder.add("reshape", (part,), ((columns, rows),)),), ((1, 0),))
