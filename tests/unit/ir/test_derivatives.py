"""Derivatives at kinks, beside branches that are dropped, and of what is constant."""

import numpy as np
import pytest

from pysciml.ir.derivatives import jvp
from pysciml.ir.evaluate import evaluate_program
from pysciml.ir.jacobian import compressed_jacobian, unrolled_jacobian
from pysciml.ir.program import Input, ProgramBuilder


def slope_at(op, *values, of=0, attrs=()):
    """The partial derivative of one operation on scalars."""
    builder = ProgramBuilder([Input(f"x{k}", ()) for k in range(len(values))])
    program = builder.build([("y", builder.add(op, range(len(values)), attrs))])
    (found,) = evaluate_program(jvp(program, [f"x{of}"]), *values, 1.0)
    return float(found)


@pytest.mark.parametrize(
    "op, values, of, want",
    [
        ("abs", (0.0,), 0, 0.0),
        ("minimum", (2.0, 2.0), 0, 0.5),
        ("maximum", (2.0, 2.0), 1, 0.5),
        ("hypot", (0.0, 0.0), 0, 0.0),
        ("arctan2", (0.0, 0.0), 1, 0.0),
        ("copysign", (0.0, 1.0), 0, 0.0),
        ("pow", (0.0, 2.0), 0, 0.0),
        ("pow", (0.0, 1.0), 0, 1.0),
        ("pow", (0.0, 0.0), 0, 0.0),
        ("pow", (0.0, 0.5), 0, np.inf),
        ("pow", (0.0, 2.0), 1, 0.0),
        ("sqrt", (0.0,), 0, np.inf),
        ("cbrt", (0.0,), 0, np.inf),
        ("log", (0.0,), 0, np.inf),
        ("mod", (5.0, 3.0), 1, -1.0),
    ],
)
def test_kinks(op, values, of, want):
    assert slope_at(op, *values, of=of) == want


def build(shape, make):
    builder = ProgramBuilder([Input("x", shape)])
    return builder.build([("y", make(builder))])


def tangent(program, x, dx):
    return evaluate_program(jvp(program, ["x"]), x, dx)[0]


def test_ties_of_a_reduction_share_equally():
    program = build((4,), lambda b: b.add("max", [0], ((0,),)))
    assert tangent(program, [1.0, 3.0, 3.0, 3.0], [5.0, 1.0, 2.0, 3.0]) == 2.0


def test_a_product_beside_zeros():
    program = build((5,), lambda b: b.add("prod", [0], ((0,),)))
    assert tangent(program, [2.0, 0.0, 3.0, 5.0, 1.0], [1.0, 1.0, 1.0, 1.0, 1.0]) == 30.0
    assert tangent(program, [2.0, 0.0, 3.0, 0.0, 1.0], np.ones(5)) == 0.0


def test_the_norm_at_zero_and_a_root_times_zero():
    norm = build((3,), lambda b: b.add("sqrt", [b.add("sum", [b.add("mul", [0, 0])], ((0,),))]))
    assert tangent(norm, np.zeros(3), np.ones(3)) == 0.0
    outflow = build((), lambda b: b.add("mul", [0, b.add("sqrt", [0])]))
    assert tangent(outflow, 0.0, 1.0) == 0.0


def test_a_dropped_branch_adds_nothing():
    def make(b):
        safe = b.add("greater", [0, b.constant(0.0)])
        return b.add("where", [safe, b.add("log", [0]), b.constant(0.0)])

    np.testing.assert_array_equal(tangent(build((2,), make), [-1.0, 2.0], [1.0, 1.0]), [0.0, 0.5])


def test_interpolation_has_the_slope_of_the_piece_on_the_right_and_none_outside():
    def make(b):
        return b.add("interp", [0, b.constant(np.array([0.0, 1.0, 3.0])), b.constant(np.array([0.0, 2.0, 8.0]))])

    x = [-1.0, 0.0, 0.5, 1.0, 2.0, 3.0, 4.0]
    np.testing.assert_array_equal(tangent(build((7,), make), x, np.ones(7)), [0.0, 2.0, 2.0, 3.0, 3.0, 0.0, 0.0])


def test_what_does_not_depend_is_zero_and_leaves_no_nodes():
    program = build((3,), lambda b: b.add("floor", [0]))
    derivative = jvp(program, ["x"])
    np.testing.assert_array_equal(evaluate_program(derivative, np.ones(3), np.ones(3))[0], np.zeros(3))
    assert {node.op for node in derivative.nodes} <= {"input", "constant", "broadcast"}


def test_an_unknown_input_is_refused():
    with pytest.raises(ValueError, match="no input 'z'; there are x"):
        jvp(build((), lambda b: 0), ["z"])


def test_a_constant_right_hand_side_has_an_empty_jacobian():
    builder = ProgramBuilder([Input("t", ()), Input("u", (2,)), Input("p", (1,))])
    program = builder.build([("du", builder.constant(np.ones(2)))])
    unrolled, rows, columns = unrolled_jacobian(program)
    assert len(rows) == len(columns) == 0
    assert evaluate_program(unrolled, 0.0, np.ones(2), np.ones(1))[0].shape == (0,)
    empty = np.zeros(0, dtype=int)
    compressed = compressed_jacobian(program, empty, empty, np.zeros(2, dtype=int))
    assert evaluate_program(compressed, 0.0, np.ones(2), np.ones(1))[0].shape == (0,)
