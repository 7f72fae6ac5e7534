"""Ensembles that keep summaries only need no more memory the more trajectories there are."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.engines import require_engine

SCRIPT = """
import sys
from pathlib import Path
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
(line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(1024 * int(line.split()[1]))  # resource.getrusage would also count the parent before this program was started
"""
MOST = 1.5e9  # bytes, Julia and all: the trajectories of a million would take 240 MB more for each copy


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peaks of memory are read as Linux tells them")
def test_summaries_of_a_million():
    require_engine("julia")
    command = [sys.executable, "-c", SCRIPT, "julia", "1000000"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert int(said) < MOST
