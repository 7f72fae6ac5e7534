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


def test_unknown_example():
    with pytest.raises(ProblemError, match="no example 'hare_linx'.*did you mean 'hare_lynx'"):
        load_example("hare_linx")
