"""Julia beside other threads, processes and libraries: each kind in a process of its own."""

import importlib.util
import itertools
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from support.engines import require_engine

from pysciml.engines.julia.environment import find_manifest
from pysciml.engines.julia.route import find_route

MODEL = """
import numpy as np
import pysciml as ps

def oscillator(t, u, p):
    return {"x": u.v, "v": -p.k * u.x}

def make(k=1.0):
    return ps.ODEProblem(oscillator, {"x": 1.0, "v": 0.0}, (0.0, 10.0), {"k": k})

def solve(problem):
    return ps.solve(problem, "Tsit5", saveat=[10.0], rtol=1e-10, atol=1e-12, engine="julia").x.values[0]

def is_right(x, k):
    return abs(x - np.cos(np.sqrt(k) * 10)) < 1e-7
"""


@pytest.fixture(autouse=True)
def julia():
    require_engine("julia")


def run(script, folder, timeout=280, **environment):
    """Output of a script in a fresh process, which must end well."""
    (folder / "model.py").write_text(MODEL)
    (folder / "script.py").write_text(textwrap.dedent(script))
    paths = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    settings = os.environ | {"PYTHONPATH": paths} | environment
    command = [sys.executable, str(folder / "script.py")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=settings)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def test_many_threads_at_once(tmp_path):
    """The first call from several worker threads, then solves, gradients and a fit side by side."""
    done = run(
        """
        from concurrent.futures import ThreadPoolExecutor
        from model import *
        with ThreadPoolExecutor(8) as pool:
            rates = [1.0 + 0.1 * i for i in range(16)]
            assert all(map(is_right, pool.map(lambda k: solve(make(k)), rates), rates))
            data = ps.solve(make(1.3), "Tsit5", saveat=np.linspace(0, 10, 21), rtol=1e-10, engine="julia")
            words = {"engine": "julia", "algorithm": "Tsit5"}
            fits = [pool.submit(ps.fit, make(k), data, optimizer=ps.LBFGS(), strategy=(), progress=False, **words)
                    for k in (1.2, 1.35)]
            slopes = [pool.submit(ps.gradient, make(k), data, **words) for k in rates]
            solves = [pool.submit(solve, make(k)) for k in rates]
            assert all(abs(fit.result().p.k - 1.3) < 1e-4 for fit in fits)
            assert all(is_right(x.result(), k) for x, k in zip(solves, rates))
            slopes = [(value, float(slope.k)) for value, slope in (task.result() for task in slopes)]
        alone = [ps.gradient(make(k), data, **words) for k in rates]
        assert slopes == [(value, float(slope.k)) for value, slope in alone]
        print("right")
        """,
        tmp_path,
    )
    assert done.stdout == "right\n"


def test_processes_of_every_kind(tmp_path):
    """multiprocessing's spawn beside a Julia of the parent's, joblib's loky, dask's workers; errors cross too."""
    done = run(
        """
        import multiprocessing
        from model import *

        def fail(problem):
            return solve(problem.remake(p={"k": -4000.0}, t_span=(0.0, 1e6)))

        if __name__ == "__main__":
            import joblib
            from dask.distributed import Client, LocalCluster
            assert is_right(solve(make()), 1.0)
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                assert is_right(pool.apply(solve, (make(2.0),)), 2.0)
            found = joblib.Parallel(n_jobs=2, prefer="processes")([joblib.delayed(solve)(make(3.0))])
            assert is_right(found[0], 3.0)
            with LocalCluster(n_workers=1, threads_per_worker=2, processes=True, dashboard_address=None) as cluster:
                with Client(cluster) as client:
                    tasks = client.map(solve, [make(k) for k in (4.0, 5.0, 6.0)], pure=False)
                    assert all(map(is_right, client.gather(tasks), (4.0, 5.0, 6.0)))
                    try:
                        client.submit(fail, make()).result()
                    except ps.SolveFailed as error:
                        assert error.failure.state in "xv" and error.partial is not None
                        print(error.status.name)
        """,
        tmp_path,
        DASK_DISTRIBUTED__WORKER__DAEMON="True",
    )
    assert done.stdout.strip() in ("UNSTABLE", "STEP_TOO_SMALL", "MAX_STEPS")


STARTS = {
    "julia": "assert is_right(solve(make()), 1.0)",
    "jax": "import jax; assert abs(float(jax.grad(lambda x: x**3)(2.0)) - 12) < 1e-6",
    "torch": "import torch; x = torch.ones(300, 300, requires_grad=True); (x @ x).sum().backward()",
}
AFTERWARDS = """
stiff = ps.ODEProblem(lambda t, u, p: {"x": -1e4 * (u.x - np.cos(t)), "y": u.x - u.y}, {"x": 1.0, "y": 1.0}, (0, 1))
ps.solve(stiff, "Rodas5P", saveat=[1.0], engine="julia")
print("side by side")
"""


def start_in_order(order, folder):
    lines = ["from model import *", *(STARTS[name] for name in order), *(STARTS[name] for name in order)]
    assert run("\n".join(lines) + AFTERWARDS, folder).stdout == "side by side\n"


@pytest.mark.parametrize("order", list(itertools.permutations(["julia", "jax"])), ids=" ".join)
def test_jax_before_and_after(order, tmp_path):
    start_in_order(order, tmp_path)


@pytest.mark.parametrize("order", list(itertools.permutations(STARTS)), ids=" ".join)
def test_torch_and_jax_in_all_orders(order, tmp_path):
    if importlib.util.find_spec("torch") is None:
        pytest.skip("PyTorch is not installed; in an environment that has it, this runs")
    start_in_order(order, tmp_path)


def test_errors_in_julia_are_ours(tmp_path):
    """Julia's own text is chained; what does not fit into memory leaves a process that goes on."""
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux limits the memory of a process as this test does")
    done = run(
        """
        import traceback
        from model import *
        from pysciml.engines.choose import load_engine
        bridge = load_engine("julia")._bridge
        for name, arguments in (("no_such_function", ()), ("evaluate", (1, 2, 3, 4)), ("compile_program", ("x(",))):
            try:
                bridge.call(name, *arguments)
            except ps.PySciMLError as error:
                assert type(error) is ps.PySciMLError and f"Julia failed in {name}" in str(error)
                assert "Stacktrace" in str(error.__cause__) and "\\n" not in str(error)
        import resource
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 3 * 10**9,) * 2)
        dense = ps.ODEProblem(lambda t, u, p: -u + 1e-9 * np.sum(u), np.ones(40_000), (0.0, 1.0))
        try:
            ps.solve(dense, "Rodas5P", saveat=[1.0], engine="julia")
        except ps.PySciMLError as error:
            assert "OutOfMemoryError" in str(error.__cause__)
            print(error)
        assert is_right(solve(make()), 1.0)
        """,
        tmp_path,
    )
    assert "ran out of memory" in done.stdout and done.stdout.count("\n") == 1


def test_ctrl_c_while_julia_starts(tmp_path):
    """It is heard at once; Julia goes on starting, and the next call waits for it."""
    done = run(
        """
        import os, signal, threading, time
        from model import *
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sent = []

        def interrupt():
            time.sleep(1.0)
            sent.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)

        make()
        threading.Thread(target=interrupt).start()
        for attempt in range(2):
            try:
                x = solve(make())
                break
            except KeyboardInterrupt:
                assert time.monotonic() - sent[0] < 1.0
                print("interrupted")
        assert is_right(x, 1.0)
        """,
        tmp_path,
    )
    assert done.stdout == "interrupted\n"


def test_a_package_that_is_gone_is_named_with_the_cure(tmp_path):
    """The project's manifest knows Sundials, but its files aren't there; the rest of Julia goes on."""
    found = find_route()
    text = find_manifest(Path(found.project)).read_text()
    text = re.sub(r'(?m)^path = "(?!/)', f'path = "{found.project}/', text)
    head, entry, tail = re.split(r"(?s)(\[\[deps\.Sundials\]\].*?)(?=\n\[\[|\Z)", text)
    entry = re.sub(r"(?m)^(path|git-tree-sha1|repo-.*) = .*\n?", "", entry)
    entry = entry.replace("[[deps.Sundials]]", f'[[deps.Sundials]]\npath = "{tmp_path}/gone"')
    (tmp_path / "Project.toml").write_text((Path(found.project) / "Project.toml").read_text())
    (tmp_path / "Manifest.toml").write_text(head + entry + tail)
    done = run(
        """
        from model import *
        words = {"saveat": [1.0], "engine": "julia"}
        try:
            ps.solve(make(), "CVODE_BDF", **words)
        except ps.EngineUnavailable as error:
            print(error)
        print(ps.solve(make(), "Tsit5", **words).attrs["status"])
        """,
        tmp_path,
        PYTHON_JULIACALL_EXE=found.executable,
        PYTHON_JULIACALL_PROJECT=str(tmp_path),
        JULIA_DEPOT_PATH=os.pathsep.join(found.depots),
    )
    said, status = done.stdout.splitlines()
    assert "'CVODE_BDF': the Julia package Sundials can't be loaded" in said and "Instantiate the project" in said
    assert status == "SUCCESS"
