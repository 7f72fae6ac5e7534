"""What `import pysciml` costs and loads, each measured in processes of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pysciml

RUNTIMES = ("jax", "jaxlib", "diffrax", "optax", "equinox", "juliacall", "juliapkg", "matplotlib", "scipy", "tqdm")
FACTOR = 1.15
TIMER = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"


@pytest.fixture(scope="module")
def run_python(tmp_path_factory):
    """Run code beside a copy of the package that is compiled, as an installed one is."""
    folder = tmp_path_factory.mktemp("installed")
    source = Path(pysciml.__file__).parent
    shutil.copytree(source, folder / "pysciml", ignore=shutil.ignore_patterns("__pycache__"))
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH")}

    def run(code: str) -> str:
        options = {"check": True, "capture_output": True, "text": True, "cwd": folder, "env": environment}
        return subprocess.run([sys.executable, "-c", code], **options).stdout

    assert Path(run("import pysciml; print(pysciml.__file__)").strip()).parent == folder / "pysciml"
    return run


def test_no_runtime_is_loaded(run_python):
    code = f"import sys, pysciml; print([name for name in {RUNTIMES!r} if name in sys.modules])"
    assert run_python(code) == run_python(code.replace("pysciml", "numpy, xarray"))


def test_nothing_is_printed(run_python):
    assert run_python("import pysciml") == ""


@pytest.mark.timeout(200)
def test_it_costs_numpy_and_xarray(run_python):
    """Best of alternating runs; more of them while the machine is too busy to tell."""
    own, base = [], []
    for n in range(24):
        base.append(float(run_python(TIMER.format("numpy, xarray"))))
        own.append(float(run_python(TIMER.format("pysciml"))))
        if n >= 4 and min(own) <= FACTOR * min(base):
            return
    pytest.fail(f"import pysciml takes {min(own):.3f} s, import numpy, xarray {min(base):.3f} s")
