"""Ensembles written to disk: what is read there is what a run without interruption gives."""

import errno
import json
import os
import signal
import subprocess
import sys
import time

import cftime
import numpy as np
import pytest
import xarray as xr
import zarr
from support.engines import require_engine

import pysciml as ps
from pysciml.datasets import store
from pysciml.engines.base import Status
from pysciml.engines.choose import load_engine

SAVEAT = np.linspace(0.0, 2.0, 5)
PROBLEM = ps.ODEProblem(
    lambda t, u, p: {"x": -p.k * u.x**2, "y": -p.rate * u.y}, {"x": 1.0, "y": np.array([1.0, 2.0])}, (0.0, 2.0),
    {"k": 1.0, "rate": np.array([0.5, 1.0])}, observe=lambda t, u, p: {"flux": p.k * u.x**2 + 0.0 * t},
    dims={"y": "site", "rate": "site"}, coords={"site": ["a", "b"]}, units={"k": "1/(m s)", "x": "m", "time": "s"},
)  # fmt: skip
OVER = {"k": [0.5, -1.0, 2.0], "x": [0.4, 1.0, 1.5, 2.0, 0.1]}  # of k = -1 some members are infinite before the end


def run(engine, over=OVER, problem=PROBLEM, **words):
    return ps.ensemble(problem, over, **({"saveat": SAVEAT, "algorithm": "Tsit5", "engine": engine} | words))


@pytest.fixture
def counted(engine, monkeypatch):
    """The sizes of what the engine was asked."""
    sizes, chosen = [], load_engine(engine)
    solve = type(chosen).solve_ensemble

    def spy(self, request):
        sizes.append(len(request.u0))
        return solve(self, request)

    monkeypatch.setattr(type(chosen), "solve_ensemble", spy)
    return sizes


def test_what_is_written_is_what_stays_in_memory(engine, tmp_path, counted):
    plain = run(engine, chunk_size=4)
    counted.clear()
    kept = run(engine, chunk_size=4, to=tmp_path / "sweep.zarr")
    xr.testing.assert_identical(kept.load().drop_attrs(), plain.drop_attrs())
    for name in plain.variables:
        if name != "status":
            assert kept[name].attrs == plain[name].attrs, name
    assert kept.attrs["status"] == plain.attrs["status"] and kept.attrs["algorithm"] == plain.attrs["algorithm"]
    np.testing.assert_array_equal(kept.status.attrs["flag_values"], plain.status.attrs["flag_values"])
    assert list(kept.sciml.failed().index) == list(plain.sciml.failed().index)
    assert sum(counted) == 15 and max(counted) <= 4
    counted.clear()
    again = run(engine, chunk_size=4, to=tmp_path / "sweep.zarr")
    assert counted == []
    xr.testing.assert_identical(again.load(), kept)


def test_what_is_missing_or_damaged_is_solved_again(engine, tmp_path, counted):
    path = tmp_path / "sweep.zarr"
    whole = run(engine, chunk_size=3, to=path).load()
    pieces = len(counted)
    counted.clear()
    chunk = path / "x" / "c" / "0" / "0" / "0"
    chunk.write_bytes(chunk.read_bytes()[:-3] + b"abc")
    (path / "status" / "c" / "2" / "0").unlink()
    group = zarr.open_group(path, mode="r+")
    group["y"][1, 3:5] = 7.0
    xr.testing.assert_identical(run(engine, chunk_size=3, to=path).load(), whole)
    assert len(counted) == 3 < pieces


def test_a_full_disk(engine, tmp_path, counted, monkeypatch):
    path, checksum = tmp_path / "sweep.zarr", store._checksum

    def write(arrays):
        if len(counted) > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return checksum(arrays)

    whole = run(engine, chunk_size=5)
    counted.clear()
    with monkeypatch.context() as patched:
        patched.setattr(store, "_checksum", write)
        with pytest.raises(ps.PySciMLError, match="No space left.*goes on with it"):
            run(engine, chunk_size=5, to=path)
    seen = xr.open_zarr(path, chunks=None, consolidated=False)
    assert int((seen.status == Status.SUCCESS.code).sum()) >= 5 and seen.sizes["k"] == 3
    counted.clear()
    xr.testing.assert_identical(run(engine, chunk_size=5, to=path).load().drop_attrs(), whole.drop_attrs())
    assert counted == [5, 5]


def test_another_ensemble_is_refused(engine, tmp_path):
    path = tmp_path / "sweep.zarr"
    run(engine, to=path)
    for change in (
        {"over": {"k": [0.5, 1.0], "x": [1.0]}}, {"rtol": 1e-5}, {"saveat": [0.0, 1.0]}, {"chunk_size": 2},
        {"problem": PROBLEM.remake(p={"rate": [0.5, 2.0]})},
    ):  # fmt: skip
        with pytest.raises(ps.ProblemError, match="holds another ensemble"):
            run(engine, to=path, **change)
    (tmp_path / "notes").mkdir()
    with pytest.raises(ps.ProblemError, match="no Zarr store"):
        run(engine, to=tmp_path / "notes")
    for wrong in (3, "s3://bucket/sweep.zarr"):
        with pytest.raises(ps.ProblemError, match="path of a folder on this machine"):
            run(engine, to=wrong)


BALL = ps.ODEProblem(
    lambda t, u, p: {"x": u.v, "v": -9.81}, {"x": 1.0, "v": 0.0}, ("2020-01-01", "2020-01-01T00:00:02"), {"loss": 0.5},
    events=[
        ps.Event(lambda t, u, p: u.x, lambda t, u, p: {"v": -(1 - p.loss) * u.v}, direction=-1, name="bounce"),
        ps.Event(lambda t, u, p: u.x - 5.0, name="high"),
    ],
    units={"time": "s"},
)  # fmt: skip


def test_times_of_events(engine, tmp_path, counted):
    """How often a member fires is known at the end only, and by then a run may have been interrupted."""
    path, words = tmp_path / "balls.zarr", {"chunk_size": 2, "saveat": ["2020-01-01T00:00:01"], "problem": BALL}
    over = {"x": [1.0, 3.0], "loss": [0.5, 0.4, 0.3, 0.2, 0.7]}
    plain, kept = run(engine, over, **words), run(engine, over, to=path, **words)
    assert plain.sizes["bounce"] > 3 and plain.sizes["high"] == 0 and np.isnat(plain.bounce_time).any()
    assert kept.bounce_time.attrs == plain.bounce_time.attrs
    plain = plain.drop_attrs()
    xr.testing.assert_identical(kept.load().drop_attrs(), plain)
    group = zarr.open_group(path, mode="r+")
    group["fired/2"][1, 0] += 1.0
    group["bounce_time"][0, 0] = 0
    del group["high_time"]
    counted.clear()
    xr.testing.assert_identical(run(engine, over, to=path, **words).load().drop_attrs(), plain)
    assert len(counted) == 1
    xr.testing.assert_identical(
        xr.open_zarr(path, chunks=None, consolidated=False).bounce_time.load(), kept.bounce_time
    )


def test_times_of_events_where_dates_cant_be_missing(tmp_path):
    """xarray has no missing dates of cftime: these are numbers, in memory and on disk."""
    span = cftime.DatetimeNoLeap(2020, 1, 1), cftime.DatetimeNoLeap(2020, 1, 3)
    half = ps.Event(lambda t, u, p: u.x - 0.5, name="half")
    f, u0 = lambda t, u, p: {"x": -p.k * u.x}, {"x": 1.0}
    problem = ps.ODEProblem(f, u0, span, {"k": 1.0}, units={"time": "day"}, events=half)
    words = {"over": {"k": [0.1, 1.0]}, "saveat": span[1:], "problem": problem}
    for word, name in ((None, "half_time"), ("events", "half_first")):
        plain = run("diffrax", reduce=word, **words)
        kept = run("diffrax", reduce=word, to=tmp_path / f"{word}.zarr", **words)
        xr.testing.assert_identical(kept.load().drop_attrs(), plain.drop_attrs())
        assert kept[name].attrs == plain[name].attrs and plain[name].attrs["units"] == "day"
        np.testing.assert_allclose(plain[name].values.ravel(), [np.nan, np.log(2.0)], rtol=1e-5)


SCRIPT = """
import sys, numpy as np, pysciml as ps
problem = ps.ODEProblem(lambda t, u, p: {"x": -p.k * u.x}, {"x": 1.0}, (0.0, 2.0), {"k": 1.0})
ds = ps.ensemble(problem, {"k": np.linspace(0.1, 2.0, 400).tolist()}, saveat=[1.0, 2.0], algorithm="Tsit5",
    engine=sys.argv[2], to=sys.argv[1], chunk_size=4)
print(float(ds.x.sum()))
"""


def test_killed_in_the_middle(tmp_path):
    engine, path = require_engine("julia"), tmp_path / "sweep.zarr"
    command = [sys.executable, "-c", SCRIPT, str(path), engine]
    first = subprocess.Popen(command)
    while not (path / "chunk_checksum" / "c" / "5").exists() and first.poll() is None:
        time.sleep(0.005)
    first.send_signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    done = len(list((path / "chunk_checksum" / "c").iterdir()))
    assert 5 <= done < 100
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    k = np.linspace(0.1, 2.0, 400)
    assert float(said) == pytest.approx((np.exp(-k) + np.exp(-2 * k)).sum(), rel=1e-5)
    assert json.loads((path / "zarr.json").read_text())["attributes"]["status"] == "SUCCESS"


@pytest.mark.parametrize("shape, most, block", [
    ((10,), 3, (3,)), ((10,), 30, (10,)), ((4, 5), 5, (1, 5)), ((4, 5), 4, (1, 4)), ((4, 5), 11, (2, 5)),
    ((2, 3, 4), 13, (1, 3, 4)), ((2, 3, 4), 1, (1, 1, 1)),
])  # fmt: skip
def test_blocks(shape, most, block):
    assert store.block_shape(shape, most) == block
