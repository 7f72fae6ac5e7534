"""Terms in the place of a network: the same function, wherever the model calls it."""

import numpy as np
import pytest

import pysciml as ps
from pysciml.ir.evaluate import evaluate_program
from pysciml.recovery.replacement import find_network, name_inputs, replace_network
from pysciml.recovery.terms import Part, Sum

RANDOM = np.random.default_rng(3)
TERMS = ps.Library(degree=1, functions=()).terms(2)  # 1, x, y: all that a network without an activation can say


def sums(coefficients, terms=TERMS):
    """Equations by their coefficients ``(output, term)``."""
    pairs = [[(term, float(c)) for term, c in zip(terms, row, strict=True) if c] for row in coefficients]
    return [Sum(tuple(Part(*pair) for pair in row)) for row in pairs]


def affine(network):
    """Equations for a network without activations."""
    shift = network([0.0, 0.0])
    return sums(np.stack([shift, network([1.0, 0.0]) - shift, network([0.0, 1.0]) - shift], axis=1))


def make_problem(p=None, **more):
    net = ps.MLP(2, 2, width=3, depth=1, activation="identity", seed=4)
    p = {"before": 2.0, "net": net, "after": np.array([3.0, 4.0])} if p is None else p
    pulse = ps.Event(effect=lambda t, u, p: {"x": u.x + p.net([u.x, p.before])[1]}, times=[0.5], name="pulse")
    return ps.ODEProblem(
        lambda t, u, p: {"x": p.before * p.net([u.x, u.y])[0], "y": p.net([u.x, u.y])[1] + p.after[1] * t},
        lambda p: {"x": p.before + p.net([1.0, 2.0])[0], "y": p.after[0]},
        (0, 1),
        p,
        observe=lambda t, u, p: {"seen": p.after[0] + p.net(np.stack([[u.x, u.y], [u.y, u.y]]))[:, 1].sum()},
        events=[pulse],
        **more,
    )


def test_every_program_says_the_same():
    problem = make_problem()
    other, names = replace_network(problem, find_network(problem, None), affine(problem.p.net))
    assert other.p_layout.names == ("before", "after", *names)
    t, u = RANDOM.random(), RANDOM.random(2)

    def outputs(one):
        (event,) = one.events
        rows = (one.program, one.observe, event.effect)
        return [evaluate_program(row, t, u, one.p_values)[0] for row in rows] + [
            evaluate_program(one.initial, one.p_values)[0]
        ]

    for left, right in zip(outputs(problem), outputs(other), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-12)
    assert not any(node.op == "network" for node in other.program.nodes)
    assert other.remake(p={names[0]: 9.0}).p_values[other.p_layout[names[0]].start] == 9.0


def test_inputs_and_parameters_are_named():
    problem = make_problem()
    entry = find_network(problem, "net")
    assert name_inputs(problem, entry) == ("x", "y")
    other, names = replace_network(problem, entry, sums([[0.0, 0.0, 2.0], [1.0, 0.0, 0.0]]))
    assert names == ("net0_y", "net1_1") and float(other.p.net0_y) == 2.0
    assert other.long_names["net0_y"] == "factor of y in net[0]"
    mixed = ps.ODEProblem(lambda t, u, p: p.net([u * 2, t])[0], 1.0, (0, 1), {"net": ps.MLP(2, 1, width=2, depth=1)})
    assert name_inputs(mixed, find_network(mixed, None)) == ("x0", "t")


def test_a_network_that_is_all_parameters():
    problem = ps.ODEProblem(lambda t, u, p: {"x": p([u.x])[0]}, {"x": 1.0}, (0, 1), ps.MLP(1, 1, width=2, depth=1))
    terms = ps.Library(degree=1, functions=()).terms(1)
    other, (name,) = replace_network(problem, find_network(problem, None), sums([[0.0, -2.0]], terms))
    ds = ps.solve(other, saveat=[1.0], engine="diffrax", rtol=1e-9)
    assert float(ds.x[0]) == pytest.approx(np.exp(-2), rel=1e-6) and name == f"{problem.p_layout.names[0]}_x"
