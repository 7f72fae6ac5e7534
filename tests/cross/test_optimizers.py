"""Optimizers on both engines: they reach a minimum, and first-order ones visit the same points."""

import pydoc
from dataclasses import replace
from itertools import count

import numpy as np
import pytest
import xarray as xr
from support.diffrax_engine import make_objective_request, make_request
from support.engines import ENGINES, require_engine

import pysciml as ps
from pysciml.api.fit_plan import check_optimizers
from pysciml.engines.choose import choose_engine
from pysciml.fitting.stages import Stage
from pysciml.requests import FitRequest, SumRequest

FIRST_ORDER = [
    ps.Adam(ps.Cosine(0.1), steps=60),
    ps.AdamW(ps.Warmup(10, 0.05), weight_decay=0.3, steps=60),
    ps.Lion(ps.Exponential(0.1, 1e-3), steps=60),
    ps.RMSProp(ps.Warmup(5, ps.Cosine(0.1, 0.01)), steps=60, clip=0.2),
]


def line():
    """Solved without an error by both engines: nothing depends on the state, and on time it does linearly."""

    def model(t, u, p):
        return {"x": p.a + p.b * t + p.net([1.0])[0], "y": p.b}

    times = np.linspace(0.5, 3, 6)
    data = xr.Dataset({"x": ("time", 0.4 * times + 0.2 * times**2), "y": ("time", 0.8 * times)}, {"time": times})
    p = {"a": 1.0, "b": -0.5, "net": ps.MLP(1, 1, width=2, depth=1)}
    return ps.ODEProblem(model, {"x": 0.0, "y": 0.0}, (0, 3), p), data


@pytest.mark.parametrize("optimizer", FIRST_ORDER, ids=lambda item: type(item).__name__)
def test_first_order_optimizers_visit_the_same_points(optimizer):
    problem, data = line()
    found = {}
    for engine in ENGINES:
        require_engine(engine)
        options = {"strategy": ps.GrowingHorizon(2), "progress": False, "verify": "never", "algorithm": "Tsit5"}
        found[engine] = ps.fit(problem, data, optimizer=optimizer, engine=engine, **options)
    one, other = found.values()
    np.testing.assert_allclose(one.history.loss, other.history.loss, rtol=1e-10)
    np.testing.assert_allclose(one.history.gradient_norm, other.history.gradient_norm, rtol=1e-9)
    np.testing.assert_allclose(one.problem.p_values, other.problem.p_values, rtol=1e-10)
    assert one.loss < float(one.history.loss[30])


def curved(engine):
    """A problem with a curved valley."""
    require_engine(engine)
    problem = ps.ODEProblem(
        lambda t, u, p: {"x": p.a * u.x - p.b * u.x * u.y, "y": p.b * u.x * u.y - p.d * u.y},
        {"x": 1.0, "y": 1.0},
        (0, 3),
        {"a": 1.5, "b": 1.0, "d": 2.0},
    )
    saveat = np.linspace(0.25, 3, 12)
    data = ps.solve(problem, "Tsit5", saveat=saveat, rtol=1e-9, atol=1e-9, engine=engine)[["x", "y"]]
    return problem.remake(p={"a": 1.3, "b": 1.15, "d": 1.8}), data


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("optimizer", "error"),
    [
        ("bfgs", 1e-6),
        ("lbfgs", 1e-6),
        ("LevenbergMarquardt", 1e-6),
        (ps.CMAES(sigma=0.1, steps=60), 1e-4),
        (ps.Lion(ps.Exponential(0.03, 1e-5), steps=250), 1e-3),
        (ps.RMSProp(ps.Exponential(0.03, 1e-5), steps=250), 1e-3),
    ],
    ids=["bfgs", "lbfgs", "levenberg_marquardt", "cmaes", "lion", "rmsprop"],
)
def test_optimizers_reach_the_minimum(engine, optimizer, error):
    problem, data = curved(engine)
    options = {"strategy": (), "progress": False, "verify": "never", "algorithm": "Tsit5"}
    result = ps.fit(problem, data, optimizer=optimizer, engine=engine, rtol=1e-8, **options)
    np.testing.assert_allclose([float(result.p[name]) for name in "abd"], [1.5, 1.0, 2.0], rtol=error)


@pytest.mark.parametrize("engine", ENGINES)
def test_least_squares_by_the_jacobian(engine):
    """Few trials, through a bound, an observable, initial values and data in more than one unit."""
    require_engine(engine)
    problem = ps.ODEProblem(
        lambda t, u, p: {"x": -p.k * u.x, "y": p.k * u.x - p.m * u.y},
        {"x": 2.0, "y": 0.0},
        (0, 4),
        {"k": 0.7, "m": 0.2, "gain": 1e3},
        observe=lambda t, u, p: {"signal": p.gain * u.y},
    )
    saveat = np.linspace(0, 4, 9)
    data = ps.solve(problem, "Tsit5", saveat=saveat, rtol=1e-10, atol=1e-12, engine=engine)[["x", "signal"]]
    guess = problem.remake(p={"k": 0.4, "m": 0.4, "gain": 600.0}, u0={"x": 1.5})
    trainable = {"k": ps.Positive(), "m": ps.Interval(0, 1), "gain": True, "u0_x": True}
    result = ps.fit(
        guess, data, trainable=trainable, optimizer=ps.LevenbergMarquardt(), strategy=(), engine=engine, progress=False
    )
    found = [float(result.p[name]) for name in ("k", "m", "gain")] + [float(result.problem.u0.x)]
    np.testing.assert_allclose(found, [0.7, 0.2, 1e3, 2.0], rtol=1e-5)
    assert result.history.sizes["iteration"] < 25
    assert float(result.history.gradient_norm[-1]) < 1e-4 * float(result.history.gradient_norm[0])


def test_optimizers_refuse_what_they_can_not(monkeypatch):
    problem, data = curved("diffrax")
    solve = make_request(lambda t, u, p: {"x": -p.k * u.x}, {"x": 1.0}, (0, 1), {"k": 1.0}, saveat=np.ones(1))
    request = make_objective_request(solve, np.ones((1, 1)))
    pointwise = replace(request, parts=(replace(request.parts[0], sees_data=True),))
    with pytest.raises(ps.ProblemError, match="LevenbergMarquardt: only for sums of squares"):
        check_optimizers([ps.LevenbergMarquardt()], pointwise, choose_engine("diffrax"))
    monkeypatch.setattr("pysciml.engines.evolution.find_spec", lambda name: None)
    with pytest.raises(ps.ProblemError, match=r"pip install 'pysciml\[cma\]'"):
        ps.fit(problem, data, optimizer="cmaes", engine="diffrax", progress=False)


class Killed(BaseException):
    """In place of the end of the process."""


@pytest.mark.parametrize(
    ("optimizer", "asked"),
    [(ps.CMAES(steps=6), "objective.DiffraxObjective.value"), (ps.LevenbergMarquardt(steps=6), "engine.solve_request")],
    ids=["cmaes", "lm"],
)
def test_loops_of_libraries_go_on_from_their_journal(optimizer, asked, tmp_path, monkeypatch):
    """What else is drawn at random in the process does not matter."""
    problem, data = curved("diffrax")
    options = {"strategy": (), "engine": "diffrax", "progress": False, "verify": "never", "optimizer": optimizer}
    want = ps.fit(problem, data, **options)
    calls = count(1)

    def dying(function):
        def call(*arguments):
            if next(calls) == 5:
                raise Killed
            return function(*arguments)

        return call

    with monkeypatch.context() as patch:
        module, _, name = f"pysciml.engines.diffrax.{asked}".rpartition(".")
        owner = pydoc.locate(module)
        patch.setattr(owner, name, dying(getattr(owner, name)))
        with pytest.raises(Killed):
            ps.fit(problem, data, checkpoint=tmp_path, **options)
    records = (tmp_path / "stage-000.journal").stat().st_size
    np.random.seed(1)
    found = ps.fit(problem, data, checkpoint=tmp_path, **options)
    assert records and found.problem == want.problem
    np.testing.assert_array_equal(found.history.loss, want.history.loss)


@pytest.mark.parametrize("engine", ENGINES)
def test_sums_of_trajectories(engine, tmp_path):
    """Two trajectories with a rate in common and a source each: loops of Python libraries find all three."""
    require_engine(engine)
    parts = []
    for source, n in ((0.3, 5), (1.2, 8)):
        times = np.linspace(0.4, 2, n)
        values = source / 0.8 + (2 - source / 0.8) * np.exp(-0.8 * times)
        options = {"saveat": times, "algorithm": "Tsit5", "rtol": 1e-9, "atol": 1e-9}
        solve = make_request(
            lambda t, u, p: {"x": p.s - p.k * u.x}, {"x": 2.0}, (0, 2), {"k": 0.5, "s": 0.7}, **options
        )
        parts.append(make_objective_request(solve, values[:, None]).parts[0])
    picks = (np.array([0, 1]), np.array([0, 2]))
    request = SumRequest(tuple(parts), picks, np.array([0.5, 0.7, 0.7]))
    for word, steps in (("levenberg_marquardt", 20), ("cmaes", 80)):
        stages = [Stage(word, 2, 1.0, (3, 0), 1.0, 1.2)] * (word != "cmaes") + [
            Stage(word, steps, 1.0, (5, 8), 1.0, 2.0)
        ]
        (tmp_path / word).mkdir()
        fit = choose_engine(engine).fit(FitRequest(request, tuple(stages)), folder=tmp_path / word)
        np.testing.assert_allclose(fit.x, [0.8, 0.3, 1.2], rtol=1e-4, err_msg=word)
