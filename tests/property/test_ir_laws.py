"""Laws of Programs: simplifying, expanding and writing them keep what they compute."""

import numpy as np
from hypothesis import HealthCheck, given, settings
from support.programs import assert_equals_oracle, decided_share, programs, random_programs

from pysciml.ir.bound import evaluate_with_bound
from pysciml.ir.evaluate import evaluate_nodes, evaluate_program
from pysciml.ir.expand import expand_networks
from pysciml.ir.format import format_equations
from pysciml.ir.ops import OPERATIONS
from pysciml.ir.schema import program_from_json, program_to_json
from pysciml.ir.simplify import simplify_program

law = settings(max_examples=250, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
STRUCTURE = frozenset("slice update stack concatenate reshape broadcast gather scatter transpose add mul where".split())
OTHERS = frozenset(OPERATIONS) - STRUCTURE


def assert_same_bits(got, want):
    """Equal shapes, types, values and signs of zeros; one NaN is as good as another."""
    for a, b in zip(got, want, strict=True):
        np.testing.assert_array_equal(a, b, strict=True)
        if a.dtype != np.bool_:
            number = ~np.isnan(b)
            np.testing.assert_array_equal(np.signbit(a[number]), np.signbit(b[number]))


@law
@given(programs(without=frozenset({"pow"})))
def test_simplify_keeps_every_bit(example):
    program, inputs = example
    short = simplify_program(program)
    assert_same_bits(evaluate_program(short, *inputs), evaluate_program(program, *inputs))
    assert short.inputs == program.inputs and len(short.nodes) <= len(program.nodes) + len(program.constants)


@law
@given(programs(most_nodes=25, without=OTHERS))
def test_simplify_keeps_every_bit_of_structure(example):
    program, inputs = example
    assert_same_bits(evaluate_program(simplify_program(program), *inputs), evaluate_program(program, *inputs))


@law
@given(programs())
def test_simplify_stays_within_the_bound(example):
    program, inputs = example
    short = simplify_program(program)
    assert_equals_oracle(lambda *args: evaluate_program(short, *args), program, inputs)


@law
@given(programs(most_nodes=20))
def test_simplify_is_idempotent(example):
    program, _ = example
    short = simplify_program(program)
    assert simplify_program(short) == short


@law
@given(programs(most_nodes=4, without=frozenset(OPERATIONS) - {"network"}))
def test_expand_keeps_every_bit(example):
    program, inputs = example
    assert any(node.op == "network" for node in program.nodes)
    expanded = expand_networks(program)
    assert not any(node.op == "network" for node in expanded.nodes)
    assert_same_bits(evaluate_program(expanded, *inputs), evaluate_program(program, *inputs))


@law
@given(programs())
def test_json_there_and_back(example):
    program, inputs = example
    text = program_to_json(program)
    loaded = program_from_json(text)
    assert loaded == program and program_to_json(loaded) == text
    assert_same_bits(evaluate_program(loaded, *inputs), evaluate_program(program, *inputs))


@law
@given(programs())
def test_format_never_fails_and_repeats_itself(example):
    program, _ = example
    lines = format_equations(program)
    assert lines and lines == format_equations(program)
    assert all(isinstance(line, str) and "\n" not in line for line in lines)


@law
@given(programs())
def test_shapes_and_types_are_the_derived_ones(example):
    program, inputs = example
    for node, value in zip(program.nodes, evaluate_nodes(program, *inputs), strict=True):
        assert np.shape(value) == node.shape
        assert (np.asarray(value).dtype == np.bool_) == (node.dtype == "bool")


def test_random_programs_repeat_themselves_and_use_every_operation():
    examples, again = random_programs(300, seed=8), random_programs(300, seed=8)
    for (program, inputs), (other, other_inputs) in zip(examples, again, strict=True):
        assert program == other
        assert all(np.array_equal(a, b) for a, b in zip(inputs, other_inputs, strict=True))
    assert {node.op for program, _ in examples for node in program.nodes} == set(OPERATIONS)
    shapes = {node.shape for program, _ in examples for node in program.nodes}
    assert {0, 1, 2, 3} <= {len(shape) for shape in shapes}


def test_random_right_hand_sides_have_their_form():
    for program, inputs in random_programs(200, seed=9, rhs=True):
        assert [item.name for item in program.inputs] == ["t", "u", "p"]
        (output,) = program.outputs
        assert output.name == "du" and program.nodes[output.node].shape == inputs[1].shape


def test_few_random_elements_are_undecided():
    shares = [decided_share(evaluate_with_bound(*[p, *x])[1]) for p, x in random_programs(600, seed=10)]
    assert np.mean(shares) > 0.93 and np.mean(np.array(shares) == 0) < 0.05
