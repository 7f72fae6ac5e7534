import numpy as np
import pytest

from pysciml.datasets.examples import load_example
from pysciml.errors import ProblemError


def test_hare_lynx():
    ds = load_example("hare_lynx")
    assert set(ds.data_vars) == {"hare", "lynx"} and dict(ds.sizes) == {"time": 21}
    np.testing.assert_array_equal(ds.time, np.arange(1900.0, 1921.0))
    assert ds.time.attrs["units"] == "year"
    assert {ds[name].attrs["units"] for name in ds.data_vars} == {"thousand"}
    assert float(ds.hare.sel(time=1903)) == 77.4 and float(ds.lynx.sel(time=1920)) == 8.6
    assert "Hewitt 1921" in ds.attrs["source"]


def test_influenza():
    ds = load_example("influenza")
    assert ds.in_bed.dims == ("time",) and ds.time.dtype == "datetime64[ns]"
    assert float(ds.in_bed.max()) == 298 == float(ds.in_bed.sel(time="1978-01-27"))
    assert float(ds.in_bed.sum()) == 1559 and float(ds.convalescent.sum()) == 937
    assert "British Medical Journal 1:587" in ds.attrs["source"]


def test_theophylline():
    ds = load_example("theophylline")
    assert dict(ds.sizes) == {"subject": 12, "time": 78} and int(ds.concentration.count()) == 132
    assert float(ds.concentration.max()) == 11.4 == float(ds.concentration.sel(subject=5, time=1.0))
    assert ds.dose.dims == ("subject",) and ds.dose.attrs["units"] == "mg/kg" and float(ds.dose.sel(subject=9)) == 3.1
    np.testing.assert_allclose(ds.dose * ds.weight, 320, rtol=0.17)  # everybody was given some 320 mg


def test_paramecium():
    ds = load_example("paramecium")
    assert list(ds.culture) == ["aurelia", "caudatum", "mixed"] and ds.time.attrs["units"] == "day"
    assert int(ds.aurelia.count()) == int(ds.caudatum.count()) == 50
    assert not ds.caudatum.sel(culture="aurelia").notnull().any()
    assert float(ds.aurelia.sel(culture="mixed", time=14)) == 387


def test_glucose():
    ds = load_example("glucose")
    assert dict(ds.sizes) == {"time": 24} and ds.time.attrs["units"] == "min"
    assert float(ds.glucose.max()) == 350 == float(ds.glucose.sel(time=2))
    assert float(ds.insulin.max()) == 130 and float(ds.insulin.sum()) == 712
    assert "10.1016/0169-2607(86)90106-9" in ds.attrs["source"]


def test_unknown_example():
    with pytest.raises(ProblemError, match="no example 'hare_linx'.*did you mean 'hare_lynx'"):
        load_example("hare_linx")
