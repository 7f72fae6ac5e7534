"""Scaled coordinates: the same functions as in the user's units, with everything of size one."""

import numpy as np
import pytest

from pysciml.fitting.observations import Observations, fill_gaps, rates_of_change
from pysciml.fitting.scaling import NetworkScale, network_scales, scaled_parametrization, scaled_start
from pysciml.fitting.trainable import Interval, Positive, gather_x, read_trainable
from pysciml.ir.evaluate import evaluate_program
from pysciml.ir.program import ProgramBuilder
from pysciml.networks import MLP
from pysciml.tracing.layout import make_layout


def apply(net, weights, x):
    """The network's function on ``x (in,)``, from its definition."""
    for layer in net.layers:
        matrix = weights[layer.weight].reshape(layer.out_size, layer.in_size, order="F")
        x = matrix @ x + weights[layer.bias]
        x = np.tanh(x) if layer.index < net.depth else x
    return x


def universal_program(net):
    """du = 2 * net([u0, t]), one state."""
    b = ProgramBuilder()
    t, u, p = b.add_input("t", ()), b.add_input("u", (1,)), b.add_input("p", (net.n_weights + 1,))
    weights = b.add("slice", (p,), ((1,), (net.n_weights,), (1,)))
    x = b.add("concatenate", (u, b.add("reshape", (t,), ((1,),))), (0,))
    out = b.add("network", (weights, x), net.attrs)
    return b.build([("du", b.add("mul", (b.constant(2.0), out)))])


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_network_in_scaled_units(depth):
    net = MLP(2, 3, width=4, depth=depth)
    u = make_layout("record", {"x": ((), None, True)})
    p = make_layout("record", {"net": ((net.n_weights,), net, True)})
    p0 = net.initial_weights("net")
    scale = NetworkScale(np.array([1900.0, 3.0]), np.array([5.0, 0.1]), np.array([10.0, 0.3, 1.0]))
    blocks = read_trainable(None, u, p)
    networks, typical = {"net": (net, scale)}, np.ones(p0.size)
    program = scaled_parametrization(blocks, p0, np.zeros(1), p0, networks, typical)
    rng = np.random.default_rng(0)
    z = rng.standard_normal(p0.size)
    raw = evaluate_program(program, z)[1]
    for _ in range(5):
        x = scale.center + scale.spread * rng.standard_normal(2)
        want = scale.unit * apply(net, z, (x - scale.center) / scale.spread)
        np.testing.assert_allclose(apply(net, raw, x), want, rtol=1e-10, atol=1e-10)
    assert np.array_equal(scaled_start(blocks, p0, networks, {"net"}, typical), p0)
    learnt = scaled_start(blocks, raw, networks, set(), typical)
    np.testing.assert_allclose(learnt, z, rtol=1e-9, atol=1e-9)


def test_bounds_and_sizes():
    u = make_layout("record", {"x": ((), None, True)})
    p = make_layout("record", {"k": ((), None, True), "rate": ((2,), None, True), "share": ((), None, True)})
    p0, u0 = np.array([3e7, -4.0, 4.0, 0.25]), np.array([0.0])
    blocks = read_trainable({"k": Positive(), "rate": True, "share": Interval(0, 1), "u0_x": True}, u, p)
    x0 = gather_x(blocks, u0, p0)
    typical = np.full(5, 7.0)
    program = scaled_parametrization(blocks, x0, u0, p0, {}, typical)
    z0 = scaled_start(blocks, x0, {}, set(), typical)
    np.testing.assert_allclose(np.concatenate(evaluate_program(program, z0)), [0, *p0], rtol=1e-14)
    moved = np.concatenate(evaluate_program(program, z0 + [0.01] * 5))
    np.testing.assert_allclose(moved[:4], [0.07, 3e7 * np.exp(0.01), -3.96, 4.04], rtol=1e-12)
    far = np.concatenate(evaluate_program(program, z0 - 5.0))
    assert 0 < far[1] < 3e7 and 0 < far[4] < 0.25


def test_scales_come_from_the_data():
    net = MLP(2, 1, width=3, depth=1)
    p = make_layout("record", {"k": ((), None, True), "net": ((net.n_weights,), net, True)})
    p0 = np.concatenate([[1.0], net.initial_weights("net")])
    times = np.array([1900.0, 1901.0, 1902.0, 1903.0])
    seen = Observations(times, np.array([[0.0], [8.0], [np.nan], [0.0]]))
    scale = network_scales(universal_program(net), p, [(np.zeros(1), p0, seen)])["net"]
    inputs = np.array([[0, 1900], [8, 1901], [4, 1902], [0, 1903]])
    np.testing.assert_allclose(scale.center, inputs.mean(axis=0))
    np.testing.assert_allclose(scale.spread, inputs.std(axis=0))
    rate = (8.0 + 8.0) / 3.0  # up and down within three years
    np.testing.assert_allclose(scale.unit, [rate / 2], rtol=1e-6)  # the model doubles the network's output


def test_gaps_and_rates():
    seen = Observations(np.array([0.0, 1.0, 3.0]), np.array([[1.0, np.nan], [np.nan, np.nan], [7.0, np.nan]]))
    np.testing.assert_allclose(fill_gaps(seen, np.array([0.0, 5.0])), [[1, 5], [3, 5], [7, 5]])
    np.testing.assert_allclose(rates_of_change([seen]), [2.0, np.nan])


def test_rates_do_not_count_where_data_stand_close():
    """Of a stiff problem most data are early, where it is quick; the rate is that of the whole span."""
    times = np.geomspace(1e-5, 1e5, 50)
    seen = Observations(times, np.exp(-times / 1e-3)[:, np.newaxis])
    np.testing.assert_allclose(rates_of_change([seen, seen]), [np.exp(-0.01) / 1e5])
