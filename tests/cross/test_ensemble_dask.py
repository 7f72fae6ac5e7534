"""Ensembles on a cluster: the same as here, whatever happens to a worker."""

import os
import signal
import subprocess
import sys
import threading
import time

import dask
import distributed
import numpy as np
import pytest
import xarray as xr
from distributed.protocol import deserialize, serialize, to_serialize
from support.engines import require_engine

import pysciml as ps
from pysciml.api.pieces import _Work
from pysciml.api.summaries import make_summaries
from pysciml.datasets.store import CHECKSUMS
from pysciml.problems.batch import read_batch

PROBLEM = ps.ODEProblem(
    lambda t, u, p: {"x": -p.k * u.x}, {"x": 1.0}, (0.0, 2.0), {"k": 1.0}, observe=lambda t, u, p: {"double": 2.0 * u.x}
)
OVER = {"k": np.linspace(0.1, 2.0, 120).tolist()}


@pytest.fixture(scope="module")
def client():
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def run(engine, **words):
    words = {"saveat": [1.0, 2.0], "algorithm": "Tsit5", "engine": engine, "chunk_size": 8} | words
    return ps.ensemble(PROBLEM, OVER, **words)


def test_a_cluster_gives_the_same(client, tmp_path):
    engine = require_engine("diffrax")
    here = run(engine)
    there = run(engine, parallel="dask", client=client)
    xr.testing.assert_identical(there.drop_attrs(), here.drop_attrs())
    assert there.attrs["algorithm"] == here.attrs["algorithm"] == "Tsit5"
    written = run(engine, parallel="dask", client=client, to=tmp_path / "sweep.zarr")
    xr.testing.assert_identical(written.load().drop_attrs(), here.drop_attrs())
    means = run(engine, parallel="dask", client=client, reduce="mean")
    np.testing.assert_allclose(means.x_mean, here.x.mean("k"), rtol=1e-14)
    kept = run(engine, parallel="dask", client=client, reduce="mean", to=tmp_path / "means.zarr")
    xr.testing.assert_identical(kept.load().drop_attrs(), run(engine, reduce="mean").drop_attrs())


def test_workers_are_sent_values_once():
    n, problem = 100_000, PROBLEM.remake()
    batch = read_batch(problem, {"k": np.linspace(0.1, 2.0, n)})
    results = make_summaries("mean", batch, np.array([1.0]), np.array([1.0]), ())
    header, frames = serialize(to_serialize(_Work("diffrax", batch, None, results)))
    assert sum(memoryview(frame).nbytes for frame in frames) < 2 * 8 * n + 50_000  # the values and their labels
    got = deserialize(header, frames)
    assert got.results.batch is got.batch
    np.testing.assert_array_equal(got.batch.values(7, 9)[1], batch.values(7, 9)[1])


def test_a_worker_killed_in_the_middle(client, tmp_path):
    engine = require_engine("julia")
    here, path = run(engine), tmp_path / "sweep.zarr"
    worker = client.run(os.getpid)

    def kill():
        wait_for(path / CHECKSUMS / "c" / "2")
        os.kill(next(iter(worker.values())), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    written = run(engine, parallel="dask", client=client, to=path, chunk_size=1)
    killer.join()
    client.wait_for_workers(2, timeout=60)  # one comes back in the killed one's place
    assert set(client.run(os.getpid).values()) != set(worker.values())
    np.testing.assert_array_equal(written.x, here.x)


def test_a_scheduler_that_is_gone(tmp_path):
    require_engine("diffrax")
    path, place = tmp_path / "sweep.zarr", tmp_path / "scheduler.json"
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", "0", "--no-dashboard"]
    with (
        subprocess.Popen([*command, "--scheduler-file", str(place)], stderr=subprocess.DEVNULL) as scheduler,
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
    ):
        wait_for(place)
        worker = subprocess.Popen(
            [sys.executable, "-m", "distributed.cli.dask_worker", "--nthreads", "1", "--no-dashboard", "--no-nanny"]
            + ["--scheduler-file", str(place), "--death-timeout", "5"],
            stderr=subprocess.DEVNULL,
        )
        killer = threading.Thread(target=lambda: (wait_for(path / CHECKSUMS / "c" / "2"), scheduler.kill()))
        killer.start()
        with distributed.Client(scheduler_file=str(place)) as client:
            with pytest.raises(ps.PySciMLError, match="scheduler is lost; with to=.*goes on with what is complete"):
                run("diffrax", parallel="dask", client=client, to=path, chunk_size=1)
        killer.join()
        worker.kill()
        worker.wait()
    xr.testing.assert_identical(run("diffrax", to=path, chunk_size=1).load().x, run("diffrax").x)


def wait_for(path):
    """Until a file is there."""
    while not path.exists():
        time.sleep(0.005)


def test_only_with_a_known_word():
    with pytest.raises(ps.ProblemError, match="'dask'"):
        run("diffrax", parallel="dusk")
