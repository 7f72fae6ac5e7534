"""Summaries of ensembles written to disk: whatever interrupts a run, the result is that of one without interruption."""

import errno
import os

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import pysciml as ps
from pysciml.api import summary_store
from pysciml.engines.choose import load_engine

SAVEAT = np.linspace(0.0, 2.0, 5)
PROBLEM = ps.ODEProblem(
    lambda t, u, p: {"x": -p.k * u.x**2, "y": -u.y}, {"x": 1.0, "y": np.array([1.0, 2.0])}, (0.0, 2.0), {"k": 1.0},
    observe=lambda t, u, p: {"flux": p.k * u.x**2}, dims={"y": "site"}, units={"x": "m"},
)  # fmt: skip
WORDS = ["mean", "std", "min", "max", "quantile", "last"]


def peak(solution, p):
    return {"least": np.min(solution.x), "final": solution.y[-1] * p.k}


def run(engine, reduce, **words):
    over = {"k": stats.norm(1.0, 1.0), "u0_x": [0.5, 1.0]}  # where k < -0.5 some are infinite before the end
    words = {"trajectories": 15, "saveat": SAVEAT, "algorithm": "Tsit5", "engine": engine, "chunk_size": 7} | words
    return ps.ensemble(PROBLEM, over, reduce=reduce, **words)


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


@pytest.mark.parametrize("reduce", [WORDS, peak])
def test_what_is_written_is_what_stays_in_memory(engine, reduce, tmp_path, counted):
    path = tmp_path / "means.zarr"
    plain, kept = run(engine, reduce), run(engine, reduce, to=path)
    assert len(plain.sciml.failed())
    xr.testing.assert_identical(kept.load().drop_attrs(), plain.drop_attrs())
    assert kept.attrs["status"] == plain.attrs["status"] and kept.attrs["algorithm"] == plain.attrs["algorithm"]
    for name in plain.data_vars:
        assert name == "status" or kept[name].attrs == plain[name].attrs
    assert [file.name for file in tmp_path.iterdir()] == ["means.zarr"]
    counted.clear()
    xr.testing.assert_identical(run(engine, reduce, to=path).load(), kept)
    assert counted == []


@pytest.mark.parametrize("reduce", [WORDS, peak])
def test_what_is_missing_or_damaged_is_solved_again(engine, reduce, tmp_path, counted, monkeypatch):
    path, write = tmp_path / "means.zarr", summary_store._write
    whole = run(engine, reduce)

    def stop(place, content):
        if place.name == "21.npz":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(place, content)

    with monkeypatch.context() as patched:
        patched.setattr(summary_store, "_write", stop)
        with pytest.raises(ps.PySciMLError, match="No space left.*goes on with it"):
            run(engine, reduce, to=path)
    pieces = tmp_path / "means.zarr.pieces"
    assert not path.exists() and len(list(pieces.glob("*.npz"))) == 3
    torn = pieces / "7.npz"
    torn.write_bytes(torn.read_bytes()[:-9])
    counted.clear()
    found = run(engine, reduce, to=path).load()
    assert counted == [7, 7, 2]  # the second, which is damaged, and the last two
    xr.testing.assert_identical(found.drop_attrs(), whole.drop_attrs())
    files = (path / ("x_max" if reduce is WORDS else "least")).rglob("*")
    chunk = next(file for file in files if file.is_file() and file.name != "zarr.json")
    chunk.write_bytes(chunk.read_bytes()[:-3] + b"abc")
    xr.testing.assert_identical(run(engine, reduce, to=path).load().drop_attrs(), whole.drop_attrs())


def test_another_ensemble_is_refused(tmp_path):
    path = tmp_path / "means.zarr"
    run("diffrax", "mean", to=path)
    for reduce, change in (("max", {}), (peak, {}), ("mean", {"rtol": 1e-5}), ("mean", {"seed": 1})):
        with pytest.raises(ps.ProblemError, match="holds another ensemble.*or reduce are others"):
            run("diffrax", reduce, to=path, **change)
    with pytest.raises(ps.ProblemError, match="holds another ensemble"):
        run("diffrax", None, to=path)
    (tmp_path / "notes").mkdir()
    with pytest.raises(ps.ProblemError, match="no Zarr store"):
        run("diffrax", "mean", to=tmp_path / "notes")
