"""The demo's bar: the universal differential equation learns the record on both engines, from most seeds."""

import numpy as np
import pytest
import xarray as xr
from support.engines import require_engine

from pysciml import demo, fit, load_example
from pysciml.fitting.optimizers import LBFGS, Adam

BAR = 0.2  # root mean square error / standard deviation on the training years, for each state


@pytest.mark.parametrize("engine", ["julia", "diffrax"])
def test_learns_from_four_of_five_seeds(engine):
    require_engine(engine)
    data = load_example("hare_lynx")
    trained = data.sel(time=slice(None, demo.LAST_TRAINED))
    worst = []
    for seed in range(5):
        problem = demo.make_problems(data, seed)["universal"]
        result = fit(problem, trained, optimizer=[Adam(), LBFGS()], engine=engine, seed=seed, progress=False)
        table = demo.error_table(data, {"universal": result.predict(data.time.values)})
        worst.append(float(table.sel(period="trained").to_array().max()))
    assert sum(error <= BAR for error in worst) >= 4, worst


def test_demo_writes_its_files(tmp_path, capsys):
    """On Julia; on diffrax the files of the command, in tests/startup/test_cli.py."""
    require_engine("julia")
    table = demo.run_demo(engine="julia", folder=tmp_path, progress=False)
    with xr.open_dataset(tmp_path / "hare_lynx.nc", engine="h5netcdf") as ds:
        assert list(ds.source.values) == ["observed", "universal", "classical"]
        np.testing.assert_array_equal(ds.time.values, np.arange(1900, 1921))
        np.testing.assert_array_equal(ds.hare.sel(source="observed"), load_example("hare_lynx").hare)
        train = ds.sel(time=slice(None, demo.LAST_TRAINED))
        error = np.sqrt(((train.lynx.sel(source="classical") - train.lynx.sel(source="observed")) ** 2).mean())
        scale = train.lynx.sel(source="observed").std()
        assert float(error / scale) == pytest.approx(float(table.lynx.sel(model="classical", period="trained")))
    assert (tmp_path / "hare_lynx.png").stat().st_size > 10_000
    printed = capsys.readouterr().out
    assert "held out" in printed and "universal" in printed and "classical" in printed
