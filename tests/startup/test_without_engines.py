"""``import pysciml`` on a machine that has no runtime at all, and what it starts on one that has."""

import subprocess
import sys

RUNTIMES = ("juliacall", "juliapkg", "jax", "diffrax", "optax", "matplotlib", "tqdm")
HIDE = f"import sys; sys.modules.update(dict.fromkeys({RUNTIMES!r})); "
SOLVE = """
import pysciml as ps
problem = ps.ODEProblem(lambda t, u, p: -u, 1.0, (0, 1))
for engine in ("auto", "julia", "diffrax"):
    try:
        ps.solve(problem, engine=engine)
    except ps.EngineUnavailable as error:
        print(engine, error)
"""


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_import_works():
    assert "21" in run(HIDE + "import pysciml as ps; print(ps.load_example('hare_lynx').sizes)")


def test_a_solve_says_what_is_missing():
    said = run(HIDE + SOLVE).splitlines()
    assert [line.split()[0] for line in said] == ["auto", "julia", "diffrax"]
    assert all("pip install" in line for line in said)


def test_import_starts_no_thread():
    assert run("import threading, pysciml; print(threading.active_count())") == "1\n"
