"""dense(): solutions between their steps, against closed forms."""

import numpy as np
import pytest
from support.engines import require_engine

import pysciml as ps
from pysciml.errors import ProblemError, SolveFailed, UnsupportedByEngine


def make_spin():
    return ps.ODEProblem(
        lambda t, u, p: {"a": p.w * u.b[1], "b": np.stack([u.a, -p.w * u.a])},
        {"a": 0.0, "b": np.array([0.0, 1.0])}, (0, 5), {"w": 2.0},
    )  # fmt: skip


@pytest.mark.parametrize(("word", "bound"), [("Tsit5", 50), ("Vern7", 50), ("Rodas5P", 100), ("auto", 50)])
def test_between_steps_as_on_them(word, bound):
    require_engine("julia")
    solution = ps.dense(make_spin(), word, rtol=1e-8, atol=1e-8, engine="julia")
    times = np.linspace(0, 5, 201)
    states = solution(times)
    assert states["a"].shape == (201,) and states["b"].shape == (201, 2)
    assert np.max(np.abs(states["a"] - np.sin(2 * times))) < bound * 2e-8
    assert np.max(np.abs(states["b"][:, 1] - np.cos(2 * times))) < bound * 2e-8
    one = solution(1.25)
    assert np.shape(one["a"]) == () and one["b"].shape == (2,)
    assert one["a"] == pytest.approx(np.sin(2.5), abs=bound * 2e-8)


def test_times_outside_are_refused():
    require_engine("julia")
    solution = ps.dense(make_spin(), "Tsit5", engine="julia")
    for times in (5.1, [0.0, -0.1], np.nan):
        with pytest.raises(ProblemError, match="between 0|NaN"):
            solution(times)


def test_a_failed_solve_covers_what_it_reached():
    require_engine("julia")
    problem = ps.ODEProblem(lambda t, u, p: {"x": u.x**2}, {"x": 1.0}, (0, 2))
    with pytest.raises(SolveFailed) as failure:
        ps.dense(problem, "Tsit5", engine="julia")
    solution = failure.value.partial
    assert solution(0.5)["x"] == pytest.approx(2.0, rel=1e-4)
    assert solution.end == pytest.approx(1.0, abs=1e-3)


def test_what_has_no_dense_output_is_refused():
    require_engine("julia")
    with pytest.raises(UnsupportedByEngine, match="'KenCarp4' has no dense output"):
        ps.dense(make_spin(), "KenCarp4", engine="julia")
    require_engine("diffrax")
    with pytest.raises(UnsupportedByEngine, match="output 'dense'; engine='julia' does"):
        ps.dense(make_spin(), engine="diffrax")
    with pytest.raises(ProblemError, match="did you mean 'rtol'"):
        ps.dense(make_spin(), reltol=1e-3)
