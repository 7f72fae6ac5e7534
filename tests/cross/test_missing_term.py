"""A twenty-fifth of ``benchmarks/missing_term.py`` again, and what its results say."""

import importlib.util
import json
from pathlib import Path

import pytest
from support.engines import require_engine

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "missing_term.py"
pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="benchmarks are not part of a release")


@pytest.fixture(scope="module")
def results():
    return json.loads(SCRIPT.with_suffix(".json").read_text(encoding="utf-8"))["noise"]


def test_the_form_is_found(results):
    for noise, least in {"0.01": 45, "0.03": 45, "0.05": 35}.items():
        rows = results[noise]
        assert [row["seed"] for row in rows] == list(range(50))
        assert sum(row["found"] for row in rows) >= least


@pytest.mark.parametrize(("noise", "seed"), [(0.01, 0), (0.01, 25), (0.05, 2)])  # the last by exchanges
def test_a_seed_again(results, noise, seed):
    require_engine("julia")
    spec = importlib.util.spec_from_file_location("missing_term", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    row, old = script.run_seed(noise, seed), results[str(noise)][seed]
    assert row["found"] == old["found"]
    assert row["factors"] == pytest.approx(old["factors"], rel=1e-3)
