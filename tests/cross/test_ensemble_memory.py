"""Ensembles that keep summaries only need no more memory the more trajectories there are."""

import subprocess
import sys

import pytest
from support.engines import require_engine

SCRIPT = """
import resource, sys
import numpy as np, pysciml as ps
from scipy.stats import uniform

def lorenz(t, u, p):
    return {"x": 10.0 * (u.y - u.x), "y": u.x * (p.rho - u.z) - u.y, "z": u.x * u.y - 8 / 3 * u.z}

problem = ps.ODEProblem(lorenz, {"x": 1.0, "y": 0.0, "z": 0.0}, (0, 2), {"rho": 28.0})
ds = ps.ensemble(
    problem, {"rho": uniform(5, 23)}, trajectories=int(sys.argv[2]), saveat=np.linspace(0.2, 2, 10), algorithm="Tsit5",
    reduce=["mean", "std", "max"], engine=sys.argv[1],
)
assert ds.attrs["status"] == "SUCCESS" and ds.x_std.sizes == {"time": 10}
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # kB, on a Mac bytes
print(peak * (1 if sys.platform == "darwin" else 1024))
"""
MOST = 1.5e9  # bytes, Julia and all: the trajectories of a million would take 240 MB more for each copy


@pytest.mark.parametrize("engine, trajectories", [("julia", 1_000_000), ("diffrax", 30_000)])
def test_summaries_of_many(engine, trajectories):
    pytest.importorskip("resource")
    require_engine(engine)
    command = [sys.executable, "-c", SCRIPT, engine, str(trajectories)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert int(said) < MOST
