"""What `import pysciml` costs and loads, each measured in processes of its own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pysciml

RUNTIMES = ("jax", "jaxlib", "diffrax", "optax", "equinox", "juliacall", "juliapkg", "matplotlib", "scipy", "tqdm")
SHARE = 0.05
TIMER = """
from time import process_time
start = process_time()
import numpy, xarray
middle = process_time()
import pysciml
print(middle - start, process_time() - middle)
"""


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
    """Best of some processes, each comparing with itself, in CPU seconds; more of them while the machine is busy."""
    shares = []
    for n in range(24):
        base, own = map(float, run_python(TIMER).split())
        shares.append(own / base)
        if n >= 2 and min(shares) <= SHARE:
            return
    pytest.fail(f"import pysciml adds {min(shares):.0%} to what import numpy, xarray takes")
