"""Summaries of ensembles: what xarray makes of all trajectories, without these."""

import tracemalloc

import numpy as np
import pytest
import xarray as xr
from scipy import stats
from support.engines import require_engine

import pysciml as ps

SAVEAT = np.linspace(0.0, 2.0, 5)
PROBLEM = ps.ODEProblem(
    lambda t, u, p: {"x": -p.k * u.x**2, "y": -u.y}, {"x": 1.0, "y": np.array([1.0, 2.0])}, (0.0, 2.0), {"k": 1.0},
    observe=lambda t, u, p: {"flux": p.k * u.x**2}, dims={"y": "site"}, units={"x": "m"},
)  # fmt: skip
WORDS = ["mean", "std", "var", "min", "max", "quantile", "last"]
OVER = {"k": stats.norm(1.0, 1.0), "u0_x": [0.5, 1.0]}  # where k < -0.5 some are infinite before the end


def run(engine, over=OVER, **words):
    words = {"trajectories": 30, "saveat": SAVEAT, "algorithm": "Tsit5", "engine": engine, "chunk_size": 7} | words
    return ps.ensemble(PROBLEM, over, **words)


def test_words_are_what_xarray_says_of_all(engine):
    paths, found = run(engine), run(engine, reduce=WORDS)
    assert 0 < len(paths.sciml.failed()) < 60
    np.testing.assert_array_equal(found.status, paths.status)
    for name in ("x", "y", "flux"):
        one = paths[name]
        expected = {word: getattr(one, word)("trajectory") for word in ("mean", "std", "var", "min", "max")}
        expected["quantile"] = one.quantile(found["quantile"].values, "trajectory")
        expected["last"] = one.isel(time=-1)
        for word, values in expected.items():
            assert found[f"{name}_{word}"].dims == values.dims
            np.testing.assert_allclose(found[f"{name}_{word}"], values, rtol=1e-10, atol=1e-14)
    assert found.x_std.attrs == {"long_name": "std of x", "units": "m"} and "x" not in found


def test_a_word_by_itself_has_the_bits_of_all_together(engine):
    found = run(engine, reduce=WORDS)
    for word in WORDS:
        one = run(engine, reduce=word)
        xr.testing.assert_identical(one.drop_attrs(), found[list(one)].drop_attrs())


def test_without_trajectories_words_are_over_all_dims():
    require_engine("julia")
    over = {"k": [0.5, 1.0, 2.0], "u0_x": [0.5, 1.0]}
    paths, found = (run("julia", over, trajectories=None, reduce=reduce) for reduce in (None, "mean"))
    assert found.x_mean.dims == ("time",) and found.status.dims == ("k", "u0_x")
    np.testing.assert_allclose(found.x_mean, paths.x.mean(["k", "u0_x"]), rtol=1e-12)


def test_functions_see_each_trajectory(engine):
    def summary(solution, p):
        half = np.where(solution.x < 0.5 * solution.x[0], solution.time, 9.0)
        return {"least": np.min(solution.x), "final": solution.y[-1] * p.k, "half_life": np.min(half)}

    paths, found = run(engine), run(engine, reduce=summary)
    is_done = paths.status == 0
    assert found.least.dims == ("trajectory", "u0_x") and found.final.dims == ("trajectory", "u0_x", "final_dim_0")
    xr.testing.assert_allclose(found.least, paths.x.min("time").where(is_done).drop_vars("time", errors="ignore"))
    expected = (paths.y.isel(time=-1) * paths.k).where(is_done)
    np.testing.assert_allclose(found.final, expected, rtol=1e-12)
    half = xr.where(paths.x < 0.5 * paths.x.isel(time=0), paths.time, 9.0).min("time").where(is_done)
    np.testing.assert_array_equal(found.half_life, half)


def test_no_trajectory_is_kept():
    require_engine("julia")
    words = {"trajectories": 10_000, "saveat": np.linspace(0.0, 2.0, 100), "chunk_size": 200, "reduce": "mean"}
    run("julia", {"k": stats.uniform(0.5, 1.0)}, **words)
    tracemalloc.start()
    run("julia", {"k": stats.uniform(0.5, 1.0)}, **words)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.2 * 8 * 10_000 * 100 * 4  # bytes of all


@pytest.mark.parametrize(
    "words, message",
    [
        ({"reduce": "average"}, "unknown word reduce='average'"),
        ({"reduce": "mena"}, "did you mean 'mean'"),
        ({"reduce": []}, "a word, a list of words or a function"),
        ({"reduce": 3}, "a word, a list of words or a function"),
        ({"reduce": lambda solution, p: np.max(solution.x)}, "must return a dict"),
        ({"reduce": lambda solution, p: {"k": p.k}}, "'k', which is the name of a parameter or dim"),
        ({"reduce": lambda solution, p: {"status": p.k}}, "'status' is reserved"),
        ({"reduce": "quantile", "trajectories": 10**7, "saveat": [0.0, 2.0]}, "over 1 GB"),
    ],
)
def test_what_cant_be_is_named(words, message):
    with pytest.raises(ps.ProblemError, match=message):
        run("diffrax", **words)


def test_a_function_that_cant_be_traced_is_named():
    with pytest.raises(ps.TraceError, match="reduce"):
        run("diffrax", reduce=lambda solution, p: {"late": 1.0 if solution.x[-1] > 0 else 0.0})
