"""Derivative Programs on random Programs: against differences, against each other, and their patterns."""

import numpy as np
from support.programs import random_programs

from pysciml.ir.bound import evaluate_with_bound
from pysciml.ir.derivatives import RULES, jvp
from pysciml.ir.evaluate import evaluate_nodes, evaluate_program
from pysciml.ir.jacobian import compressed_jacobian, time_gradient, unrolled_jacobian
from pysciml.ir.ops import BOOL, OPERATIONS
from pysciml.ir.sparsity import RULES as PATTERN_RULES
from pysciml.ir.sparsity import find_pattern
from pysciml.ir.unroll import RULES as UNROLL_RULES

STEP = 1e-4
STEPS = frozenset("floor ceil round trunc".split())  # of large numbers, these look like slopes


def is_finite(program, inputs):
    """Whether all values on the way are finite and far from overflow."""
    return all(np.all(np.isfinite(v)) and np.all(np.abs(v) < 1e150) for v in evaluate_nodes(program, *inputs))


def float_outputs(program, values):
    return [v for v, output in zip(values, program.outputs, strict=True) if program.nodes[output.node].dtype != BOOL]


def test_tables_are_total():
    derivable = {name for name, row in OPERATIONS.items() if row.gives != BOOL and row.kind not in ("leaf", "network")}
    assert RULES.keys() | {"to_float"} == derivable
    assert PATTERN_RULES.keys() == derivable
    structural = {name for name, row in OPERATIONS.items() if row.kind == "structural"}
    assert UNROLL_RULES.keys() == set(OPERATIONS) - structural - {"input", "constant", "network"}


def test_jvp_equals_differences():
    decided = total = 0
    for k, (program, inputs) in enumerate(random_programs(1500, seed=21, without=STEPS)):
        if not is_finite(program, inputs):
            continue
        rng = np.random.default_rng(k)
        tangents = [rng.integers(-2, 3, np.shape(x)) * x for x in inputs]
        derivative = jvp(program, [item.name for item in program.inputs])
        got = evaluate_program(derivative, *inputs, *tangents)

        def moved(h, program=program, inputs=inputs, tangents=tangents):
            return evaluate_with_bound(program, *(x + h * d for x, d in zip(inputs, tangents, strict=True)))

        points = [moved(h) for h in (STEP, -STEP, STEP / 2, -STEP / 2)]
        parts = zip(*(float_outputs(program, p[0]) for p in points), strict=True)
        noises = zip(*(float_outputs(program, p[1]) for p in points), strict=True)
        for g, values, errors in zip(float_outputs(program, got), parts, noises, strict=True):
            coarse, fine = (values[0] - values[1]) / (2 * STEP), (values[2] - values[3]) / STEP
            noise = 10 * sum(errors) / STEP
            sure = np.abs(coarse - fine) <= 1e-4 * np.abs(fine) + noise
            sure &= np.isfinite(noise) & (noise <= 1e-4 * np.maximum(np.abs(fine), 1e-3))
            want = (4 * fine - coarse) / 3
            np.testing.assert_array_less(np.abs(g - want)[sure], (1e-4 * np.abs(want) + noise + 1e-300)[sure])
            decided, total = decided + np.sum(sure), total + np.size(g)
    assert decided > 0.8 * total > 2000


def test_all_forms_of_a_jacobian_are_equal_and_inside_the_pattern():
    smaller = 0
    examples = random_programs(300, seed=22, rhs=True, most_nodes=30)
    for program, inputs in examples:
        (n,) = program.inputs[1].shape
        pattern = find_pattern(program)
        rows, columns = pattern.by_column()
        unrolled, own_rows, own_columns = unrolled_jacobian(program)
        assert set(zip(own_rows, own_columns, strict=True)) <= set(zip(rows, columns, strict=True))
        smaller += len(own_rows) < len(rows)
        if not is_finite(program, inputs):
            continue
        derivative = jvp(program, ["u"])
        jacobian = np.stack([evaluate_program(derivative, *inputs, e)[0] for e in np.eye(n)], axis=1)
        for form, r, c in [
            (unrolled, own_rows, own_columns),
            (compressed_jacobian(program, rows, columns, np.arange(n)), rows, columns),
        ]:
            dense = np.zeros((n, n))
            (dense[r, c],) = evaluate_program(form, *inputs)
            np.testing.assert_allclose(dense, jacobian, rtol=1e-9, atol=1e-13)
    assert smaller < 0.05 * len(examples)


def test_the_slope_in_time_is_the_jvp_of_time():
    for program, inputs in random_programs(100, seed=23, rhs=True, most_nodes=20):
        (got,) = evaluate_program(time_gradient(program), *inputs)
        (want,) = evaluate_program(jvp(program, ["t"]), *inputs, 1.0)
        if is_finite(program, inputs):
            np.testing.assert_allclose(got, want, rtol=1e-12)
