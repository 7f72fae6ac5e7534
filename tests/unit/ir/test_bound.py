"""The error bound: honest against extended precision and against a sloppy evaluator, tight where nothing amplifies."""

import numpy as np
import pytest
from support.programs import assert_within_bound, decided_share, random_programs

from pysciml.ir.bound import RULES, evaluate_with_bound
from pysciml.ir.evaluate import EVALUATE, evaluate_nodes
from pysciml.ir.expand import expand_networks
from pysciml.ir.ops import OPERATIONS
from pysciml.ir.program import Input, ProgramBuilder

EXAMPLES = random_programs(1200, seed=11)
EXTENDED = np.finfo(np.longdouble).eps < np.finfo(float).eps


def run(program, inputs, function):
    """Evaluate expanded programs with ``function(node, compute, args)`` in place of each operation."""
    values = []
    with np.errstate(all="ignore"):
        for node in program.nodes:
            if node.op in ("input", "constant"):
                table = inputs if node.op == "input" else program.constants
                values.append(table[node.attrs[0]])
            else:
                values.append(function(node, EVALUATE[node.op](*node.attrs), [values[i] for i in node.args]))
    return [np.asarray(values[output.node]) for output in program.outputs]


def bound_of(op, *inputs, attrs=()):
    """Value and bound of one operation on a rounded argument: each input is multiplied by 1 and divided by 3 first."""
    builder = ProgramBuilder([Input(f"x{k}", np.shape(x)) for k, x in enumerate(inputs)])
    args = [builder.add("div", (k, builder.constant(3.0))) for k in range(len(inputs))]
    program = builder.build([("y", builder.add(op, args, attrs))])
    (value,), (bound,) = evaluate_with_bound(program, *inputs)
    return value, bound


def extended(node, compute, args):
    """Operations in extended precision."""
    wide = [np.asarray(a, np.longdouble) if np.asarray(a).dtype != np.bool_ else a for a in args]
    if node.op == "to_float":
        return wide[0].astype(np.longdouble)
    return compute(*wide)


@pytest.mark.skipif(not EXTENDED, reason="no floating point wider than float64 on this machine")
def test_bound_holds_against_extended_precision():
    held = 0
    for program, inputs in EXAMPLES:
        program = expand_networks(program)
        nodes = evaluate_nodes(program, *inputs)
        # NumPy has no wider interp; what is too large or small for float64 on the way is another value in extended
        if any(n.op == "interp" for n in program.nodes) or not all(
            np.isfinite(v).all() and np.all((v == 0) | (np.abs(v) > 1e-300)) for v in nodes if v.dtype != np.bool_
        ):
            continue
        want, bounds = evaluate_with_bound(program, *inputs)
        for got, oracle, bound in zip(run(program, inputs, extended), want, bounds, strict=True):
            decided = np.isfinite(bound)
            error = np.abs(got[decided].astype(np.longdouble) - oracle[decided].astype(np.longdouble))
            assert np.all(error <= 100 * bound[decided]), (program, inputs)
        held += 1
    assert held > 400


def test_bound_holds_for_an_evaluator_that_rounds_badly_and_flushes():
    rng = np.random.default_rng(0)

    def sloppy(node, compute, args):
        value = compute(*args)
        if np.asarray(value).dtype == np.bool_ or OPERATIONS[node.op].kind == "structural" or node.op in EXACT:
            return value
        value = value * (1 + 4e-16 * rng.choice((-1.0, 0.0, 1.0), size=np.shape(value)))
        return np.where(np.abs(value) < np.finfo(float).tiny, 0.0 * value, value)

    for program, inputs in EXAMPLES:
        program = expand_networks(program)
        want, bounds = evaluate_with_bound(program, *inputs)
        for item in zip(run(program, inputs, sloppy), want, bounds, strict=True):
            assert_within_bound(*item)


EXACT = set("neg abs sign floor ceil round trunc minimum maximum copysign max min where to_float".split())


def test_most_elements_can_be_held():
    shares = [decided_share(evaluate_with_bound(program, *inputs)[1]) for program, inputs in EXAMPLES]
    assert np.mean(shares) > 0.93


def test_bound_is_tight_where_nothing_amplifies():
    builder = ProgramBuilder([Input("x", (50,))])
    total = builder.add("sum", (builder.add("exp", (builder.add("sin", (0,)),)),), ((0,),))
    (value,), (bound,) = evaluate_with_bound(builder.build([("y", total)]), np.linspace(0.1, 1, 50))
    assert 1e-17 < bound / value < 100 * np.finfo(float).eps


def test_bound_follows_the_condition():
    eps = np.finfo(float).eps
    value, bound = bound_of("exp", 300.0)
    assert 50 * eps < bound / value < 200 * eps
    value, bound = bound_of("sub", 3.0, 3.0 - 3e-10)
    assert 0.1 * eps < bound / (value * 1e10) < 10 * eps


@pytest.mark.parametrize(
    "op, inputs, attrs",
    [
        ("less", (1.0, 1.0), ()),
        ("equal", (1.0, 1.0), ()),
        ("not_equal", (1.0, np.nextafter(1.0, 2)), ()),
        ("round", (1.5,), ()),
        ("floor", (3.0,), ()),
        ("mod", (6.0, 3.0), ()),
        ("arccos", (3.0,), ()),
        ("tan", (3 * np.pi / 2,), ()),
        ("sin", (1e20,), ()),
        ("exp", (3 * 709.78,), ()),
    ],
)
def test_luck_is_not_held(op, inputs, attrs):
    value, bound = bound_of(op, *inputs, attrs=attrs)
    assert np.isinf(bound) or op == "sin" and bound > 0.01


@pytest.mark.parametrize(
    "op, inputs, attrs, want",
    [
        ("less", (1.0, 1.1), (), True),
        ("equal", (1.0, 1.1), (), False),
        ("round", (1.6,), (), 1.0),
        ("mod", (7.0, 3.0), (), None),
        ("log", (-1.0,), (), np.nan),
        ("exp", (3000.0,), (), np.inf),
        ("isnan", (1.0,), (), False),
    ],
)
def test_what_is_no_luck_is_held(op, inputs, attrs, want):
    value, bound = bound_of(op, *inputs, attrs=attrs)
    assert bound < 1e-14
    assert want is None or np.array_equal(value, want if op != "round" else 1.0, equal_nan=True)


def test_division_by_an_exact_zero_is_infinite_for_all():
    builder = ProgramBuilder([Input("x", (3,)), Input("y", (3,))])
    program = builder.build([("z", builder.add("div", (0, 1)))])
    (value,), (bound,) = evaluate_with_bound(program, [1.0, 0.0, 1.0], [0.0, 0.0, 2.0])
    assert value[0] == np.inf and np.isnan(value[1])
    assert bound[0] == 0 and bound[1] == 0 and 0 < bound[2] < 1e-15


def test_undecided_branch_infects_only_what_reads_it():
    builder = ProgramBuilder([Input("x", (2,))])
    third = builder.add("div", (0, builder.constant(3.0)))
    condition = builder.add("greater", (third, builder.constant(1.0)))
    chosen = builder.add("where", (condition, third, builder.constant(0.0)))
    total = builder.add("sum", (chosen,), ((0,),))
    _, (first, second) = evaluate_with_bound(builder.build([("a", chosen), ("b", total)]), [3.0, 9.0])
    assert np.isinf(first[0]) and first[1] < 1e-15 and np.isinf(second)


def test_rules_are_of_known_operations():
    assert RULES.keys() < OPERATIONS.keys()
