"""Fixtures for all tests, and the last line of a run."""

import os

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")  # pictures without a screen, in subprocesses too

from support.engines import ENGINES, RAN, engines_line, require_engine, required_engines  # noqa: E402


def pytest_configure(config):
    """A misspelt PYSCIML_REQUIRE would require nothing."""
    required_engines()
    if config.pluginmanager.has_plugin("dsession"):
        config.pluginmanager.register(SeveralProcesses())


@pytest.fixture(params=ENGINES)
def engine(request) -> str:
    """Name of each engine in turn; skips the one that isn't ready (fails if ``PYSCIML_REQUIRE`` names it)."""
    return require_engine(request.param)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session, exitstatus):
    """Say which engines ran, below pytest's own last line."""
    result = yield
    if hasattr(session.config, "workeroutput"):  # one of several processes (pytest-xdist)
        session.config.workeroutput["ran"] = dict(RAN)
        return result
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and not session.config.option.collectonly:
        reporter.write_line(engines_line())
    return result


class SeveralProcesses:
    """What pytest-xdist tells of its processes."""

    def pytest_testnodedown(self, node):
        """Count what ran there."""
        RAN.update(getattr(node, "workeroutput", {}).get("ran", {}))
