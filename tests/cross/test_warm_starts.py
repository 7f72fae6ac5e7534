"""Fits that go on from an earlier one, with other data or some layers frozen, on both engines."""

import numpy as np
import pytest
import xarray as xr
from support.engines import ENGINES, require_engine

import pysciml as ps

TIMES = np.linspace(0, 3, 10)
FIRST = xr.Dataset({"x": ("time", 2 * np.exp(-0.7 * TIMES))}, {"time": TIMES})
OTHER = xr.Dataset({"x": ("time", 9 + 3 * np.cos(TIMES))}, {"time": TIMES})
OPTIONS = {"strategy": (), "progress": False, "verify": "never", "algorithm": "Tsit5"}


@pytest.fixture(scope="module", params=ENGINES)
def learnt(request):
    engine = require_engine(request.param)
    net = ps.MLP(1, 1, width=4, depth=1)
    problem = ps.ODEProblem(lambda t, u, p: {"x": p.net([u.x])[0]}, {"x": 2.0}, (0, 3), {"net": net})
    return engine, ps.fit(problem, FIRST, optimizer=ps.Adam(steps=30), engine=engine, **OPTIONS)


def test_other_data_begin_with_what_was_learnt(learnt):
    """Scales follow the new data, and the function that was learnt stays as it is."""
    engine, result = learnt
    here = ps.objective(result.problem, OTHER, engine=engine, algorithm="Tsit5")
    second = ps.fit(result.problem, OTHER, optimizer=ps.Adam(1e-13, steps=1), engine=engine, **OPTIONS)
    assert second.loss == pytest.approx(here.value(here.x0), rel=1e-8)
    np.testing.assert_allclose(second.problem.p_values, result.problem.p_values, rtol=1e-9, atol=1e-11)


def test_frozen_layers_stay_as_they_are(learnt):
    engine, result = learnt
    tuned = ps.fit(result.problem, OTHER, trainable=["net.1.*"], optimizer=ps.Adam(steps=10), engine=engine, **OPTIONS)
    first, last = result.problem.p_layout["net"].network.layers
    old, new = result.problem.p_values, tuned.problem.p_values
    for part in (first.weight, first.bias):
        np.testing.assert_array_equal(new[part], old[part])
    assert (new[last.weight] != old[last.weight]).all() and (new[last.bias] != old[last.bias]).all()
    assert tuned.loss < float(tuned.history.loss[0]) and tuned.settings["trained"] == ["net.1.weight", "net.1.bias"]
