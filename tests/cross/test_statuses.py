"""Each way a solve can end, reached by a real solve on each engine, and what is then said of it."""

import json

import numpy as np
import pytest
from support.engines import require_engine

import pysciml as ps
from pysciml.engines.choose import choose_engine

STIFF = {"julia": "KenCarp4", "diffrax": "Kvaerno5"}


def blow_up(t, u, p):
    return {"x": u.x**2, "y": -u.y}


def sink(t, u, p):
    return {"x": -1.0 - 0 * np.sqrt(u.x), "y": -u.y}


def slide(t, u, p):
    return {"x": -np.sign(u.x) - 0.3, "y": -u.y}


def relax(t, u, p):
    return {"x": -1e7 * (u.x - np.cos(t)), "y": -u.y}


def wave(t, u, p):
    return {"x": 30 * u.y, "y": -30 * u.x}


def make(model, **u0):
    return ps.ODEProblem(model, {"x": 1.0, "y": 1.0} | u0, (0.0, 2.0), units={"x": "mol", "time": "h"})


# name: model, words of each engine (None: any), options, status, the state, a part of the cause, one of the advice
CASES = {
    "blow-up": (blow_up, "Tsit5", {}, "STEP_TOO_SMALL", "x", "x grows without bound", "singularity"),
    "blow-up stiff": (blow_up, STIFF, {}, None, "x", "x grows without bound", "singularity"),
    "domain": (sink, "Tsit5", {}, "UNSTABLE", "x", "sqrt gives NaN in test_statuses.py", "np.where"),
    "overflow": (relax, "Euler", {"dt": 0.01}, "UNSTABLE", "x", "x ", ""),
    "switch": (slide, STIFF, {"max_steps": 2000}, "MAX_STEPS", "x", "x jumps there, from 0.7 to -1.3", "Event"),
    "stiff": (relax, "Tsit5", {"max_steps": 2000}, "MAX_STEPS", "x", "fastest rate there is 1e+07", "Kvaerno5"),
    "long": (wave, "Tsit5", {"max_steps": 50}, "MAX_STEPS", None, "% of t_span", "raise max_steps to about"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_failure_says_where_and_why(name, engine):
    model, word, options, status, state, cause, advice = CASES[name]
    word = word if isinstance(word, str) else word[engine]
    with pytest.raises(ps.SolveFailed) as failed:
        ps.solve(make(model), word, saveat=[0.0, 1e-6, 2.0], engine=engine, **options)
    error = failed.value
    failure = error.failure
    assert failure.status == error.status.name
    assert status is None or failure.status == status
    assert failure.state == state or (state is None and failure.state in "xy")
    assert cause in failure.cause and advice in failure.advice, failure
    assert 0 < float(failure.time) < 2
    message = str(error)
    for part in (error.status.message, f"at t = {failure.time} of", f"There: {failure.state} = ", failure.cause):
        assert part in message
    assert " mol, its right-hand side" in message or failure.state == "y"
    again = ps.solve(make(model), word, saveat=[0.0, 1e-6, 2.0], engine=engine, check=False, **options)
    said = json.loads(again.attrs["pysciml"], parse_constant=pytest.fail)["failure"]
    assert said["cause"] == failure.cause and said["time"] == failure.time
    assert again.sizes["time"] < 3


def test_raised_max_steps_are_enough(engine):
    with pytest.raises(ps.SolveFailed) as failed:
        ps.solve(make(wave), "Tsit5", saveat=[2.0], max_steps=50, engine=engine)
    advised = int(failed.value.failure.advice.split("about ")[1].split(",")[0])
    assert ps.solve(make(wave), "Tsit5", saveat=[2.0], max_steps=advised, engine=engine).attrs["status"] == "SUCCESS"


@pytest.mark.parametrize("word", ["FBDF", "KenCarp4", "Kvaerno5"])
def test_stage_equations_that_end_with_the_domain(word):
    name = require_engine("diffrax" if word == "Kvaerno5" else "julia")
    with pytest.raises(ps.SolveFailed, match="x is NaN beyond that: sqrt gives NaN") as failed:
        ps.solve(make(sink), word, saveat=[2.0], engine=name)
    assert failed.value.status is ps.Status.NOT_CONVERGED


def test_success_and_the_end_by_an_event(engine):
    def fall(t, u, p):
        return {"x": -1.0 + 0 * u.x}

    ds = ps.solve(ps.ODEProblem(fall, {"x": 1.0}, (0.0, 2.0)), "Tsit5", saveat=[0.25, 2.0], engine=engine)
    assert ds.attrs["status"] == "SUCCESS" and "failure" not in json.loads(ds.attrs["pysciml"])
    ground = ps.Event(lambda t, u, p: u.x, terminal=True, name="ground")
    ds = ps.solve(ps.ODEProblem(fall, {"x": 1.0}, (0.0, 2.0), events=[ground]), "Tsit5", engine=engine)
    assert ds.attrs["status"] == "TERMINATED" and "failure" not in json.loads(ds.attrs["pysciml"])
    assert float(ds.time[-1]) == pytest.approx(1.0)


def test_algebraic_equations_that_never_hold():
    require_engine("julia")
    choose_engine("julia")._bridge.call("load_adjoints")  # brings packages that SciML's search must not pick up
    problem = ps.ODEProblem(
        lambda t, u, p: {"x": -u.x, "y": u.x**2 + u.y**2 + 1},
        {"x": 1.0, "y": 1.0},
        (0, 1),
        mass_matrix=np.diag([1.0, 0]),
    )
    with pytest.raises(ps.SolveFailed) as failed:
        ps.solve(problem, "Rodas5P", saveat=[1.0], engine="julia")
    assert failed.value.status is ps.Status.FAILED and failed.value.failure.state == "y"
    assert "the algebraic equation of y" in str(failed.value)


@pytest.mark.parametrize("word", ["CVODE_BDF", "CVODE_Adams", "ARKODE"])
@pytest.mark.parametrize("model", [blow_up, sink])
def test_sundials_ends_where_it_would_go_on_for_ever(word, model):
    require_engine("julia")
    with pytest.raises(ps.SolveFailed) as failed:
        ps.solve(make(model), word, saveat=[0.5, 2.0], max_steps=20_000, engine="julia")
    error = failed.value
    assert error.failure.state == "x" and float(error.failure.time) == pytest.approx(1, abs=1e-3)
    assert error.partial.sizes["time"] == 1 and float(error.partial.y[0]) == pytest.approx(np.exp(-0.5), rel=1e-4)


def test_a_dense_solution_says_the_same():
    require_engine("julia")
    with pytest.raises(ps.SolveFailed, match="x grows without bound") as failed:
        ps.dense(make(blow_up), "Tsit5", engine="julia")
    assert failed.value.failure.state == "x" and failed.value.partial.end == pytest.approx(1.0, abs=1e-3)


def test_parameters_are_those_that_events_left(engine):
    """The slope at the stop is that of the switched-on growth, not of the rest before it."""
    start = ps.Event(None, lambda t, u, p: {"k": 1.0}, times=[0.5], name="start")
    grow = ps.ODEProblem(lambda t, u, p: {"x": p.k * u.x**2}, {"x": 1.0}, (0, 3), {"k": 0.0}, events=[start])
    ds = ps.solve(grow, "Tsit5", saveat=[0.0, 3.0], check=False, engine=engine)
    said = json.loads(ds.attrs["pysciml"])["failure"]
    assert float(said["time"]) == pytest.approx(1.5, abs=1e-3)
    assert said["slope"] == pytest.approx(said["value"] ** 2, rel=1e-6)
