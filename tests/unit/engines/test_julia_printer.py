"""Printed Julia text: its shape, its words, and that arrays are neither copied nor overwritten without need."""

import re

import numpy as np
import pytest
from support.programs import random_programs

from pysciml.engines.julia.printer import PRINT, print_parts, print_program
from pysciml.engines.julia.printer_ops import literal
from pysciml.ir.ops import OPERATIONS
from pysciml.ir.program import Input, ProgramBuilder


def make_rhs(n, m=1):
    """Builder of a right-hand side, with the nodes of t, u and p."""
    builder = ProgramBuilder([Input("t", ()), Input("u", (n,)), Input("p", (m,))])
    return builder, 0, 1, 2


def body(text):
    """The lines inside ``@inbounds``."""
    return [line.strip() for line in text.split("@inbounds begin\n")[1].split("\n    end\n")[0].splitlines()]


def test_the_table_is_the_table_of_operations():
    assert set(PRINT) == set(OPERATIONS)


def test_scalars_become_expressions():
    builder, _, u, p = make_rhs(2, 3)
    x, y = (builder.add("gather", (u,), ((k,), ())) for k in range(2))
    a, b, c = (builder.add("gather", (p,), ((k,), ())) for k in range(3))
    growth = builder.add("mul", (a, x))
    eaten = builder.add("mul", (builder.add("mul", (b, x)), y))
    du = builder.add("stack", (builder.add("sub", (growth, eaten)), builder.add("neg", (builder.add("mul", (c, y)),))))
    program = builder.build([("du", du)])
    assert print_program(program) == (
        "function (du, t, u, p, w)\n"
        "    @inbounds begin\n"
        "        du[1] = p[1] * u[1] - p[2] * u[1] * u[2]\n"
        "        du[2] = -(p[3] * u[2])\n"
        "    end\n"
        "    return nothing\n"
        "end\n"
    )
    assert print_parts(program).n_numbers == 0


def test_slices_are_read_where_they_lie_and_loops_are_fused():
    builder, _, u, _ = make_rhs(10)
    left, middle, right = (builder.add("slice", (u,), ((k,), (8,), (1,))) for k in range(3))
    inner = builder.add("add", (builder.add("sub", (left, builder.add("mul", (builder.constant(2.0), middle)))), right))
    ends = builder.constant(np.zeros(1))
    program = builder.build([("du", builder.add("concatenate", (ends, inner, ends), (0,)))])
    assert body(print_program(program)) == [
        "du[1] = 0.0",
        "@simd ivdep for i in 1:8",
        "du[i + 1] = u[i] - 2.0 * u[i + 1] + u[i + 2]",
        "end",
        "du[10] = 0.0",
    ]
    assert print_parts(program).n_numbers == 0


def test_an_update_of_something_dead_is_in_place():
    builder, _, u, _ = make_rhs(4)
    doubled = builder.add("mul", (u, builder.constant(2.0)))
    part = builder.add("slice", (doubled,), ((0,), (2,), (1,)))
    du = builder.add("update", (doubled, builder.add("exp", (part,))), ((0,), (2,), (1,)))
    text = print_program(builder.build([("du", du)]))
    assert body(text) == [
        "@simd ivdep for i in 1:4",
        "du[i] = u[i] * 2.0",
        "end",
        "@simd ivdep for i in 1:2",
        "du[i] = exp(du[i])",
        "end",
    ]


def test_an_update_copies_what_is_read_later():
    builder, _, u, _ = make_rhs(4)
    doubled = builder.add("mul", (u, builder.constant(2.0)))
    changed = builder.add("update", (doubled, builder.constant(np.array([1.0, 5.0]))), ((0,), (2,), (1,)))
    text = print_program(builder.build([("du", builder.add("sub", (changed, doubled)))]))
    assert "q[i + 4] = q[i]" in text


def test_an_update_from_a_shifted_part_of_itself_copies():
    builder, _, u, _ = make_rhs(4)
    doubled = builder.add("mul", (u, builder.constant(2.0)))
    part = builder.add("slice", (doubled,), ((0,), (3,), (1,)))
    du = builder.add("update", (doubled, builder.add("exp", (part,))), ((1,), (3,), (1,)))
    text = print_program(builder.build([("du", du)]))
    assert "du[i + 1] = exp(q[i])" in text


def test_memory_is_reused():
    builder, _, u, _ = make_rhs(100)
    value = u
    for _ in range(10):
        value = builder.add("cumsum", (value,), (0,))
    parts = print_parts(builder.build([("du", value)]))
    assert parts.n_numbers == 200


def test_no_array_is_copied_per_call_for_a_networks_weights():
    builder, _, u, p = make_rhs(2, 42)
    net = builder.add("network", (p, u), (2, 2, 8, 1, "tanh", None, None))
    lines = body(print_program(builder.build([("du", net)])))
    assert not [line for line in lines if re.match(r"q\[.*\] = p\[[^]]*\]$", line)]
    assert "np_tanh(s1 * p[i] + s2 * p[i + 8] + p[i + 16])" in "".join(lines)


def test_an_outer_product_is_added_without_being_stored():
    builder, _, u, p = make_rhs(6, 4)
    column, row = (builder.add("reshape", (i,), (shape,)) for i, shape in ((u, (6, 1)), (p, (1, 4))))
    product = builder.add("reshape", (builder.add("mul", (column, row)),), ((24,),))
    nothing = builder.constant(np.zeros(2))
    parts = builder.add("concatenate", (nothing, product, builder.add("neg", (u,))), (0,))
    parts = print_parts(builder.build([("c_u", u), ("c_p", parts)]), ("c_p",))
    assert parts.n_numbers == 0
    assert body(parts.text) == [
        "for i in 1:6",
        "s1 = x2[i]",
        "@simd ivdep for j in 1:4",
        "y2[4*i + j - 2] += s1 * x3[j]",
        "end",
        "end",
        "@simd ivdep for i in 1:6",
        "y2[i + 26] += -x2[i]",
        "end",
        "@simd ivdep for i in 1:6",
        "y1[i] = x2[i]",
        "end",
    ]


def test_an_output_that_is_read_again_is_not_added_to_in_place():
    builder, _, u, _ = make_rhs(4)
    value = builder.add("exp", (u,))
    outputs = [("c_u", builder.add("cumsum", (value,), (0,))), ("c_p", value)]
    lines = body(print_parts(builder.build(outputs), ("c_p",)).text)
    assert "q[i] = exp(x2[i])" in lines and "y2[i] += q[i]" in lines


def test_what_costs_no_more_than_reading_it_is_computed_where_it_is_read():
    builder, _, u, _ = make_rhs(4)
    h = builder.add("exp", (u,))
    slope = builder.add(
        "mul", (builder.add("sub", (builder.constant(1.0), h)), builder.add("add", (builder.constant(1.0), h)))
    )
    both = [builder.add("sin", (slope,)), builder.add("mul", (slope, u))]
    lines = body(print_program(builder.build([("du", both[0]), ("rest", both[1])])))
    assert "y1[i] = np_sin((1.0 - q[i]) * (1.0 + q[i]))" in lines
    assert "y2[i] = (1.0 - q[i]) * (1.0 + q[i]) * x2[i]" in lines


def test_sums_along_columns_go_row_by_row():
    builder, _, u, _ = make_rhs(60)
    matrix = builder.add("reshape", (u,), ((6, 10),))
    total = builder.add("sum", (builder.add("exp", (matrix,)),), ((0,),))
    assert body(print_program(builder.build([("du", total)]))) == [
        "@simd ivdep for i in 1:10",
        "du[i] = zero(T)",
        "end",
        "for i in 1:6",
        "@simd ivdep for j in 1:10",
        "du[j] += exp(u[10*i + j - 10])",
        "end",
        "end",
    ]


def test_a_large_product_is_a_call():
    builder, _, u, p = make_rhs(300, 90_000)
    weights = builder.add("reshape", (p,), ((300, 300),))
    text = print_program(builder.build([("du", builder.add("matmul", (u, weights)))]))
    assert "np_matmul!(du, 0, u, 0, p, 0, 1, 300, 300, false, false)" in text


def test_a_product_of_transposed_matrices_copies_none():
    builder, _, u, p = make_rhs(600, 300)
    left = builder.add("transpose", (builder.add("reshape", (u,), ((20, 30),)),), ((1, 0),))
    right = builder.add("transpose", (builder.add("reshape", (p,), ((15, 20),)),), ((1, 0),))
    product = builder.add("reshape", (builder.add("matmul", (left, right)),), ((450,),))
    rest = builder.add("slice", (u,), ((0,), (150,), (1,)))
    text = print_program(builder.build([("du", builder.add("concatenate", (product, rest), (0,)))]))
    assert re.search(r"np_matmul!\(.*, u, 0, p, 0, 30, 20, 15, true, true\)", text), text


@pytest.mark.parametrize("value", [0.0, -0.0, 0.1, -2.5, 1e-300, 1e22, np.pi, np.nextafter(1, 2)])
def test_literals_read_back(value):
    text = literal(value).strip("()")
    assert np.float64(text).tobytes() == np.float64(value).tobytes()


def test_literals_that_are_not_finite():
    assert [literal(v) for v in (np.nan, np.inf, -np.inf, np.True_, False)] == ["NaN", "Inf", "(-Inf)", "true", "false"]


def test_names_of_inputs_never_reach_the_text():
    builder = ProgramBuilder([Input("x; run(`true`)", (2,))])
    text = print_program(builder.build([("println(1)", builder.add("exp", (0,)))]))
    assert "run" not in text and "println" not in text and text.startswith("function (y1, x1, w)")


WORDS = set(
    "function return nothing end begin for in inbounds simd ivdep T Inf NaN true false number_type numbers constants "
    "constant_flags indices flags exp expm1 np_tanh sinh cosh atan asinh isnan isfinite zero one muladd convert "
    "w q b c cb ix s x y i j l m t u p du".split()
)


def test_printing_is_deterministic_and_made_of_known_words():
    for program, _ in random_programs(300, seed=5):
        text = print_parts(program).text
        assert text == print_parts(program).text
        words = set(re.findall(r"(?<![\w.])[A-Za-z]\w*", text))
        unknown = {word for word in words - WORDS if not re.fullmatch(r"[sxyi]\d+|np_[a-z0-9_]+!?", word)}
        assert not unknown


def test_a_text_without_numbers_is_that_of_all_programs_that_differ_in_them():
    def make(scalar, array):
        builder, _, u, _ = make_rhs(2)
        scaled = builder.add("mul", (builder.constant(scalar), u))
        return builder.build([("du", builder.add("add", (scaled, builder.constant(np.array(array)))))])

    first, second = make(2.5, [1.0, 1.0]), make(3.5, [1.0, 4.0])
    one, other = (print_parts(program, (), has_numbers=False) for program in (first, second))
    assert one.text == other.text and print_program(first) != print_program(second)
    assert sorted(other.constants) == [1.0, 3.5, 4.0]
