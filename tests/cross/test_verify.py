"""Gradients are held against differences of the loss: wrong ones raise, right ones and true zeros pass."""

import numpy as np
import pytest
import xarray as xr
from support.engines import require_engine
from support.problems import CASES

import pysciml as ps
from pysciml.api import verify
from pysciml.engines.diffrax import objective as diffrax_objective
from pysciml.engines.julia.objective import JuliaObjective
from pysciml.ir import reverse

ENGINES = ["julia", "diffrax"]
TIMES = np.linspace(0.0, 2.0, 5)


@pytest.fixture
def fresh(monkeypatch):
    """No gradient of this process has been confirmed yet."""
    monkeypatch.setattr(verify, "_CONFIRMED", {})


def decay(number):
    """A problem of its own for each number, so that nothing has been compiled for it, and data that it doesn't fit."""
    problem = ps.ODEProblem(
        lambda t, u, p: {"x": -p.k * u.x - number * u.x**2 + p.idle * 0.0},
        {"x": 1.0},
        (0.0, 2.0),
        {"k": 1.0, "idle": 3.0},
    )
    return problem, xr.Dataset({"x": ("time", 0.5 + 0.1 * np.cos(TIMES))}, {"time": TIMES})


def scale_gradients(monkeypatch, engine, factor):
    """An engine whose gradients are wrong by a factor."""
    if engine == "julia":
        right = JuliaObjective.value_and_gradient

        def wrong(self, x):
            value, gradient = right(self, x)
            return value, factor * gradient

        monkeypatch.setattr(JuliaObjective, "value_and_gradient", wrong)
        return
    make_gradient = diffrax_objective.make_gradient

    def make_wrong(key):
        gradient = make_gradient(key)

        def wrong(x, data):
            value, slope = gradient(x, data)
            return value, factor * slope

        return wrong

    monkeypatch.setattr(diffrax_objective, "make_gradient", make_wrong)


def test_a_wrong_rule_of_derivatives_is_seen(fresh, monkeypatch):
    require_engine("julia")
    monkeypatch.setitem(reverse.TRANSPOSES, "neg", lambda step: step.send(0, step.cotangent))
    problem, data = decay(0.011)
    with pytest.raises(ps.GradientMismatch, match="the 'discrete' gradient of 'julia' with 'Tsit5' is") as caught:
        ps.gradient(problem, data, wrt=["k"], engine="julia", algorithm="Tsit5")
    monkeypatch.undo()
    _, right = ps.gradient(decay(0.012)[0], data, wrt=["k"], engine="julia", algorithm="Tsit5")
    assert caught.value.difference * float(right.k) > 0 or caught.value.difference != caught.value.derivative
    assert abs(caught.value.difference) == pytest.approx(abs(float(right.k)), rel=0.6)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("factor", [1.1, -1.0, 0.0])
def test_a_wrong_gradient_raises(fresh, monkeypatch, engine, factor):
    require_engine(engine)
    scale_gradients(monkeypatch, engine, factor)
    problem, data = decay(0.02 + 0.001 * factor)
    misfit = ps.objective(problem, data, trainable=["k"], engine=engine, algorithm="Tsit5")
    with pytest.raises(ps.GradientMismatch) as caught:
        misfit(misfit.x0)
    assert caught.value.derivative == pytest.approx(factor * caught.value.difference, rel=1e-2)
    assert f"{caught.value.difference:.10g}" in str(caught.value)
    skipped = ps.objective(problem, data, trainable=["k"], engine=engine, algorithm="Tsit5", verify="never")
    assert np.isfinite(skipped(skipped.x0)[0])
    if engine == "diffrax":
        diffrax_objective.compile_objective.cache_clear()


def test_a_small_error_is_seen_along_frozen_steps(fresh, monkeypatch):
    require_engine("julia")
    scale_gradients(monkeypatch, "julia", 1.0 + 1e-4)
    problem, data = decay(0.031)
    for algorithm in ("Tsit5", "Vern7", "Rodas5P"):
        misfit = ps.objective(problem, data, trainable=["k"], engine="julia", algorithm=algorithm)
        with pytest.raises(ps.GradientMismatch):
            misfit(misfit.x0)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_slope_that_rounding_hides_from_small_steps_is_found(fresh, monkeypatch, engine):
    require_engine(engine)
    scale_gradients(monkeypatch, engine, 0.0)
    weak = ps.ODEProblem(lambda t, u, p: {"x": -u.x + 3e-3 * p.k}, {"x": 1.0}, (0.0, 2.0), {"k": 1.0})
    options = {"engine": engine, "algorithm": "Tsit5", "rtol": 1e-9, "atol": 1e-10}
    with pytest.raises(ps.GradientMismatch):
        ps.gradient(weak, decay(0.0)[1], **options)
    if engine == "diffrax":
        diffrax_objective.compile_objective.cache_clear()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_true_zero_is_believed(fresh, engine):
    require_engine(engine)
    problem, data = decay(0.041)
    value, gradient = ps.gradient(problem, data, wrt=["idle"], engine=engine, algorithm="Tsit5")
    assert value > 0 and float(gradient.idle) == 0.0
    _, at_start = ps.gradient(problem, data.isel(time=[0]), loss="mse", wrt=["k"], engine=engine, algorithm="Tsit5")
    assert float(at_start.k) == 0.0


@pytest.mark.parametrize("engine", ENGINES)
def test_the_bottom_of_a_loss_is_a_true_zero(fresh, engine):
    """The slope is 0, the loss isn't flat."""
    require_engine(engine)
    problem = ps.ODEProblem(lambda t, u, p: {"x": p.k - 1.0}, {"x": 1.0}, (0.0, 2.0), {"k": 1.0})
    data = xr.Dataset({"x": ("time", np.ones(5))}, {"time": TIMES})
    value, gradient = ps.gradient(problem, data, loss="mse", engine=engine, algorithm="Tsit5")
    assert value == 0.0 and float(gradient.k) == 0.0


def test_words(fresh, monkeypatch):
    """Once is once for a problem and a way of computing, always is each time."""
    require_engine("julia")
    calls = []
    right = JuliaObjective.nearby_values
    monkeypatch.setattr(JuliaObjective, "nearby_values", lambda *a: calls.append(1) or right(*a))
    problem, data = decay(0.051)
    options = {"engine": "julia", "trainable": ["k"]}

    def count(n, **more):
        calls.clear()
        misfit = ps.objective(problem, data, **options, **more)
        for _ in range(n):
            misfit(misfit.x0)
        return len(calls)

    assert count(3, algorithm="Tsit5", verify="never") == 0
    assert count(3, algorithm="Tsit5") == 1
    assert count(3, algorithm="Tsit5") == 0
    assert count(3, algorithm="Vern7") == 1
    assert count(3, algorithm="Tsit5", verify="always") == 3
    with pytest.raises(ps.ProblemError, match=r"verify must be one of .*; did you mean 'once'\?"):
        count(1, verify="onse")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_fit_is_verified_before_it_begins(fresh, monkeypatch, engine):
    require_engine(engine)
    scale_gradients(monkeypatch, engine, 1.2)
    problem, data = decay(0.061)
    options = {"trainable": ["k"], "engine": engine, "progress": False, "optimizer": ps.Adam(steps=2)}
    with pytest.raises(ps.GradientMismatch):
        ps.fit(problem, data, **options)
    assert np.isfinite(ps.fit(problem, data, verify="never", **options).loss)
    if engine == "diffrax":
        diffrax_objective.compile_objective.cache_clear()
    monkeypatch.undo()
    assert np.isfinite(ps.fit(problem, data, verify="always", **options).loss)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_fit_is_verified_again_where_its_horizon_has_grown(fresh, monkeypatch, engine):
    """Over a quarter of the span, and, as it grows by quarters, over three; not again where data reach no further."""
    require_engine(engine)
    spans, right = [], verify.Verified._confirm

    def confirm(self, *given):
        spans.append(self._span)
        if len(spans) > 1 and is_wrong:
            raise ps.GradientMismatch("wrong", 1.0, 2.0)
        right(self, *given)

    monkeypatch.setattr(verify.Verified, "_confirm", confirm)
    problem, data = decay(0.062)
    options = {"trainable": ["k"], "engine": engine, "progress": False, "optimizer": ps.Adam(steps=8)}
    is_wrong = True
    with pytest.raises(ps.GradientMismatch):
        ps.fit(problem, data, **options)
    assert spans == [0.5, 1.5]
    spans.clear()
    is_wrong = False
    first = ps.fit(problem, data, **options)
    assert spans == [1.5]
    assert ps.fit(problem, data, **options).loss == first.loss and spans == [1.5]


@pytest.mark.parametrize("engine", ENGINES)
def test_objectives_are_verified_again_over_longer_spans(fresh, monkeypatch, engine):
    require_engine(engine)
    spans, right = [], verify.Verified._confirm
    monkeypatch.setattr(verify.Verified, "_confirm", lambda self, *a: spans.append(self._span) or right(self, *a))
    problem, data = decay(0.063)
    for end in (1.0, 2.0, 3.0, 1.0, 6.5):
        longer = data.assign_coords(time=0.5 * end * TIMES)
        misfit = ps.objective(
            problem.remake(t_span=(0.0, 7.0)), longer, trainable=["k"], engine=engine, algorithm="Tsit5"
        )
        misfit(misfit.x0)
    assert spans == [1.0, 3.0, 6.5]


@pytest.mark.parametrize("engine", ENGINES)
def test_kinks_and_wild_solutions_are_no_errors(fresh, engine):
    """Differences of a chaotic solution tell nothing of a gradient: a warning says how it grows."""
    require_engine(engine)
    kink = ps.ODEProblem(
        lambda t, u, p: {"x": np.where(u.x > 0.5, -p.k, -2 * p.k * u.x) - np.abs(u.x - 0.7)},
        {"x": 1.0},
        (0.0, 2.0),
        {"k": 1.0},
    )
    assert np.isfinite(ps.gradient(kink, decay(0.0)[1], engine=engine, algorithm="Tsit5")[0])
    lorenz = ps.ODEProblem(
        lambda t, u, p: np.stack([10.0 * (u[1] - u[0]), u[0] * (p - u[2]) - u[1], u[0] * u[1] - 8 / 3 * u[2]]),
        np.array([1.0, 1.0, 1.0]),
        (0.0, 25.0),
        28.0,
    )
    data = ps.solve(lorenz, "Tsit5", saveat=[5.0, 15.0, 25.0], engine=engine) * 1.1
    with pytest.warns(RuntimeWarning, match="grow at a rate of 0.4[5-9]") as caught:
        assert np.isfinite(ps.gradient(lorenz, data, engine=engine, algorithm="Tsit5")[0])
    assert len(caught) == 1 and caught[0].filename == __file__


@pytest.mark.parametrize("algorithm", ["Tsit5", "Vern9", "DP8", "Rodas5P"])
def test_replayed_steps_are_the_solvers_own(algorithm):
    """Their loss at the point itself is the loss, and its differences are the gradient."""
    require_engine("julia")
    problem = CASES["lotka_volterra"].problem()
    data = ps.solve(problem, saveat=np.arange(1900.0, 1911), engine="julia")[["hare", "lynx"]] * 1.1
    misfit = ps.objective(problem, data, trainable=["*"], engine="julia", algorithm=algorithm)
    value, gradient = misfit(misfit.x0)
    step = 1e-5 * np.diag(misfit.x0)
    points = np.concatenate([misfit.x0[np.newaxis], misfit.x0 + step, misfit.x0 - step])
    here, *around = misfit._compiled.nearby_values(misfit.x0, points)
    assert here == pytest.approx(value, rel=1e-12)
    above, below = np.reshape(around, (2, -1))
    slopes = (above - below) / (2e-5 * misfit.x0)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-6, atol=1e-7 * np.max(np.abs(slopes)))


N_CELLS = 60


def diffusion(seed):
    """Noisy data of diffusion on a ring, and a problem with a conductivity for each of its faces."""

    def model(t, u, p):
        flow = p.d * (np.roll(u.c, -1) - u.c) * N_CELLS
        return {"c": (flow - np.roll(flow, 1)) * N_CELLS}

    x = 2 * np.pi * np.arange(N_CELLS) / N_CELLS
    problem = ps.ODEProblem(model, {"c": 1 + np.sin(x)}, (0, 0.02), {"d": np.ones(N_CELLS)})
    decayed = 1 + np.sin(x) * np.exp(-39.5 * np.array([[0.005], [0.01], [0.02]]))
    noise = 0.05 * np.random.default_rng(seed).standard_normal(decayed.shape)
    return problem, xr.Dataset({"c": (("time", "c_dim_0"), decayed + noise)}, {"time": [0.005, 0.01, 0.02]})


# errors of Rodas5P: cotangents of noise die out within a step, which is as long as the smooth states let it be
@pytest.mark.parametrize(("rtol", "error"), [(1e-3, 0.5), (1e-6, 0.1)])
def test_cotangents_that_grow_in_steps_at_the_limit_of_stability(fresh, rtol, error):
    """The states are right, the steps' own derivative is off by many powers of ten, and so are its differences."""
    require_engine("julia")
    problem, data = diffusion(0)
    given = {"rtol": rtol, "atol": rtol, "engine": "julia"}
    _, exact = ps.gradient(problem, data, algorithm="Rodas5P", rtol=1e-8, atol=1e-8, engine="julia")
    _, found = ps.gradient(problem, data, **given)
    assert found.attrs["algorithm"] == "Rodas5P"
    assert np.linalg.norm(found.d - exact.d) < error * np.linalg.norm(exact.d)
    with pytest.warns(RuntimeWarning, match="the problem is stiff for Tsit5"):
        with pytest.raises(ps.GradientMismatch, match="the model stiff for the method"):
            ps.gradient(problem, data, algorithm="Tsit5", **given)
    _, wrong = ps.gradient(problem, data, algorithm="Tsit5", verify="never", **given)
    assert np.linalg.norm(wrong.d - exact.d) > 1e3 * np.linalg.norm(exact.d)  # what the check is for


def test_diffrax_too_sees_cotangents_that_grow(fresh):
    require_engine("diffrax")
    problem, data = diffusion(0)
    with pytest.raises(ps.GradientMismatch, match="the model stiff for the method"):
        ps.gradient(problem, data, algorithm="Tsit5", rtol=1e-5, atol=1e-5, engine="diffrax")
    _, found = ps.gradient(problem, data, rtol=1e-6, atol=1e-8, engine="diffrax")
    assert found.attrs["algorithm"] == "Kvaerno5"


def test_a_state_of_rest(fresh):
    """Steps grow as long as nothing moves, and a gradient along them isn't that of the model."""
    require_engine("julia")
    problem = ps.ODEProblem(
        lambda t, u, p: {"x": p.b * u.x - u.x * u.y, "y": u.x * u.y - p.d * u.y},
        {"x": 1.0, "y": 1.0},
        (0, 6),
        {"b": 1.0, "d": 1.0},
    )
    data = xr.Dataset({"x": ("time", 1 + 0.5 * np.cos(np.arange(1.0, 7)))}, {"time": np.arange(1.0, 7)})
    with pytest.raises(ps.GradientMismatch, match="Nothing moves at these start values.*begin elsewhere"):
        ps.gradient(problem, data, engine="julia")
    ps.gradient(problem.remake(u0={"x": 1.3}), data, engine="julia")
