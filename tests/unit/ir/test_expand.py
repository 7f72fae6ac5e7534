"""Expanding networks: the same bits, the same inputs and outputs, origins kept."""

import numpy as np
import pytest

from pysciml.ir.evaluate import evaluate_program
from pysciml.ir.expand import expand_networks
from pysciml.ir.program import Input, Origin, ProgramBuilder
from pysciml.networks import ACTIVATIONS, MLP


def make_program(net, shape):
    builder = ProgramBuilder([Input("w", (net.n_weights,)), Input("x", shape), Input("unused", ())])
    node = builder.add("network", (0, 1), net.attrs, Origin("model.py", 7))
    return builder.build([("y", builder.add("neg", (node,))), ("x", 1)])


@pytest.mark.parametrize("word", ACTIVATIONS)
@pytest.mark.parametrize("shape", [(2,), (3, 2), (4, 3, 2)])
def test_same_bits(word, shape):
    net = MLP(2, 3, width=5, depth=2, activation=word, final_activation="sigmoid", input_range=[(0, 1), (-3, 2)])
    program = make_program(net, shape)
    expanded = expand_networks(program)
    x = np.random.default_rng(0).normal(size=shape)
    weights = net.initial_weights("net")
    for got, want in zip(
        evaluate_program(expanded, weights, x, 0), evaluate_program(program, weights, x, 0), strict=True
    ):
        np.testing.assert_array_equal(got, want, strict=True)


def test_inputs_outputs_and_origins_stay():
    program = make_program(MLP(2, 3, width=5, depth=1), (2,))
    expanded = expand_networks(program)
    assert expanded.inputs == program.inputs
    assert [output.name for output in expanded.outputs] == ["y", "x"]
    assert not any(node.op == "network" for node in expanded.nodes)
    assert {n.origin for n in expanded.nodes if n.op in ("matmul", "tanh", "reshape")} == {Origin("model.py", 7)}


def test_nothing_to_expand_is_equal():
    builder = ProgramBuilder([Input("x", (2,))])
    program = builder.build([("y", builder.add("sin", (0,)))])
    assert expand_networks(program) == program
