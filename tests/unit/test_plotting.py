import cftime
import numpy as np
import pytest
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex

import pysciml as ps

T = np.linspace(0.0, 4.0, 9)
TIME = ("time", T, {"units": "day", "long_name": "time"})


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def make_solution(factor=1.0):
    """Two scalar states."""
    hare = ("time", factor * np.exp(-T), {"units": "thousand", "long_name": "hare"})
    lynx = ("time", factor * np.exp(T), {"long_name": "lynx"})
    return xr.Dataset({"hare": hare, "lynx": lynx}, {"time": TIME})


def points_and_lines(ax):
    points = [line for line in ax.lines if line.get_marker() == "o"]
    return points, [line for line in ax.lines if line not in points]


def test_one_panel_a_state():
    figure = make_solution().sciml.plot()
    assert [ax.get_ylabel() for ax in figure.axes] == ["hare [thousand]", "lynx"]
    assert figure.axes[-1].get_xlabel() == "time [day]"
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_ydata(), np.exp(-T))
    assert figure.axes[0].get_legend() is None


def test_data_are_points_of_the_same_colour():
    data = make_solution(1.1).isel(time=[0, 4, 8])[["hare"]]
    figure = make_solution().sciml.plot(data)
    (points,), (line,) = points_and_lines(figure.axes[0])
    assert to_hex(points.get_color()) == to_hex(line.get_color())
    np.testing.assert_array_equal(points.get_xdata(), T[[0, 4, 8]])
    np.testing.assert_array_equal(points.get_ydata(), data.hare)
    assert points_and_lines(figure.axes[1])[0] == []


def test_several_solutions_share_panels():
    figure = ps.plot_states({"a": make_solution(), "b": make_solution(2.0)}, make_solution(1.5), held_out=(3, 4))
    assert len(figure.axes) == 2
    points, lines = points_and_lines(figure.axes[0])
    assert [line.get_label() for line in lines] == ["a", "b"] and len(points) == 1
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert set(labels) == {"a", "b", "data", "held out"}


def test_a_few_components_are_lines():
    ds = xr.Dataset({"u": (("time", "state"), np.stack([T, -T], axis=1))}, {"time": TIME, "state": ["x", "y"]})
    (ax,) = ds.sciml.plot(ds.isel(time=[0, 1])).axes
    points, lines = points_and_lines(ax)
    assert len(points) == len(lines) == 2
    assert [line.get_label() for line in lines] == ["state x", "state y"]
    assert [to_hex(line.get_color()) for line in lines] == [to_hex(point.get_color()) for point in points]


@pytest.mark.parametrize("dims", [("x",), ("x", "y")])
def test_a_field_is_an_image(dims):
    shape = (9,) + (20, 3)[: len(dims)]
    x = ("x", np.linspace(0, 1, 20), {"units": "m", "long_name": "depth"})
    values = np.random.default_rng(0).random(shape)
    ds = xr.Dataset({"c": (("time", *dims), values, {"units": "mg/L"})}, {"time": TIME, "x": x})
    ax, bar = ds.sciml.plot().axes
    (image,) = ax.collections
    expected = values if len(dims) == 1 else values.mean(axis=-1)
    np.testing.assert_allclose(np.asarray(image.get_array()).reshape(20, 9), expected.T)
    assert ax.get_ylabel() == "depth [m]"
    assert bar.get_ylabel() == "c [mg/L]" + ("" if len(dims) == 1 else ", mean over y")
    assert len(ps.plot_states({"a": ds, "b": ds}).axes) == 4  # each field has its own panel and colours


def test_dates():
    ds = make_solution().assign_coords(time=np.datetime64("2020-01-01", "ns") + np.arange(9).astype("m8[D]"))
    ds.sciml.plot().canvas.draw()
    dates = [cftime.DatetimeNoLeap(2020, 1, day) for day in range(1, 10)]
    figure = make_solution().assign_coords(time=dates).sciml.plot()
    figure.canvas.draw()
    assert figure.axes[-1].get_xlabel() == "days since 2020-01-01 00:00:00"
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_xdata(), np.arange(9.0))


def test_nothing_to_draw():
    with pytest.raises(ps.ProblemError, match="no variable over 'time'"):
        xr.Dataset({"x": 1.0}).sciml.plot()
    with pytest.raises(ps.ProblemError, match="data has none of the states hare, lynx; it has fox"):
        make_solution().sciml.plot(xr.Dataset({"fox": ("time", T)}, {"time": TIME}))


def test_what_a_solution_says_of_itself():
    ds = make_solution().assign_attrs(status="SUCCESS", pysciml='{"statistics": {"steps": 3}}')
    assert ds.sciml.status == "SUCCESS" and ds.sciml.provenance == {"statistics": {"steps": 3}}
    assert make_solution().sciml.status is None and make_solution().sciml.provenance == {}
