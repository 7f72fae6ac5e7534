"""An engine that isn't ready: its tests skip with the reason, or fail where ``PYSCIML_REQUIRE`` names it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
NEEDS_JULIA = """
import sys
sys.modules["juliapkg"] = None
from support.engines import require_engine

def test_it():
    require_engine("julia")
"""


def run_pytest(folder, **environment):
    """A run of one test that needs Julia, on a machine without."""
    (folder / "test_julia.py").write_text(NEEDS_JULIA)
    paths = os.pathsep.join([str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")])
    kept = {k: v for k, v in os.environ.items() if k != "PYSCIML_REQUIRE"}
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "conftest", "-p", "no:cacheprovider", "test_julia.py"]
    settings = kept | {"PYTHONPATH": paths} | environment
    return subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True, timeout=120)


def test_skips_with_the_doctors_reason(tmp_path):
    done = run_pytest(tmp_path)
    assert done.returncode == 0
    assert "1 skipped" in done.stdout
    assert "not installed: juliapkg" in done.stdout
    last = done.stdout.splitlines()[-1]
    assert last.startswith("engines: julia did not run (not installed: juliapkg")


@pytest.mark.parametrize("required", ["julia", "diffrax, julia"])
def test_fails_where_it_is_required(required, tmp_path):
    done = run_pytest(tmp_path, PYSCIML_REQUIRE=required)
    assert done.returncode == 1
    assert "1 failed" in done.stdout


def test_a_word_that_is_no_engine_stops_the_run(tmp_path):
    done = run_pytest(tmp_path, PYSCIML_REQUIRE="jullia")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "PYSCIML_REQUIRE names ['jullia']" in done.stderr
