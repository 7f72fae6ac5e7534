"""Fixtures for all tests, and the last line of a run."""

import gc
import importlib
import os
import signal
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")  # pictures without a screen, in subprocesses too


def xla_flags() -> str:
    """JAX's second CPU stands for a GPU; loops are written as before JAX 0.7, which compiles twice as fast.

    XLA ends a process that gives a flag which it does not know, so only versions that were tried are given this one.
    """
    flags = "--xla_force_host_platform_device_count=2"
    try:
        major, minor = (int(part) for part in version("jax").split(".")[:2])
    except PackageNotFoundError:
        return flags
    return f"{flags} --xla_cpu_use_fusion_emitters=false" if (0, 7) <= (major, minor) <= (0, 10) else flags


os.environ.setdefault("XLA_FLAGS", xla_flags())
gc.set_threshold(100_000, 20, 50)  # JAX's tracing makes many objects and little garbage

from support.engines import ENGINES, RAN, engines_line, require_engine, required_engines  # noqa: E402

from pysciml.errors import EngineUnavailable  # noqa: E402


def pytest_configure():
    """A misspelt PYSCIML_REQUIRE would require nothing; in a shell's background Ctrl-C is ignored."""
    required_engines()
    signal.signal(signal.SIGINT, signal.default_int_handler)


# Several processes take files in this order: what takes longest first, and beside the first use of Julia, which
# compiles its package for two minutes, what needs no Julia.
FREE = "architecture property unit/ir unit/tracing unit/problems unit/fitting unit/engines/test_diffrax".split()
ORDER = ["test_examples", *FREE, "unit/api/test_fit", "startup", "cross"]


def pytest_collection_modifyitems(items):
    """Put tests in the order of ``ORDER``, all others behind them."""
    here = Path(__file__).parent.as_posix()

    def rank(item):
        path = item.path.as_posix().removeprefix(f"{here}/")
        return next((k for k, start in enumerate(ORDER) if path.startswith(start)), len(ORDER))

    items.sort(key=rank)


# Files of one process, which compiles once what Julia needs for both: derivatives of a method, the methods themselves.
TOGETHER = {
    "tests/cross/test_inputs.py": "tests/cross/test_gradients.py",
    "tests/cross/test_solvers.py": "tests/cross/test_algorithms.py",
}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Distribute files as ``--dist loadfile`` does, but those of ``TOGETHER`` as one."""
    if config.getvalue("dist") != "loadfile":
        return None

    class Scheduling(importlib.import_module("xdist.scheduler").LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            return TOGETHER.get(file, file)

    return Scheduling(config, log)


@pytest.fixture(params=ENGINES)
def engine(request) -> str:
    """Name of each engine in turn; skips the one that isn't ready (fails if ``PYSCIML_REQUIRE`` names it)."""
    return require_engine(request.param)


@pytest.fixture
def as_if_gpu(monkeypatch):
    """What goes to a GPU goes to a CPU, by the same way: JAX's second; KernelAbstractions' backend and JLArrays."""

    def prepare(name):
        require_engine(name)
        if name == "diffrax":
            precision = importlib.import_module("pysciml.engines.diffrax.precision")
            cpus = importlib.import_module("jax").devices("cpu")
            monkeypatch.setattr(precision, "find_device", lambda word: cpus[-1] if word == "gpu" else cpus[0])
        else:
            engine, devices = (
                importlib.import_module(f"pysciml.engines.julia.{name}") for name in ("engine", "devices")
            )
            load_arrays = devices.load_arrays

            def load_stand_in(bridge, word):
                try:
                    return load_arrays(bridge, "arrays")
                except EngineUnavailable as error:  # no part of what install-julia gets
                    pytest.skip(str(error).partition(". It needs")[0])

            monkeypatch.setattr(devices, "load_arrays", load_stand_in)
            load, arguments = engine.load_device, engine.kernel_arguments
            monkeypatch.setattr(engine, "load_device", lambda bridge, word: load(bridge, "kernels"))
            monkeypatch.setattr(engine, "kernel_arguments", lambda request: ("kernels", *arguments(request)[1:]))

    return prepare


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session, exitstatus):
    """Say which engines ran, below pytest's own last line."""
    is_one_of_several = hasattr(session.config, "workeroutput")  # a process of pytest-xdist
    if is_one_of_several:
        session.config.workeroutput["ran"] = dict(RAN)
    result = yield
    if is_one_of_several:
        return result
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and not session.config.option.collectonly:
        reporter.write_line(engines_line())
    return result


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """Count what ran in one of several processes (pytest-xdist)."""
    RAN.update(getattr(node, "workeroutput", {}).get("ran", {}))
