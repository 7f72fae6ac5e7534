"""A fit whose process is killed goes on where it was, and ends at the same bits."""

import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from support.engines import ENGINES, require_engine

FIT = """
import numpy as np
import pysciml as ps

def model(t, u, p):
    return {"x": p.a * u.x - p.b * u.x * u.y, "y": p.c * u.x * u.y - p.d * u.y}

def run(engine, folder):
    truth = ps.ODEProblem(model, {"x": 1.0, "y": 1.0}, (0, 8), {"a": 1.5, "b": 1.0, "c": 1.0, "d": 3.0})
    saveat = np.linspace(0.2, 8, 40)
    data = ps.solve(truth, "Tsit5", saveat=saveat, rtol=1e-10, atol=1e-10, engine=engine)[["x", "y"]]
    guess = truth.remake(p={"a": 1.3, "b": 1.2, "c": 0.8, "d": 2.7})
    optimizer = [ps.Adam(0.02, steps=60), ps.LBFGS(steps=30)]
    return ps.fit(guess, data, optimizer=optimizer, strategy=ps.GrowingHorizon(2), rtol=1e-7,
                  engine=engine, progress=False, verify="never", checkpoint=folder)
"""
OFTEN = {
    "diffrax": "import pysciml.engines.diffrax.fit as module; module.SAVE_SECONDS = 0.0",
    "julia": "from pysciml.engines.choose import choose_engine\n"
    "choose_engine('julia')._bridge.call('include', {hook!r})",
}


def has_grown(folder, name, size):
    """Whether a file of a stage is so long, or a later stage has begun; a stage that ends takes its files away."""
    try:
        return (folder / name).stat().st_size >= size
    except FileNotFoundError:
        return any(file.name[:9] > name[:9] for file in folder.glob("stage-*"))


@pytest.mark.parametrize("engine", ENGINES)
def test_killed_fits_end_at_the_same_bits(engine, tmp_path):
    """What is on the disk is looked at while the fit goes on, at random moments, and at last it is killed."""
    require_engine(engine)
    (tmp_path / "hook.jl").write_text("SAVE_SECONDS[] = 0.0")
    hook = OFTEN[engine].format(hook=str(tmp_path / "hook.jl"))
    folder = tmp_path / "fit"
    random = np.random.default_rng(6)
    record = 8 * (4 + 2)  # an answer for 4 parameters
    moments = [("stage-000.state", random.integers(500, 2000)), ("stage-001.state", random.integers(500, 2000))]
    moments += [("stage-002.journal", record * n + 3) for n in sorted(random.integers(1, 14, 3))]
    code = f"{FIT}\n{hook}\nrun({engine!r}, {str(folder)!r})"
    # on a busy machine the one who looks must come before the one who is looked at
    process = subprocess.Popen(["nice", "-n", "10", sys.executable, "-c", code])
    copies = []
    for number, (name, size) in enumerate(moments):
        while not has_grown(folder, name, size):
            assert process.poll() is None, f"ended before {name} had {size} bytes"
            time.sleep(0.0005)
        copies.append(tmp_path / f"copy-{number}")
        if number == len(moments) - 1:
            process.kill()
            assert process.wait() == -9
        else:
            process.send_signal(signal.SIGSTOP)
            os.waitpid(process.pid, os.WUNTRACED)  # until it has stopped: files come and go while it runs
        shutil.copytree(folder, copies[-1])
        process.send_signal(signal.SIGCONT)
    scope: dict = {}
    exec(FIT, scope)
    want = scope["run"](engine, None)
    assert abs(float(want.p.a) - 1.5) < 1e-6
    for copy in copies:
        found = scope["run"](engine, copy)
        np.testing.assert_array_equal(found.problem.p_values, want.problem.p_values)
        np.testing.assert_array_equal(found.history.loss, want.history.loss)
        np.testing.assert_array_equal(found.history.status, want.history.status)
