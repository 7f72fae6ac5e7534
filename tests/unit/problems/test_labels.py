import numpy as np
import pytest
import xarray as xr

from pysciml.errors import ProblemError
from pysciml.networks import MLP
from pysciml.problems.labels import make_labels
from pysciml.problems.values import read_parameters, read_states

X = xr.DataArray([1.0, 2.0], dims="x", coords={"x": [0.0, 1.0]}, attrs={"units": "mg/L"})


def labels(u0, p=None, **options):
    return make_labels(read_states(u0), read_parameters(p), **options)


def test_dims_where_none_were_given():
    found = labels({"s": 1.0, "v": [1.0, 2.0]}, {"k": 1.0, "m": np.ones((2, 3)), "net": MLP(1, 1, width=1, depth=0)})
    assert found.dims == {
        "s": (),
        "v": ("v_dim_0",),
        "k": (),
        "m": ("m_dim_0", "m_dim_1"),
        "net": ("net_weight",),
    }
    assert labels([1.0, 2.0]).dims == {"u": ("state",)}
    assert labels(np.ones((2, 2))).dims == {"u": ("u_dim_0", "u_dim_1")}
    assert labels(1.0).dims == {"u": ()}


def test_dims_and_coords_by_keyword():
    found = labels(
        [1.0, 2.0], dims="x", coords={"x": [0, 1], "name": ("x", ["a", "b"])}, units={"x": "metres", "u": "K"}
    )
    assert found.dims == {"u": ("x",)}
    assert found.coords["x"].attrs == {"units": "m"} and found.coords["name"].values.tolist() == ["a", "b"]
    assert found.units == {"u": "K"}
    assert labels({"a": [1.0], "b": 1.0}, dims={"a": ("x",)}).dims == {"a": ("x",), "b": ()}
    assert labels([1.0, 2.0], coords={"state": ["prey", "predator"]}).coords["state"].dims == ("state",)


def test_dims_are_shared():
    found = labels({"a": X, "b": 2 * X}, {"d": xr.DataArray([1.0, 2.0], dims="x")})
    assert found.dims == {"a": ("x",), "b": ("x",), "d": ("x",)} and list(found.coords) == ["x"]


def test_units_are_labels_with_synonyms():
    found = labels({"a": X}, {"k": 1.0}, units={"a": "mg/L", "k": "1/day", "time": "days"})
    assert found.units == {"a": "mg/L", "k": "1/day", "time": "day"}


def test_a_solution_can_be_the_next_start():
    """Parameters are coordinates in a solution; as u0 they give way to the parameters of the same names."""
    end = xr.Dataset({"a": ("x", [1.0, 2.0])}, {"x": [0.0, 1.0], "d": ("x", [1.0, 1.0]), "k": 2.0, "time": 5.0})
    found = labels(end, {"d": xr.DataArray([1.0, 2.0], dims="x"), "k": 1.0})
    assert list(found.coords) == ["x"]


@pytest.mark.parametrize(
    "u0, options, message",
    [
        ({"a": X}, {"dims": ("x",)}, "u0 is not one array"),
        ({"a": X}, {"dims": {"b": ("x",)}}, "dims: unknown name 'b'; the names are a"),
        ({"a": X}, {"dims": {"a": ("y",)}}, "leave one of them out"),
        ([1.0, 2.0], {"dims": ("x", "y")}, "'u' has shape (2,): 1 dims expected"),
        ([[1.0, 2.0]], {"dims": ("x",)}, "over="),
        ([1.0, 2.0], {"dims": 5}, "dims must be a tuple"),
        ([1.0, 2.0], {"dims": "time"}, ".isel(time=0)"),
        ([1.0, 2.0], {"dims": "trajectory"}, "over="),
        ([1.0, 2.0], {"dims": "a/b"}, "must be a plain word"),
        ([1.0, 2.0], {"dims": "u"}, "has the name of a state or parameter"),
        ([[1.0, 2.0]], {"dims": ("x", "x")}, "must differ"),
        ({"a": X, "b": xr.DataArray([1.0], dims="x")}, {}, "length 1 in 'b' but 2 in 'a'"),
        ({"a": X, "b": X.assign_coords(x=[0.0, 2.0])}, {}, "coordinate 'x' differs between 'a' and 'b'"),
        ([1.0, 2.0], {"coords": {"y": [1, 2]}}, "coords: unknown name 'y'; the names are state"),
        ([1.0, 2.0], {"dims": "x", "coords": {"x": [1]}}, "length 1 along 'x'; 2 expected"),
        ([1.0, 2.0], {"dims": "x", "coords": {"x": [1j, 2j]}}, "give numbers, strings or dates"),
        ([1.0, 2.0], {"dims": "x", "coords": {"u": ("x", [1, 2])}}, "is the name of a state or parameter"),
        ([1.0, 2.0], {"coords": [1, 2]}, "coords must be a dict"),
        ({"a": 1.0}, {"units": {"b": "m"}}, "units: unknown name 'b'; the names are a, time"),
        ({"hare": 1.0}, {"units": {"hara": "m"}}, "did you mean 'hare'?"),
        ({"a": 1.0}, {"units": "m"}, "units must be a dict"),
        ({"a": 1.0}, {"units": {"a": 5}}, "a unit is a label such as 'mg/L', got 5"),
        ({"a": 1.0}, {"units": {"time": "days since 2000-01-01"}}, "write 'days' and give t_span as dates"),
        ({"a": X}, {"units": {"a": "kg"}}, "'a' is in 'mg/L', expected 'kg'"),
    ],
)
def test_wrong_labels(u0, options, message):
    with pytest.raises(ProblemError) as error:
        labels(u0, **options)
    assert message in str(error.value)
