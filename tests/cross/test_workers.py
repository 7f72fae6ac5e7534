"""Fits side by side in processes of their own: the same bits, and nobody's end is another's."""

import os
import signal

import numpy as np
import pytest
import xarray as xr
from support.engines import require_engine

import pysciml as ps
from pysciml.engines.choose import choose_engine
from pysciml.engines.workers import Crew, read_parallel, was_interrupted

TIMES = np.linspace(0.2, 2, 10)
DATA = xr.Dataset({"x": ("time", 2 * np.exp(-TIMES))}, {"time": TIMES})
DECAY = ps.ODEProblem(lambda t, u, p: {"x": -p.k * u.x}, {"x": 2.0}, (0, 2), {"k": 0.4})
NET = ps.ODEProblem(lambda t, u, p: {"x": p.net([u.x])[0]}, {"x": 2.0}, (0, 2), {"net": ps.MLP(1, 1, width=3, depth=1)})
OPTIONS = {"algorithm": "Tsit5", "strategy": (), "verify": "never"}


@pytest.fixture
def crews(monkeypatch):
    """The crews of several processes that are made."""
    made = []

    def init(self, engine, size=0):
        original(self, engine, size)
        if size:
            made.append(self)

    original = Crew.__init__
    monkeypatch.setattr(Crew, "__init__", init)
    return made


def at_report(monkeypatch, module, act):
    """Do something at the first report of a fit, and show no bar."""
    done = []

    def report(bar, told):
        if not done:
            done.append(told)
            act()

    monkeypatch.setattr(f"pysciml.api.{module}.ProgressBar.report", report)
    return done


def test_a_member_whose_process_is_killed_spoils_no_other(monkeypatch, crews):
    engine = require_engine("julia")
    given = {"engine": engine, "optimizer": ps.Adam(0.01, steps=4_000), **OPTIONS}
    want = ps.fit_ensemble(NET, DATA, members=2, progress=False, **given)
    done = at_report(monkeypatch, "fit_ensemble", lambda: crews[0]._all[0].kill())
    with pytest.warns(RuntimeWarning, match=r"member [01] is left out: its process ended with code -9"):
        (found,) = ps.fit_ensemble(NET, DATA, members=2, parallel=2, **given).members
    assert done[0].total == 8_000
    same = want.members[found.settings["member"]]
    np.testing.assert_array_equal(found.problem.p_values, same.problem.p_values)
    np.testing.assert_array_equal(found.history.loss, same.history.loss)


def test_searches_elsewhere_end_where_they_do_here():
    engine = require_engine("diffrax")
    given = OPTIONS | {"engine": engine, "optimizer": ps.Adam(steps=2), "progress": False}
    given["strategy"] = ps.MultiStart(starts=3, steps=4)
    want, found = (ps.fit(DECAY, DATA, parallel=parallel, **given) for parallel in ("serial", 1))
    assert float(found.p.k) == float(want.p.k) and found.loss == want.loss
    told, same = (one.settings["warm_starts"][0] for one in (found, want))
    assert told | {"seconds": 0} == same | {"seconds": 0}


def test_ctrl_c_gives_the_best_of_all_searches(monkeypatch, crews):
    """The interrupt comes to the processes through their parent, which takes what they have by then."""
    engine = require_engine("julia")
    given = OPTIONS | {"engine": engine, "strategy": ps.MultiStart(starts=2, steps=10_000_000)}
    at_report(monkeypatch, "fit", lambda: os.kill(os.getpid(), signal.SIGINT))
    found = ps.fit(DECAY, DATA, optimizer=ps.Adam(steps=2), parallel=2, **given)
    assert found.status is ps.Status.INTERRUPTED and found.history.sizes["iteration"] == 0
    start = ps.objective(DECAY, DATA, engine=engine, algorithm="Tsit5")
    assert found.loss < start(start.x0)[0]  # how far they are by then is chance
    assert found.loss == pytest.approx(found.settings["terms"]["misfit"])
    assert all(worker._process.poll() is not None for worker in crews[-1]._all)


def test_ctrl_c_ends_what_runs_in_turn_too(monkeypatch):
    engine = require_engine("diffrax")
    at_report(monkeypatch, "fit_ensemble", lambda: signal.raise_signal(signal.SIGINT))
    monkeypatch.setattr("pysciml.engines.diffrax.fit.REPORT_SECONDS", 0.0)
    given = {"engine": engine, "optimizer": ps.Adam(steps=3), **OPTIONS}
    found = ps.fit_ensemble(NET, DATA, members=3, **given)
    assert [one.status for one in found.members] == [ps.Status.INTERRUPTED]


def test_outcomes_of_a_crew():
    failure = ps.SolveFailed("here")

    def fail(engine):
        raise failure

    def stop(engine):
        raise KeyboardInterrupt

    found = Crew(None).run([lambda engine: 1, fail, stop, lambda engine: 2])
    assert found[:2] == [1, failure] and [was_interrupted(one) for one in found] == [False, False, True, True]
    with pytest.raises(ZeroDivisionError):
        Crew(choose_engine("diffrax"), 2).run([lambda engine: 1 / 0, fail])


@pytest.mark.parametrize("word", ["process", 0, -1, True, 2.5])
def test_other_words_are_refused(word):
    with pytest.raises(ps.ProblemError, match="parallel must be 'serial', 'processes' or a number"):
        ps.fit(DECAY, DATA, engine="diffrax", parallel=word)
    assert read_parallel("fit", "serial") == 0 and read_parallel("fit", "processes") >= 1
