"""Each example runs as a user runs it, and saves its picture."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.engines import require_engine, users_environment

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))


def run_example(name, folder) -> str:
    script = next(file for file in EXAMPLES if file.stem == name)
    command, words = [sys.executable, script, folder], {"cwd": folder, "env": users_environment()}
    done = subprocess.run(command, capture_output=True, text=True, timeout=570, **words)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.timeout(600)  # without Julia the stiff networks take some two minutes on an idle machine
@pytest.mark.parametrize("name", [file.stem for file in EXAMPLES])
def test_example_runs(name, tmp_path):
    require_engine("diffrax")
    printed = run_example(name, tmp_path)
    assert (tmp_path / f"{name}.png").stat().st_size > 5000
    check = CHECKS.get(name)
    assert check is not None, f"say in CHECKS what {name} must show"
    check(printed, tmp_path)


def check_first_solve(printed, folder):
    assert "<xarray.Dataset>" in printed
    means = re.search(r"hares: ([\d.]+), with more lynx deaths ([\d.]+) thousand", printed)
    assert float(means[1]) == pytest.approx(0.8 / 0.02, rel=0.05)  # exact over whole cycles; the span is nearly two
    assert float(means[2]) == pytest.approx(1.0 / 0.02, rel=0.05)


def check_hare_lynx(printed, folder):
    errors = {
        state: float(e) for state, e in re.findall(r"^(hare|lynx): .*? (\d\.\d\d) standard", printed, re.MULTILINE)
    }
    assert set(errors) == {"hare", "lynx"}
    assert max(errors.values()) <= 0.2
    assert (folder / "hare_lynx_ude.nc").exists()
    found = re.findall(r"^(\w+): hares (\S+), lynxes (\S+) standard deviations off$", printed, re.MULTILINE)
    off = {name: (float(hare), float(lynx)) for name, hare, lynx in found}
    assert max(*off["recovered"], *off["classical"]) < 0.25 < off["network"][0]  # the network alone does not beat it
    bands = dict(re.findall(r"^(net\d_hare_lynx): between (\S+) and \S+ \(95 %\)$", printed, re.MULTILINE))
    assert set(bands) == {"net0_hare_lynx", "net1_hare_lynx"}
    assert float(bands["net0_hare_lynx"]) < 0 < float(bands["net1_hare_lynx"])


def check_stiff_gradient(printed, folder):
    ready = re.findall(r"^(\w+): loss", printed, re.MULTILINE)
    assert "diffrax" in ready
    errors = [float(e) for e in re.findall(r"^(?:slow|fast|middle) .* (\S+)$", printed, re.MULTILINE)]
    assert len(errors) == 3 * len(ready)
    assert max(errors) < 1e-5  # of the gradient's largest part


def check_influenza(printed, folder):
    estimate, error = re.search(r"^R0: (\S+) with a standard error of (\S+)$", printed, re.MULTILINE).groups()
    low, high = re.search(r"^R0 by its profile: (\S+) to (\S+) \(95 %\), identifiable$", printed, re.MULTILINE).groups()
    assert 2.6 < float(low) < 3.0 < float(estimate) < 3.4 < float(high) < 4.0
    assert 0.1 < float(error) < 0.4
    low, high = re.search(r"^R0 by sampling: (\S+) to (\S+) \(90 %\)$", printed, re.MULTILINE).groups()
    assert 2.6 < float(low) < 3.0 < float(estimate) < 3.4 < float(high) < 4.0
    dispersion = re.search(r"^dispersion: (\S+) ", printed, re.MULTILINE)
    assert 3 < float(dispersion[1]) < 40
    pictures = ("residuals", "history", "correlations", "profile")
    assert all((folder / f"influenza_{name}.png").stat().st_size > 5000 for name in pictures)


def check_glucose(printed, folder):
    found = re.findall(r"^(\w+): (\S+), standard error (\S+); profile (\S+) to (\S+), (.*)$", printed, re.MULTILINE)
    shown = {name: (float(best), float(low), float(high), verdict) for name, best, _, low, high, verdict in found}
    estimate, low, high, verdict = shown["sensitivity"]
    assert 5e-4 < low < estimate < high < 1.3e-3 and verdict == "identifiable"
    estimate, low, high, verdict = shown["effectiveness"]
    assert low == -np.inf and estimate < high < 0.04 and verdict == "practically non-identifiable"
    deviation = re.search(r"^residuals deviate by (\S+) mg/dL$", printed, re.MULTILINE)
    assert float(deviation[1]) < 6
    assert all((folder / f"glucose_{name}.png").stat().st_size > 5000 for name in shown)


def check_spiral(printed, folder):
    errors = [float(e) for e in re.findall(r"root mean square error (\S+), the samples' noise is 0.05$", printed, re.M)]
    assert len(errors) == 2 and errors[0] < 0.05 and errors[1] < 0.1


def check_pendulum(printed, folder):
    off = dict(re.findall(r"^(\w+): loss \S+, energy off by at most (\S+) until", printed, re.MULTILINE))
    assert float(off["energy"]) < 0.1 and float(off["plain"]) < 0.2
    assert abs(float(re.search(r"^friction: (\S+), in truth", printed, re.MULTILINE)[1]) - 0.1) < 0.01
    assert float(re.search(r"its energy drifts by (\S+) until", printed)[1]) < 1e-6


def check_stiff_networks(printed, folder):
    found = re.findall(r"^(\w+): relative error (\S+) in the mean, (\S+) at worst", printed, re.MULTILINE)
    errors = {name: (float(mean), float(worst)) for name, mean, worst in found}
    assert max(errors["rates"]) < 1e-6
    assert errors["network"][0] < 0.1 and errors["network"][1] < 0.15
    assert errors["pollu"][0] < 0.05 and errors["pollu"][1] < 0.15


CHECKS = {
    "first_solve": check_first_solve,
    "glucose": check_glucose,
    "hare_lynx_ude": check_hare_lynx,
    "influenza": check_influenza,
    "pendulum": check_pendulum,
    "spiral": check_spiral,
    "stiff_gradient": check_stiff_gradient,
    "stiff_networks": check_stiff_networks,
}
