"""A twenty-fifth of ``benchmarks/coverage.py`` again, and what its results say."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from support.engines import require_engine

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "coverage.py"
pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="benchmarks are not part of a release")


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("coverage_study", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def results():
    return json.loads(SCRIPT.with_suffix(".json").read_text(encoding="utf-8"))["rows"]


@pytest.fixture(scope="module")
def draws():
    return json.loads(SCRIPT.with_name("coverage_posterior.json").read_text(encoding="utf-8"))["rows"]


def test_where_the_intervals_hold_what_they_say(script, results):
    low, high = script.BAND
    for name, case in script.cases().items():
        assert [row["number"] for row in results[name]] == list(range(200))
        shares = [script.judged(results[name], method, case.true) for method in script.METHODS]
        assert all(low <= share <= high for share in shares), (name, shares)


def test_where_draws_hold_what_they_say(script, draws):
    low, high = script.BAND
    for name, case in script.cases().items():
        assert [row["number"] for row in draws[name]] == list(range(40))
        assert low <= script.judged(draws[name], "posterior", case.true) <= high, name


def test_draws_again(script, draws):
    require_engine("julia")
    pytest.importorskip("blackjax")
    row, old = script.repeat_posterior("sir", 8), draws["sir"][8]
    lower, upper = (np.array(old["posterior"][end]) for end in ("lower", "upper"))
    for end, stored in (("lower", lower), ("upper", upper)):  # to the error of quantiles of some hundred free draws
        assert np.all(np.abs(np.array(row["posterior"][end]) - stored) < 0.15 * (upper - lower)), end


@pytest.mark.parametrize("name", ["lotka_volterra", "logistic", "sir"])
def test_some_again(script, results, name):
    require_engine("julia")
    for number in range(0, 200, 25):
        row, old = script.repeat(name, number), results[name][number]
        for method in script.METHODS:
            lower, upper = (np.array(old[method][end]) for end in ("lower", "upper"))
            width = upper - lower
            assert np.all(np.abs(np.array(row["estimate"]) - old["estimate"]) < 2e-3 * width)
            for end, stored in (("lower", lower), ("upper", upper)):
                assert np.all(np.abs(np.array(row[method][end]) - stored) < 2e-2 * width), (number, method, end)
