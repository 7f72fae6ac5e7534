"""Gradients through events, against differences of tight solves."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from support.engines import require_engine

import pysciml as ps
from pysciml.errors import UnsupportedByEngine

TIGHT = {"rtol": 1e-11, "atol": 1e-12}
TRAINED = ["k", "c", "d", "u0_x", "u0_y"]


@pytest.fixture(scope="module", autouse=True)
def julia():
    require_engine("julia")


def make_pair(*events, **options):
    def f(t, u, p):
        return {"x": -p.k * u.x + 0.3 * u.y, "y": p.c * u.x - u.y**2}

    return ps.ODEProblem(
        f, {"x": 1.2, "y": 0.5}, (0, 4), {"k": 0.7, "c": 1.3, "d": 0.9, "w": 0.0}, events=events, **options
    )


def dose(*times, **options):
    return ps.Event(None, lambda t, u, p: {"x": u.x * u.y + p.d * (1 + t)}, times=times, **options)


def switch(times, **options):
    """Changes parameters, one of them by itself, and a state by a parameter that it changes."""
    return ps.Event(
        None, lambda t, u, p: {"k": 1.5 * p.k + 0.1 * u.x, "w": u.y * p.d, "y": u.y * p.k}, times=times, **options
    )


def infusion():
    table = {"time": [0.0, 0.5, 2.0], "state": ["x", "y", "x"], "amount": [1.0, 0.5, 2.0], "duration": [0.0, 1.0, 0.5]}
    return ps.Schedule(pd.DataFrame(table))


def threshold(effect=None, **options):
    """Where a state falls to a line that depends on a parameter and on time."""

    def changes(t, u, p):
        return {"k": 1.5 * p.k + 0.1 * u.x, "y": u.y + p.d * t + 0.5}

    return ps.Event(lambda t, u, p: u.x - 0.9 * p.c - 0.05 * t, effect or changes, direction=-1, **options)


def make_ball(*events):
    p = {"g": 9.81, "r": 0.8, "d": 0.1}
    return ps.ODEProblem(
        lambda t, u, p: {"h": u.v, "v": -p.g - p.d * u.v}, {"h": 1.0, "v": 0.1}, (0, 2.5), p, events=events
    )


def bounce(effect=lambda t, u, p: {"v": -p.r * u.v}):
    return ps.Event(lambda t, u, p: u.h, effect, direction=-1)


BALL, FLIGHT = ["g", "r", "d", "u0_h", "u0_v"], np.linspace(0.1, 2.5, 25)


def make_data(times, names=("x", "y")):
    t = np.asarray(times, dtype=np.float64)
    return xr.Dataset({name: ("time", 0.3 + np.sin(t + k)) for k, name in enumerate(names)}, {"time": t})


def slopes_of(o):
    """Derivatives by central differences of fourth order."""
    found = []
    for unit in np.eye(o.x0.size):
        h = 2e-4
        above, below, far_above, far_below = (o.value(o.x0 + k * h * unit) for k in (1, -1, 2, -2))
        found.append((8 * (above - below) - (far_above - far_below)) / (12 * h))
    return np.array(found)


def assert_right(problem, data, algorithm, names=TRAINED, rtol=1e-6, **options):
    """The gradient is the derivative, its value the loss, and the loss that of what ``solve`` gives."""
    options = {**TIGHT, **options}
    o = ps.objective(problem, data, loss="mse", trainable=names, engine="julia", algorithm=algorithm, **options)
    value, gradient = o(o.x0)
    expected = slopes_of(o)
    np.testing.assert_allclose(gradient, expected, rtol=rtol, atol=rtol * np.max(np.abs(expected)))
    ds = ps.solve(problem, algorithm, saveat=data.time.values, engine="julia", **options)
    loss = np.mean([(ds[name].values - data[name].values) ** 2 for name in data.data_vars])
    assert value == pytest.approx(loss, rel=1e-8) and o.value(o.x0) == pytest.approx(loss, rel=1e-8)
    return gradient


CASES = {
    "between data": (lambda: make_pair(dose(1.0, 2.5)), [0.5, 1.7, 3.0]),
    "at data": (lambda: make_pair(dose(1.0, 2.5)), [0.5, 1.0, 2.5]),
    "at data, before": (lambda: make_pair(dose(1.0, 2.5, sample="before")), [0.5, 1.0, 2.5]),
    "at the start": (lambda: make_pair(dose(0.0, 1.0), switch([0.0])), [0.0, 0.5, 1.0]),
    "at the start, before": (lambda: make_pair(dose(0.0, sample="before")), [0.0, 0.5]),
    "nothing but the start": (lambda: make_pair(dose(0.0)), [0.0]),
    "parameters": (lambda: make_pair(switch([1.0, 2.0, 2.2]), dose(1.5)), [0.5, 1.0, 1.6, 2.1, 3.0]),
    "at once": (
        lambda: make_pair(switch([1.0]), dose(1.0, sample="before"), switch([1.0, 2.5])),
        [0.5, 1.0, 2.0, 2.5],
    ),
    "every": (lambda: make_pair(dose_every(0.3), switch(ps.every(1.0))), [0.5, 0.9, 1.0, 2.5]),
    "behind the data": (lambda: make_pair(dose(1.0), switch([3.5]), stop(3.0)), [0.5, 2.0]),
    "doses and infusions": (lambda: make_pair(infusion()), [0.2, 0.5, 1.0, 2.2, 3.0]),
}


def dose_every(dt):
    return ps.Event(None, lambda t, u, p: {"x": u.x + 0.1 * p.d * u.y}, times=ps.every(dt))


def stop(*times):
    return ps.Event(None, times=times, terminal=True)


@pytest.mark.parametrize("algorithm", ["Tsit5", "Vern9", "Rodas5P"])
@pytest.mark.parametrize("case", CASES)
def test_the_gradient_is_the_derivative(case, algorithm):
    make, times = CASES[case]
    assert_right(make(), make_data(times), algorithm)


ROOTS = {
    "a threshold": lambda: make_pair(threshold()),
    "and doses": lambda: make_pair(threshold(), dose_every(0.7)),
    "of time alone": lambda: make_pair(ps.Event(lambda t, u, p: t - p.d, lambda t, u, p: {"x": u.x + t})),
    "without effect": lambda: make_pair(ps.Event(lambda t, u, p: u.x - 1.0), dose(1.0)),
    "two of one condition": lambda: make_pair(threshold(), threshold(lambda t, u, p: {"x": u.x * p.k, "k": 0.5 * p.d})),
}


@pytest.mark.parametrize("algorithm", ["Tsit5", "Vern9", "Rodas5P"])
@pytest.mark.parametrize("case", ROOTS)
def test_events_that_move_with_the_solution(case, algorithm):
    assert_right(ROOTS[case](), make_data([0.2, 0.7, 1.5, 2.0, 3.0]), algorithm)


@pytest.mark.parametrize("algorithm", ["Tsit5", "Vern7", "Rodas5P"])
def test_a_bouncing_ball(algorithm):
    worn = bounce(lambda t, u, p: {"r": 0.98 * p.r, "v": 1.05 * u.v})
    kick = ps.Event(None, lambda t, u, p: {"v": u.v + p.r, "d": 2 * p.d}, times=[0.2, 1.0, 1.6])
    for events in ([bounce()], [bounce(), worn, kick]):
        assert_right(make_ball(*events), make_data(FLIGHT, ("h", "v")), algorithm, BALL)


def test_bounces_that_pile_up_have_no_gradient():
    problem = make_ball(bounce()).remake(t_span=(0, 9))
    o = ps.objective(
        problem, make_data([8.0], ("h",)), trainable=["g", "r"], engine="julia", algorithm="Tsit5", **TIGHT
    )
    value, gradient = o(o.x0)
    assert np.isnan(value) and np.isnan(gradient).all()


def test_a_bounce_by_its_closed_form():
    """Without friction, h = r v (t - s) - g (t - s)**2 / 2 behind the bounce at s, where it hits with v = g s."""
    g, r, t = 9.81, 0.8, 0.8
    problem = make_ball(bounce()).remake(p={"d": 0.0}, u0={"v": 0.0})
    data = xr.Dataset({"h": ("time", [0.0])}, {"time": [t]})
    o = ps.objective(problem, data, loss="mse", trainable=["g", "r"], engine="julia", algorithm="Vern9", **TIGHT)
    s = np.sqrt(2 / g)
    ds, v = -s / (2 * g), np.sqrt(2 * g)
    h = r * v * (t - s) - g * (t - s) ** 2 / 2
    by_g = r * (1 / v) * (t - s) - r * v * ds - (t - s) ** 2 / 2 + g * (t - s) * ds
    value, gradient = o(o.x0)
    assert value == pytest.approx(h**2, rel=1e-9)
    np.testing.assert_allclose(gradient, [2 * h * by_g, 2 * h * v * (t - s)], rtol=1e-8)


def test_a_fit_through_bounces():
    data = ps.solve(make_ball(bounce()), "Tsit5", saveat=FLIGHT, engine="julia", rtol=1e-9)[["h"]]
    start = make_ball(bounce()).remake(p={"r": 0.77, "d": 0.05})
    options = {"optimizer": ps.LBFGS(steps=60), "strategy": (), "engine": "julia", "progress": False}
    result = ps.fit(start, data, trainable=["r", "d"], verify="always", **options)
    assert result.p.r == pytest.approx(0.8, rel=1e-3) and result.p.d == pytest.approx(0.1, rel=1e-2)


@pytest.mark.parametrize("sample", ["after", "before"])
def test_observables_see_the_parameters_of_their_side(sample):
    problem = make_pair(
        switch([1.0, 2.0], sample=sample), infusion(), observe=lambda t, u, p: {"z": u.x * p.k + t * p.w * u.y}
    )
    assert_right(problem, make_data([0.5, 1.0, 1.5, 2.0], ["z"]), "Vern7")


def test_a_matrix_that_an_event_changes():
    """Its cotangents are kept as factors, and are of the matrix behind the event or of the one before it."""
    n, rng = 24, np.random.default_rng(0)
    kick = ps.Event(None, lambda t, u, p: {"A": p.s * p.A + 0.1 * u, "u": u * p.s}, times=[0.5])
    p, start = {"A": 0.2 * rng.standard_normal((n, n)), "s": 0.7}, rng.standard_normal(n)
    problem = ps.ODEProblem(lambda t, u, p: np.tanh(p.A @ u), start, (0, 1), p, events=[kick])
    data = xr.Dataset({"u": (("time", "state"), np.ones((2, n)))}, {"time": [0.4, 1.0]})
    o = ps.objective(problem, data, loss="mse", engine="julia", algorithm="Tsit5", rtol=1e-10, atol=1e-12)
    direction = rng.standard_normal(o.x0.size)
    value, gradient = o(o.x0)
    difference = (o.value(o.x0 + 1e-5 * direction) - o.value(o.x0 - 1e-5 * direction)) / 2e-5
    assert gradient @ direction == pytest.approx(difference, rel=1e-7)
    assert o.value(o.x0) == pytest.approx(value, rel=1e-8)


def test_a_fit_finds_what_a_dose_does():
    truth = make_pair(dose(1.0, 2.5), switch([2.0])).remake(p={"k": 0.8, "d": 1.1})
    times = np.linspace(0, 4, 21)
    data = ps.solve(truth, "Tsit5", saveat=times, engine="julia", rtol=1e-9)[["x", "y"]]
    result = ps.fit(
        truth.remake(p={"k": 0.6, "d": 0.8}), data, trainable=["k", "d"], optimizer=ps.LBFGS(steps=30), engine="julia",
        progress=False,
    )  # fmt: skip
    assert result.p.k == pytest.approx(0.8, rel=1e-4) and result.p.d == pytest.approx(1.1, rel=1e-4)


def test_another_event_is_another_gradient_to_confirm():
    data = make_data([0.5, 2.0])
    for event in (dose(1.0), switch([1.0]), dose(1.0, sample="before")):
        o = ps.objective(make_pair(event), data, engine="julia", algorithm="Tsit5", trainable=["d"])
        assert not o._verified.is_done
        o(o.x0)
        assert o._verified.is_done


REFUSED = {
    "another way": (lambda: make_pair(dose(1.0)), {"sensitivity": "gauss"}, "'gauss' with events"),
    "another method": (lambda: make_pair(dose(1.0)), {"algorithm": "FBDF"}, "gradients through events.*'FBDF'"),
    "two at one moment": (
        lambda: make_pair(dose(1.0), ps.Event(lambda t, u, p: t - 1.0, lambda t, u, p: {"x": u.x + 1.0})),
        {"algorithm": "Tsit5"},
        "no gradient here: events with different conditions, .* t = 1.0",
    ),
    "a condition that jumps": (
        lambda: make_pair(ps.Event(lambda t, u, p: np.where(t > p.d, 1.0, -1.0), lambda t, u, p: {"x": u.x + 1.0})),
        {"algorithm": "Tsit5"},
        "no gradient here: the condition of an event has no slope .* t = 0.9",
    ),
    "an end where a state asks": (lambda: make_pair(threshold(terminal=True)), {}, "gradient of 'terminal events'"),
    "an end before the data": (lambda: make_pair(stop(1.0)), {}, "gradient of 'terminal events'"),
    "the other engine": (lambda: make_pair(dose(1.0)), {"engine": "diffrax"}, "'events'; engine='julia' does"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case):
    make, options, message = REFUSED[case]
    with pytest.raises(UnsupportedByEngine, match=message):
        ps.gradient(make(), make_data([0.5, 2.0]), **{"engine": "julia", **options})


def test_tangents_and_ends_are_refused():
    problem, data = make_pair(dose(1.0)), make_data([0.5, 2.0])
    with pytest.raises(UnsupportedByEngine, match="gradient by t_span of 'events'"):
        ps.gradient(problem, data, wrt=["t_span"], engine="julia")
    o = ps.objective(problem, data, engine="julia", algorithm="Tsit5")
    with pytest.raises(UnsupportedByEngine, match="tangents through 'events'"):
        ps.hessian_vector_product(o, o.x0, o.x0)
    with pytest.raises(UnsupportedByEngine, match="tangents through 'events'"):
        ps.sensitivities(problem, engine="julia")
