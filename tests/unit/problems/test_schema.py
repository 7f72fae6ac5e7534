import json

import cftime
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from pysciml.errors import ProblemError
from pysciml.networks import MLP
from pysciml.problems.ode import ODEProblem
from pysciml.problems.schema import problem_from_json, problem_to_json


def model(t, u, p):
    return {"a": -p.k * u.a + p.n, "c": -p.d * u.c + p.net([u.a])[0]}


def make_problem(t_span=(0, 10), **options):
    c = xr.DataArray(
        np.random.default_rng(0).standard_normal((2, 3)) * 1e-7,
        dims=("x", "y"),
        coords={
            "x": [0.1, np.nan],
            "y": np.array(["2020", "2021", "2022"], "datetime64[ns]"),
            "label": ("x", ["p", "φ"], {"note": "text"}),
        },
        attrs={"units": "mg/L", "long_name": "concentration"},
    )
    p = {"k": 1 / 3, "n": 2, "d": np.array([-0.0, 5e-324, 1.7976931348623157e308]), "net": MLP(1, 1, width=4, depth=1)}
    return ODEProblem(model, {"a": 0.1, "c": c}, t_span, p, name="mixed", **options)


SPANS = {
    "numbers": (0.1, 7),
    "strings": ("2020-01-01", "2020-02-01T12:00"),
    "pandas": (pd.Timestamp("2020-01-01"), pd.Timestamp("2020-02-01")),
    "cftime": (cftime.DatetimeNoLeap(2020, 1, 1), cftime.DatetimeNoLeap(2020, 2, 28, 6, 0, 0, 5)),
    "old": (np.datetime64("1066-10-14"), np.datetime64("1066-10-15")),
}


@pytest.mark.parametrize("t_span", SPANS.values(), ids=SPANS)
def test_there_and_back(t_span):
    problem = make_problem(t_span, units={"time": "day", "k": "1/day"})
    text = problem_to_json(problem)
    again = problem_from_json(text)
    assert again == problem
    assert again.u0_values.tobytes() == problem.u0_values.tobytes()
    assert again.p_values.tobytes() == problem.p_values.tobytes()
    assert again.p_layout == problem.p_layout and again.long_names == problem.long_names
    assert problem_to_json(again) == text


FINITE = st.floats(allow_nan=False, allow_infinity=False)
PLAIN = ODEProblem(lambda t, u, p: -p.k * u, 1.0, (0, 1), {"k": 1.0})


@given(u0=FINITE, k=FINITE, end=st.floats(1e-300, 1e300))
def test_every_bit_survives(u0, k, end):
    problem = PLAIN.remake(u0=u0, p={"k": k}, t_span=(0, end))
    again = problem_from_json(problem_to_json(problem))
    assert again == problem and again.u0_values.tobytes() == problem.u0_values.tobytes()


def test_bare_forms():
    for problem in (
        ODEProblem(lambda t, u, p: -u, 1.0, (0, 1)),
        ODEProblem(lambda t, u, p: -p * u, np.ones(2), (0, 1), 2.0),
        ODEProblem(lambda t, u, p: p([u])[0], 1.0, (0, 1), MLP(1, 1, width=2, depth=1, input_range=[(0, 1)])),
    ):
        again = problem_from_json(problem_to_json(problem))
        assert again == problem and again.u_layout == problem.u_layout and again.p_layout == problem.p_layout


def test_text_is_strict_json_without_paths():
    text = problem_to_json(make_problem())
    json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert __file__ not in text


DAMAGES = {
    "no JSON": (lambda raw: "{", "not a saved problem"),
    "something else": (lambda raw: json.dumps([1]), "not a saved ODEProblem"),
    "newer": (lambda raw: json.dumps(raw | {"version": 99}), "newer pysciml (version 99)"),
    "unknown field": (lambda raw: json.dumps(raw | {"extra": []}), "unknown or missing extra"),
    "missing field": (lambda raw: json.dumps({k: v for k, v in raw.items() if k != "dims"}), "unknown or missing dims"),
    "too few values": (lambda raw: json.dumps(_without_a_value(raw)), "'c' has 5 values"),
    "other states": (lambda raw: json.dumps(raw | {"states": {"form": "record", "entries": []}}), "its Program takes"),
    "strange entry": (lambda raw: json.dumps(raw | {"states": {"form": "record"}}), "damaged: KeyError"),
}


def _without_a_value(raw):
    raw["states"]["entries"][1]["values"].pop()
    return raw


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_text_is_refused(damage):
    make, message = DAMAGES[damage]
    with pytest.raises(ProblemError) as error:
        problem_from_json(make(json.loads(problem_to_json(make_problem()))))
    assert message in str(error.value)
