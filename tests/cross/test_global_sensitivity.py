"""Global sensitivities against what is known of a function, through an ensemble of solves."""

import warnings

import matplotlib
import numpy as np
import pytest
from scipy.stats import norm, uniform

import pysciml as ps

matplotlib.use("Agg")
RANGES = {name: uniform(-np.pi, 2 * np.pi) for name in "abc"}
# The function of Ishigami and Homma (1990), doi:10.1109/ISUMA.1990.151285, as the slope of a state over a unit of time
ISHIGAMI = ps.ODEProblem(
    lambda t, u, p: {"x": np.sin(p.a) + 7.0 * np.sin(p.b) ** 2 + 0.1 * p.c**4 * np.sin(p.a) + 0.0 * u.x},
    {"x": 0.0}, (0.0, 1.0), {"a": 0.0, "b": 0.0, "c": 0.0}, units={"x": "m"},
)  # fmt: skip
V = 7.0**2 / 8 + 0.1 * np.pi**4 / 5 + 0.01 * np.pi**8 / 18 + 0.5
FIRST = np.array([0.5 * (1 + 0.1 * np.pi**4 / 5) ** 2, 7.0**2 / 8, 0.0]) / V
PAIR = 8 * 0.01 * np.pi**8 / 225 / V


def test_shares_of_the_variance(engine):
    words = {"saveat": [0.0, 1.0], "engine": engine, "algorithm": "Tsit5", "n": 1024, "second_order": True}
    found = ps.global_sensitivity(ISHIGAMI, RANGES, **words)
    assert found.x_S1.dims == ("parameter", "time") and found.x_S2.dims == ("parameter", "parameter_2", "time")
    assert np.isnan(found.x_S1.sel(time=0.0)).all()  # nothing varies there
    end = found.sel(time=1.0)
    assert (abs(end.x_S1 - FIRST) < end.x_S1_conf).all() and (end.x_S1_conf < 0.1).all()
    assert (abs(end.x_ST - FIRST - PAIR * np.array([1, 0, 1])) < end.x_ST_conf).all()
    pair = end.sel(parameter="a", parameter_2="c")
    assert abs(pair.x_S2 - PAIR) < pair.x_S2_conf and pair.x_S2 == end.x_S2.sel(parameter="c", parameter_2="a")
    assert found.x_ST.attrs["long_name"] == "share of the variance with all others in x" and "a" not in found.coords


def test_elementary_effects_rank_parameters():
    problem = ps.ODEProblem(
        lambda t, u, p: {"x": p.a + 4.0 * p.b + 0.0 * u.x}, {"x": 0.0}, (0.0, 1.0), {"a": 1.0, "b": 1.0},
        units={"x": "m"},
    )  # fmt: skip
    words = {"saveat": [1.0], "engine": "diffrax", "method": "morris", "reduce": "last"}
    found = ps.global_sensitivity(problem, {"a": uniform(0, 1), "b": norm(0, 1)}, **words)
    over = norm(0, 1).ppf(0.99) - norm(0, 1).ppf(0.01)
    np.testing.assert_allclose(found.x_last_mu_star.sel(parameter="a"), 1.0, rtol=1e-5)
    assert 0.5 * over < found.x_last_mu.sel(parameter="b") / 4.0 < 1.5 * over
    assert found.x_last_sigma.attrs["units"] == "m" and found.x_last_sigma.sel(parameter="a") < 1e-5
    figure = ps.plot_global_sensitivity(found)
    assert [text.get_text() for text in figure.axes[0].texts] == ["a", "b"]


def test_groups_with_a_failure_are_left_out():
    problem = ps.ODEProblem(lambda t, u, p: {"x": p.k * u.x**2}, {"x": 1.0}, (0.0, 1.0), {"k": 0.5, "c": 1.0})
    words = {"saveat": [1.0], "engine": "diffrax", "algorithm": "Tsit5", "n": 64}
    with pytest.warns(RuntimeWarning, match="groups of solves have a failed one; they are left out"):
        found = ps.global_sensitivity(problem, {"k": uniform(-1.0, 2.1), "c": uniform(0, 1)}, **words)
    np.testing.assert_allclose(found.x_ST.sel(parameter="c"), 0.0, atol=1e-12)
    with warnings.catch_warnings(), pytest.raises(ps.ProblemError, match="64 of 64 groups.*failed"):
        ps.global_sensitivity(problem, {"k": uniform(2.0, 1.0), "c": uniform(0, 1)}, **words)


@pytest.mark.parametrize(
    "words, message",
    [
        ({"method": "sobel"}, "did you mean 'sobol'|'sobol'"),
        ({"n": 100}, "no power of two"),
        ({"second_order": True, "method": "morris"}, "needs method='sobol'"),
        ({"reduce": "mean"}, "a function or 'last'"),
        ({"level": 1.5}, "between 0 and 1"),
    ],
)
def test_what_cannot_be(words, message):
    with pytest.raises(ps.ProblemError, match=message):
        ps.global_sensitivity(ISHIGAMI, RANGES, saveat=[1.0], engine="diffrax", **words)


def test_pictures_of_shares():
    import xarray as xr

    values = {f"x_{word}": (("parameter", "time"), np.full((2, 3), 0.4)) for word in ("S1", "S1_conf", "ST", "ST_conf")}
    series = xr.Dataset(values, {"parameter": ["a", "b"], "time": [0.0, 1.0, 2.0]})
    assert [line.get_label() for line in ps.plot_global_sensitivity(series).axes[0].lines][::2] == ["a", "b"]
    assert len(ps.plot_global_sensitivity(series.isel(time=[1])).axes[0].patches) == 4
    with pytest.raises(ps.ProblemError, match="what ps.global_sensitivity returned"):
        ps.plot_global_sensitivity(series.drop_vars(["x_ST"]))
