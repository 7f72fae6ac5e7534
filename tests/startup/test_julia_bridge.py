"""Julia in a process of its own: Ctrl-C, other threads, forks, silence, the end of the process."""

import subprocess
import sys
import textwrap
import time

import pytest
from support.engines import require_engine

PREAMBLE = """
import os, signal, sys, tempfile, threading, time
import numpy as np
import pysciml as ps

signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job begins with it ignored

def oscillator(t, u, p):
    return {"x": u.v, "v": -p.k * u.x}

def make(t1=1.0):
    return ps.ODEProblem(oscillator, {"x": 1.0, "v": 0.0}, (0.0, t1), {"k": 1.0})

def interrupt_after(seconds):
    def send():
        time.sleep(seconds)
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=send, daemon=True).start()

sent = []
short = ps.solve(make(), "Tsit5", saveat=[1.0], engine="julia")
"""


@pytest.fixture(autouse=True)
def julia():
    require_engine("julia")


def run(script, timeout=280):
    """Output of a script in a fresh process, which must end well."""
    text = PREAMBLE + textwrap.dedent(script)
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


LONG = 'problem = make(1e7)\nwords = {"saveat": [0.0, 0.5, 1e7], "rtol": 1e-9, "max_steps": 10**9, "engine": "julia"}\n'


def test_ctrl_c_during_a_solve_raises_with_what_was_computed():
    done = run(
        LONG
        + """
interrupt_after(1.0)
try:
    ps.solve(problem, "Tsit5", **words)
except ps.SolveFailed as error:
    assert time.monotonic() - sent[0] < 1.0
    assert error.status.name == "INTERRUPTED", error.status
    assert list(error.partial.time.values) == [0.0, 0.5]
    print("interrupted")
again = ps.solve(make(), "Tsit5", saveat=[1.0], engine="julia")
assert again.x.values == short.x.values
"""
    )
    assert done.stdout == "interrupted\n"


def test_ctrl_c_during_a_solve_returns_the_partial_dataset_if_asked():
    done = run(
        LONG
        + """
interrupt_after(1.0)
ds = ps.solve(problem, "Tsit5", check=False, **words)
assert time.monotonic() - sent[0] < 1.0
print(ds.attrs["status"], ds.sizes["time"])
from pysciml.engines.choose import load_engine
turn = load_engine("julia")._bridge._turn
turn.acquire()  # Julia is taken when the interrupt comes: the call must end when it has begun
threading.Timer(0.8, turn.release).start()
interrupt_after(0.4)
ds = ps.solve(problem, "Tsit5", check=False, **words)
assert time.monotonic() - sent[1] < 1.0
print(ds.attrs["status"], ds.sizes["time"])
"""
    )
    assert done.stdout.splitlines() == ["INTERRUPTED 2", "INTERRUPTED 1"]


def test_ctrl_c_during_many_solves_keeps_what_was_computed():
    done = run(
        LONG
        + """
interrupt_after(1.0)
changes = [{"t_span": (0.0, 1.0)}, {}, {"p": {"k": 2.0}}]
words["saveat"] = [0.0, 0.5]
try:
    ps.solve_many(problem, changes, "Tsit5", **words)
except ps.SolveFailed as error:
    assert time.monotonic() - sent[0] < 1.0
    print(error.status.name, [(ds.attrs["status"], ds.sizes["time"]) for ds in error.partial])
again = ps.solve_many(make(), [{}, {}], "Tsit5", saveat=[1.0], engine="julia")
assert [ds.x.values for ds in again] == [short.x.values] * 2
"""
    )
    assert done.stdout == "INTERRUPTED [('SUCCESS', 2), ('INTERRUPTED', 2), ('INTERRUPTED', 1)]\n"


def test_ctrl_c_during_an_ensemble_keeps_what_was_computed():
    done = run(
        LONG
        + """
problem = ps.ODEProblem(lambda t, u, p: {"x": u.v, "v": -p.k * u.x}, {"x": 1.0, "v": 0.0}, (0.0, 1e5), {"k": 1.0})
words = {"rtol": 1e-9, "max_steps": 10**9, "algorithm": "Tsit5", "engine": "julia", "saveat": [0.5]}
k = np.append([1e-8] * 64, np.ones(400))
for parallel in ("threads", "lanes"):
    interrupt_after(1.5)
    try:
        ps.ensemble(problem, {"k": ps.xr.DataArray(k, dims="run")}, parallel=parallel, **words)
    except ps.SolveFailed as error:
        assert time.monotonic() - sent[-1] < 1.0
        status = error.partial.status.values
        print(error.status.name, status[0] == 0, status[-1] == 6, np.isnan(error.partial.x.values[-1]).all())
again = ps.solve(make(), "Tsit5", saveat=[1.0], engine="julia")
assert again.x.values == short.x.values
""".replace("ps.xr", "__import__('xarray')")
    )
    assert done.stdout == "INTERRUPTED True True True\n" * 2


def test_ctrl_c_during_a_fit_returns_the_best_so_far():
    done = run(
        """
problem = make(20.0)
times = np.linspace(0.0, 20.0, 201)
data = ps.solve(problem, "Tsit5", saveat=times, rtol=1e-10, engine="julia")
start = problem.remake(p={"k": 1.3})
words = {"strategy": (), "engine": "julia", "progress": False}
ps.fit(start, data, optimizer=ps.Adam(1e-6, steps=2), **words)
interrupt_after(2.0)
result = ps.fit(start, data, optimizer=ps.Adam(1e-6, steps=10**6), **words)
assert time.monotonic() - sent[0] < 1.0
print(result.status, len(result.history.iteration) > 2)
"""
    )
    assert "INTERRUPTED" in done.stdout.upper() and "True" in done.stdout


def test_the_first_call_may_come_from_a_worker_thread():
    script = """
import os, signal, threading, time
import pysciml as ps
problem = ps.ODEProblem(lambda t, u, p: -p * u, 1.0, (0.0, 1.0), 2.0)
found = []
worker = threading.Thread(target=lambda: found.append(ps.solve(problem, saveat=[1.0], engine="julia")))
worker.start()
worker.join()
again = ps.solve(problem, saveat=[1.0], engine="julia")
assert found[0].equals(again)
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(5)
except KeyboardInterrupt:
    print("still interruptible")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=280)
    assert (done.returncode, done.stdout) == (0, "still interruptible\n"), done.stderr[-3000:]


def test_a_forked_child_gets_a_clear_error():
    done = run(
        """
import multiprocessing
def child():
    try:
        ps.solve(make(), "Tsit5", saveat=[1.0], engine="julia")
    except ps.EngineUnavailable as error:
        print(error, flush=True)
process = multiprocessing.get_context("fork").Process(target=child)
process.start()
process.join(60)
assert process.exitcode == 0
"""
    )
    assert "spawn" in done.stdout


def test_nothing_is_printed_whatever_fails():
    """Here Julia's packages and Sundials' C code would print hundreds of warnings."""
    done = run(
        """
import json
models = {
    "blow up": lambda t, u, p: {"x": u.x**2, "y": -u.y},
    "leave": lambda t, u, p: {"x": -1.0 - 0 * np.sqrt(u.x), "y": -u.y},
    "slide": lambda t, u, p: {"x": -np.sign(u.x) - 0.3, "y": -u.y},
    "nan": lambda t, u, p: {"x": np.log(-u.x), "y": -u.y},
}
ended = set()
for name, model in models.items():
    problem = ps.ODEProblem(model, {"x": 1.0, "y": 1.0}, (0.0, 2.0))
    for word in ("auto", "Tsit5", "Rodas5P", "FBDF", "KenCarp4", "CVODE_BDF", "CVODE_Adams", "ARKODE"):
        ds = ps.solve(problem, word, max_steps=3000, saveat=[0.5, 2.0], check=False, engine="julia")
        failure = json.loads(ds.attrs["pysciml"])["failure"]
        assert failure["state"] == "x" and failure["cause"] and failure["advice"], (name, word, failure)
        ended.add(ds.attrs["status"])
data = ps.solve(make(), "Tsit5", saveat=[0.5, 1.0], engine="julia")
for sensitivity in ("forward_over_solver", "discrete"):
    model = lambda t, u, p: {"x": p.k * u.x**2, "v": -u.v}
    growing = ps.ODEProblem(model, {"x": 1.0, "v": 0.0}, (0.0, 2.0), {"k": 3.0})
    objective = ps.objective(growing, data, sensitivity=sensitivity, engine="julia")
    assert not np.isfinite(objective.value_and_gradient(objective.x0)[0])
print(*sorted(ended))
"""
    )
    assert {"STEP_TOO_SMALL", "UNSTABLE", "MAX_STEPS", "NOT_CONVERGED"} <= set(done.stdout.split())
    said = [line for line in done.stderr.splitlines() if not line.startswith("pysciml: compiling")]
    assert said == [] and done.stdout.count("\n") == 1


def test_juliacall_imported_first_is_refused_with_the_remedy():
    script = """
import importlib.machinery, sys, types
module = types.ModuleType("juliacall")
module.__spec__ = importlib.machinery.ModuleSpec("juliacall", None)
sys.modules["juliacall"] = module
import pysciml as ps
try:
    ps.solve(ps.ODEProblem(lambda t, u, p: -u, 1.0, (0.0, 1.0)), saveat=[1.0], engine="julia")
except ps.EngineUnavailable as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=100)
    assert "in a process of its own" in done.stdout, done.stderr


def test_juliacall_can_not_be_imported_afterwards():
    done = run(
        """
try:
    import juliacall
except ImportError as error:
    print(error)
"""
    )
    assert "in a process of its own" in done.stdout


def test_what_was_quick_is_done_by_the_calling_thread_and_what_becomes_late_is_not():
    """The same model and word: 1 s, then 1e7 s with an interrupt, in the main thread, whose Ctrl-C Julia can't hear."""
    done = run(
        LONG
        + """
from pysciml.engines.choose import load_engine
bridge, threads = load_engine("julia")._bridge, []
original, original_again = bridge._julia.call, bridge._julia.call_again
def call(packed):
    if packed.name != "give_up":  # what is kept of a problem, when that goes
        threads.append(threading.current_thread().name)
    return original(packed)
def call_again(key):
    threads.append(threading.current_thread().name)
    return original_again(key)
bridge._julia.call, bridge._julia.call_again = call, call_again
words["saveat"] = [0.0, 0.5, 1.0]
found = [ps.solve(make(), "Tsit5", **words) for _ in range(4)]
while threads[-1] != "MainThread" and len(found) < 40:
    found.append(ps.solve(make(), "Tsit5", **words))
assert all(ds.equals(found[0]) for ds in found)
assert threads[-1] == "MainThread", threads
words["saveat"][-1] = 1e7
interrupt_after(1.0)
try:
    ps.solve(problem, "Tsit5", **words)
except ps.SolveFailed as error:
    assert time.monotonic() - sent[0] < 1.0
    assert error.status.name == "INTERRUPTED", error.status
assert threads[-2:] == ["MainThread", "pysciml-julia"], threads
words["saveat"][-1] = 2e4  # 0.1 s
longer = make(2e4)
expected = ps.solve(longer, "Tsit5", **words)
for _ in range(20):  # on a busy machine what is quick may take long now and then
    ps.solve(make(), "Tsit5", **{**words, "saveat": [0.0, 0.5, 1.0]})
    assert ps.solve(longer, "Tsit5", **words).equals(expected)
    if threads[-2:] == ["MainThread", "pysciml-julia"]:
        break
assert threads[-2:] == ["MainThread", "pysciml-julia"], threads
print("done")
"""
    )
    assert done.stdout == "done\n"


def test_garbage_collections_wait_for_no_thread_that_is_outside():
    """In turns: Julia's memory is collected in the main thread's calls and in the owner's, while the other idles."""
    done = run(
        """
model = lambda t, u, p: {"x": 1.0 / u.x - 1.0 / u.x, "v": -u.v}
blown = ps.ODEProblem(model, {"x": 0.0, "v": 0.0}, (0.0, 2.0))
def work(n):
    for _ in range(n):
        assert ps.solve(make(), "Tsit5", saveat=np.linspace(0, 1, 4001), engine="julia").x.values[-1] == short.x
        assert ps.solve(blown, "Tsit5", saveat=[1.0], check=False, engine="julia").attrs["status"] != "SUCCESS"
for turn in range(10):
    work(40)
    threads = [threading.Thread(target=work, args=(10,)) for _ in range(3)]
    [thread.start() for thread in threads]
    work(10)
    [thread.join() for thread in threads]
from pysciml.engines.choose import load_engine
bridge = load_engine("julia")._bridge
with tempfile.NamedTemporaryFile("w", suffix=".jl") as collect:
    collect.write("GC.gc()")
    collect.flush()
    for turn in range(5):
        bridge._quick.add("main")
        bridge.call("include", collect.name, like="main")
        bridge.call("include", collect.name)
print("done")
"""
    )
    assert (done.stdout, done.stderr) == ("done\n", "")


def test_long_prints_into_a_pipe_arrive_whole():
    require_engine("julia")
    text = """
import pysciml as ps
ps.solve(ps.ODEProblem(lambda t, u, p: -u, 1.0, (0.0, 1.0)), saveat=[1.0], engine="julia")
print("x" * 300_000)
"""
    with subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE) as process:
        time.sleep(6.0)  # nobody reads while it prints
        assert len(process.stdout.read()) == 300_001
