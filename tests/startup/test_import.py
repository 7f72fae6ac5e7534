"""``import pysciml`` costs what NumPy and xarray cost, and starts no runtime."""

import json
import os
import statistics
import subprocess
import sys

MOST = 1.15  # times the import of NumPy and xarray
RUNS = 7
RUNTIMES = ("juliacall", "juliapkg", "jax", "diffrax", "optax", "matplotlib", "tqdm")
TIMED = """
import time
start = time.process_time()
import numpy, xarray
base = time.process_time() - start
import pysciml
print((time.process_time() - start) / base)
"""
HIDE = "import sys; sys.modules.update(dict.fromkeys({!r})); "


def run(code: str, **environment) -> subprocess.CompletedProcess:
    """A new process."""
    settings = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | environment
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=settings)


def test_import_is_cheap(tmp_path):
    """Both parts in one process, so that a busy machine slows both; the middle one of several processes."""
    cached = {"PYTHONPYCACHEPREFIX": str(tmp_path)}
    run(TIMED, **cached)  # writes the bytecode, as an installation does
    ratios = [float(run(TIMED, **cached).stdout) for _ in range(RUNS)]
    assert statistics.median(ratios) <= MOST, f"import pysciml takes {sorted(ratios)} times NumPy's and xarray's import"


def test_import_starts_no_runtime():
    done = run("import json, sys, threading, pysciml; print(json.dumps([list(sys.modules), threading.active_count()]))")
    modules, threads = json.loads(done.stdout)
    assert not set(RUNTIMES) & set(modules)
    assert threads == 1
    assert done.stderr == ""


def test_import_works_with_neither_engine():
    done = run(HIDE.format(RUNTIMES) + "import pysciml as ps; print(ps.load_example('hare_lynx').sizes)")
    assert "21" in done.stdout
