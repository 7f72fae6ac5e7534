import numpy as np
import pandas as pd
import pint
import pytest
import xarray as xr

from pysciml.errors import ProblemError, PySciMLError
from pysciml.networks import MLP
from pysciml.problems.values import read_parameters, read_states

UNITS = pint.UnitRegistry()
FIELD = xr.DataArray(
    [1.0, 2.0, 3.0],
    dims="x",
    coords={"x": ("x", [0.0, 0.5, 1.0], {"units": "m"}), "area": ("x", [1.0, 2.0, 1.0]), "run": 7},
    name="temperature",
    attrs={"units": "kelvin", "long_name": "air temperature"},
)


@pytest.mark.parametrize(
    "u0, form, shapes",
    [
        ({"x": 1.0, "y": [1, 2]}, "record", {"x": (), "y": (2,)}),
        ([1.0, 2.0], "array", {"u": (2,)}),
        ((1, 2), "array", {"u": (2,)}),
        (np.zeros((2, 3), dtype=np.float32), "array", {"u": (2, 3)}),
        (3, "scalar", {"u": ()}),
        (np.float64(3), "scalar", {"u": ()}),
        (FIELD, "array", {"temperature": (3,)}),
        (FIELD[0], "scalar", {"temperature": ()}),
        (FIELD.to_dataset(), "record", {"temperature": (3,)}),
    ],
)
def test_forms_of_u0(u0, form, shapes):
    values = read_states(u0)
    assert values.form == form
    assert {name: value.array.shape for name, value in values.items.items()} == shapes
    assert all(value.array.dtype == np.float64 for value in values.items.values())


@pytest.mark.parametrize(
    "p, form, names", [(None, "none", []), ({}, "none", []), (2.0, "scalar", ["p"]), ([1.0], "array", ["p"])]
)
def test_forms_of_p(p, form, names):
    values = read_parameters(p)
    assert values.form == form and list(values.items) == names


def test_networks_are_drawn_by_name():
    net = MLP(2, 1, width=3, depth=1, seed=5)
    named, bare = read_parameters({"net": net}), read_parameters(net)
    np.testing.assert_array_equal(named.items["net"].array, net.initial_weights("net"))
    np.testing.assert_array_equal(bare.items["p"].array, net.initial_weights("p"))
    assert bare.form == "network" and named.items["net"].network is net


def test_integers_are_settings():
    items = read_parameters({"n": 3, "k": 3.0, "m": np.arange(2), "f": np.float32(1)}).items
    assert {name: value.is_float for name, value in items.items()} == {"n": False, "k": True, "m": False, "f": True}


def test_a_dataarray_brings_its_labels():
    value = read_states(FIELD).items["temperature"]
    assert value.dims == ("x",) and value.unit == "K" and value.long_name == "air temperature"
    assert set(value.coords) == {"x", "area"}  # a scalar coordinate is of the moment, not of the state
    assert value.coords["x"].attrs == {"units": "m"}


def test_values_are_copies():
    array = np.ones(2)
    value = read_states(array).items["u"].array
    array[0] = 5.0
    assert value.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    "u0, message",
    [
        ({"x": np.nan}, "u0['x'] is NaN"),
        ({"x": [[1.0, 2.0], [np.nan, 1.0]]}, "u0['x'] is NaN at index [1, 0] (1 of 4 elements)"),
        ([1.0, np.inf], "u0 is infinite at index [1]"),
        ({"x": True}, "u0['x'] is True (bool); a bool is not a number"),
        ({"x": "1"}, "u0['x'] is '1' (str); text is not a number"),
        ({"x": 1j}, "real and imaginary part as two states"),
        ({"x": [1, [2, 3]]}, "give rows of one length"),
        ({"x": {"y": 1.0}}, "names are flat: write 'a_b'"),
        ({"x": None}, "u0['x'] is None"),
        ({"x": []}, "u0['x'] is empty"),
        ({"x": np.datetime64("2020-01-01")}, "dates are not numbers"),
        ({"x": np.timedelta64(1, "D")}, "divide by np.timedelta64"),
        ({"x": np.ma.masked_array([1.0, 2.0], [False, True])}, "masked elements"),
        ({"x": pd.Series([1.0])}, "to_numpy()"),
        (pd.Series({"x": 1.0}), "to_dict()"),
        ({"x": UNITS.Quantity(1.0, "m")}, "u0['x'] is a pint quantity; units are labels"),
        ({"x": [UNITS.Quantity(1.0, "m")]}, "units={...: 'meter'}"),
        ({"x": FIELD.copy(data=UNITS.Quantity(FIELD.values, "m"))}, "dequantify()"),
        ({"x": lambda t: t}, "u0['x'] is a function"),
        ({"x": MLP(1, 1, width=1, depth=0)}, "networks are parameters: p={'x': ps.MLP(...)}"),
        (MLP(1, 1, width=1, depth=0), "networks are parameters"),
        ([{"x": 1.0}, {"x": 2.0}], "over="),
        ({}, "u0 is empty"),
        (None, "u0 is None"),
        ({"lambda": 1.0}, "call it 'lambda_'"),
        ({"a b": 1.0}, "such as 'a_b'"),
        ({"2x": 1.0}, "such as 'x_2x'"),
        ({"_x": 1.0}, "such as 'x'"),
        ({"": 1.0}, "such as 'x'"),
        ({"ϕ": 1.0}, "write 'φ'"),
        ({1: 1.0}, "state name 1 must be a string"),
        ({"time": 1.0}, "'time' is reserved"),
        ({"status": 1.0}, "'status' is reserved"),
        ({"u0_x": 1.0}, "reserved for initial values"),
        (FIELD.rename("state"), "'state' is reserved"),
        (FIELD.stack(z=["x"]), "reset_index"),
    ],
)
def test_wrong_u0(u0, message):
    with pytest.raises(ProblemError) as error:
        read_states(u0)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "p, message",
    [
        ({"k": np.nan}, "p['k'] is NaN"),
        ({"rates": {"birth": 0.5}}, "p['rates'] is a nested dict"),
        ({"k": 0.5 + 0j}, "complex numbers"),
        ({"k": "0.5"}, "text is not a number"),
        ({"iteration": 1.0}, "parameter name 'iteration' is reserved"),
        ("k", "p is 'k' (str)"),
        ([{"k": 1.0}], "over="),
        (lambda t: t, "p is a function"),
    ],
)
def test_wrong_p(p, message):
    with pytest.raises(PySciMLError) as error:
        read_parameters(p)
    assert message in str(error.value)
