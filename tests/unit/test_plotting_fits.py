"""Pictures of fits and of how sure they are: what is drawn, and what it is called."""

import numpy as np
import pytest
import xarray as xr
from matplotlib import pyplot as plt

import pysciml as ps
from pysciml.plotting.fits import autocorrelation

TIMES = np.linspace(0.5, 5, 10)
NOISE = 0.1 * np.cos(9 * TIMES)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def make_result(data, members=(), calendar=None):
    """A fit that somebody made: x = a t, y = observed."""
    t_span = (0, 5) if calendar is None else calendar
    problem = ps.ODEProblem(
        lambda t, u, p: {"x": p.a}, {"x": 0.0}, t_span, {"a": 1.0}, units={"x": "mg", "time": "day", "a": "mg/day"}
    )
    history = xr.Dataset({
        "loss": ("iteration", [3.0, np.nan, 1.0, 2.0, 0.5]),
        "horizon": ("iteration", [1.0, 1.0, 1.0, 2.0, 2.0]),
    })  # fmt: skip
    said = {"scales": {"x": 1.0}, "engine": "diffrax", "rtol": 1e-6, "atol": 1e-8}
    made = tuple((coords, problem.remake(p={"a": a})) for coords, a in members)
    return ps.FitResult(problem, data, history, 0.5, ps.Status.SUCCESS, "", said, made)


def make_data(values, **coords):
    attrs = {"units": "mg", "long_name": "drug"}
    return xr.Dataset({"x": ("time", values, attrs)}, {"time": ("time", TIMES, {"units": "day"}), **coords})


def make_errors(level=0.9):
    return xr.Dataset(
        {"residual_deviation": ("variable", [0.1])}, {"variable": ["x"]}, {"level": level, "degrees_of_freedom": 9}
    )


def test_a_fit_with_its_band():
    result = make_result(make_data(TIMES + NOISE))
    (ax,) = ps.plot_fit(result, make_errors()).axes
    curve, points = ax.lines
    np.testing.assert_array_equal(points.get_ydata(), result.data.x)
    np.testing.assert_allclose(curve.get_ydata(), curve.get_xdata(), rtol=1e-5)
    (band,) = ax.collections
    assert np.ptp(band.get_paths()[0].vertices[:, 1]) == pytest.approx(4.5 + 2 * 1.833113 * 0.1, rel=1e-4)  # t, 9, 95 %
    assert ax.get_ylabel() == "drug [mg]" and ax.get_xlabel() == "time [day]"
    assert not ps.plot_fit(result).axes[0].collections
    with pytest.raises(ps.ProblemError, match="of a likelihood, which estimates no residual_deviation"):
        ps.plot_fit(result, make_errors().drop_vars("residual_deviation"))


def test_experiments_and_dates():
    two = xr.concat([make_data(TIMES), make_data(2 * TIMES)], xr.Variable("patient", [3, 8]))
    result = make_result(two, [({"patient": 3}, 1.0), ({"patient": 8}, 2.0)])
    (ax,) = ps.plot_fit(result).axes
    assert [line.get_label() for line in ax.lines] == ["patient 3", "_data", "patient 8", "_data"]
    np.testing.assert_allclose(ax.lines[3].get_ydata(), 2 * TIMES)
    assert len(ps.plot_residuals(result).axes[0].lines) == 3
    dates = make_data(TIMES).assign_coords(time=np.datetime64("2020-01-01", "ns") + np.arange(10).astype("m8[D]"))
    figure = ps.plot_fit(make_result(dates, calendar=("2020-01-01", "2020-01-12")))
    figure.canvas.draw()
    assert len(figure.axes[0].lines[0].get_xdata()) > 100


def test_residuals_and_their_autocorrelation():
    values = TIMES + NOISE
    values[4] = np.nan
    left, right = ps.plot_residuals(make_result(make_data(values))).axes
    np.testing.assert_allclose(left.lines[0].get_ydata(), values - TIMES, atol=1e-5)
    assert left.get_ylabel() == "data - fit: drug [mg]" and right.get_ylabel() == "autocorrelation"
    seen = (values - TIMES)[np.isfinite(values)]
    expected = [seen[k:] @ seen[:-k] / (seen @ seen) for k in range(1, 9)]
    np.testing.assert_allclose([bar.get_height() for bar in right.patches], expected, atol=1e-4)
    bounds = [line.get_ydata()[0] for line in right.lines]
    np.testing.assert_allclose(bounds, [0, -1.96 / 3, 1.96 / 3])


def test_autocorrelation_of_short_series():
    found, n = autocorrelation(np.array([[1.0, -1.0, np.nan], [2.0, 2.0, 2.0]]))
    np.testing.assert_allclose(found, [(-1 + 8) / 14, 4 / 14])
    assert n == 5 and len(autocorrelation(np.full((1, 4), np.nan))[0]) == 0


def test_history():
    result = make_result(make_data(TIMES))
    (ax,) = ps.plot_history(result).axes
    loss, mark = ax.lines
    assert ax.get_yscale() == "log" and loss.get_xdata().tolist() == [0, 2, 3, 4] and mark.get_xdata()[0] == 2.5
    negative = result.history.assign(loss=result.history.loss - 10, validation_loss=("iteration", [np.nan] * 4 + [1.0]))
    (ax,) = ps.plot_history(negative).axes
    assert ax.get_ylabel() == "loss above its lowest" and [line.get_label() for line in ax.lines[:2]] == [
        "loss",
        "held-out data",
    ]
    values = np.column_stack([negative.loss - 2.0, np.full(5, 2.0)])
    parts = negative.drop_vars("terms", errors="ignore").assign(terms=(("iteration", "term"), values))
    (ax,) = ps.plot_history(parts.assign_coords(term=["misfit", "L2"])).axes
    lines = {line.get_label(): line.get_ydata() for line in ax.lines}
    assert lines["L2"].tolist() == [2.0] * 5 and lines["misfit above its lowest"].min() == 0.0
    with pytest.raises(ps.ProblemError, match="plot_history: give what ps.fit returned"):
        ps.plot_history(make_data(TIMES))


def test_correlations():
    names = np.array(["a", "b", "c"], dtype=object)
    values = np.array([[1, 0.5, 0], [0.5, 1, -0.9], [0, -0.9, 1]])
    found = xr.Dataset(
        {"correlation": (("parameter", "parameter_2"), values)}, {"parameter": names, "parameter_2": names}
    )
    ax, bar = ps.plot_correlations(found).axes
    np.testing.assert_array_equal(ax.images[0].get_array(), values)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a", "b", "c"] and bar.get_ylabel() == "correlation"
    assert [text.get_text() for text in ax.texts][5] == "-0.90"
    with pytest.raises(ps.ProblemError, match="plot_correlations: give what ps.standard_errors returned"):
        ps.plot_correlations(found[[]])


def test_profiles():
    value = np.array([[1.2, 0.8, 1.0, np.nan], [5.0, 1.0, 3.0, 4.0]])
    rise = np.array([[4.0, 4.0, 0.0, np.nan], [1.0, 1.0, 0.0, 0.5]])
    found = xr.Dataset(
        {
            "value": (("parameter", "point"), value),
            "rise": (("parameter", "point"), rise),
            "estimate": ("parameter", [1.0, 3.0]),
            "lower": ("parameter", [0.85, -np.inf]),
            "upper": ("parameter", [1.15, np.inf]),
            "verdict": ("parameter", ["identifiable", "practically non-identifiable"]),
            "threshold": ("parameter", [3.84, 3.9]),
        },
        {"parameter": ["a", "b"], "unit": ("parameter", ["mg", ""])},
        {"level": 0.95},
    )
    left, right = ps.plot_profile(found).axes
    assert left.get_xlabel() == "a [mg]" and right.get_xlabel() == "b"
    assert left.lines[0].get_xdata()[:3].tolist() == [0.8, 1.0, 1.2] and left.lines[1].get_ydata()[0] == 3.84
    assert left.get_title() == "identifiable\n95%: 0.85 to 1.15"
    assert right.get_title() == "practically non-identifiable\n95%: no end to no end"
    with pytest.raises(ps.ProblemError, match="plot_profile: give what ps.profile returned"):
        ps.plot_profile(found[["value"]])


def test_phase_portrait():
    ds = xr.Dataset({"x": ("time", TIMES, {"units": "m"}), "v": ("time", -TIMES)}, {"time": TIMES})
    (ax,) = ps.plot_phase({"one": ds, "two": 2 * ds}, "x", "v", ds).axes
    assert ax.get_ylabel() == "v" and ax.get_xlabel() == "x [m]"
    labels = [line.get_label() for line in ax.lines if not line.get_label().startswith("_")]
    assert labels == ["one", "two", "data"] and len(ax.lines) == 5
    np.testing.assert_array_equal(ax.lines[2].get_ydata(), -2 * TIMES)
    with pytest.raises(ps.ProblemError, match="has no 'x' and 'w' over time"):
        ps.plot_phase(ds, "x", "w")


def test_learnt_term_against_truth():
    truth = xr.Dataset({"f": (("time", "k"), np.stack([TIMES, -TIMES], 1), {"units": "m"}), "c": 1.0}, {"time": TIMES})
    over_time, against = ps.plot_learnt(2 * truth, truth.transpose("k", "time")).axes
    assert over_time.get_ylabel() == "f [m]" and against.get_xlabel() == "f, truth"
    np.testing.assert_array_equal(over_time.lines[2].get_ydata(), -TIMES)
    np.testing.assert_array_equal(over_time.lines[3].get_ydata(), -2 * TIMES)
    np.testing.assert_array_equal(against.lines[1].get_xydata(), np.stack([-TIMES, -2 * TIMES], 1))
    with pytest.raises(ps.ProblemError, match="'g' is not in learnt"):
        ps.plot_learnt(truth, truth, ["g"])
    with pytest.raises(ps.ProblemError, match="no variable over time in common"):
        ps.plot_learnt(truth, truth[["c"]])
    with pytest.raises(ps.ProblemError, match="different times; solve both with the same saveat"):
        ps.plot_learnt(truth, truth.assign_coords(time=2 * TIMES))
    with pytest.raises(ps.ProblemError, match="'f' has dims"):
        ps.plot_learnt(truth, truth.isel(k=0))
