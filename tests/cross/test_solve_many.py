"""Many values of one problem: what solve gives for each, by one call of the engine."""

import numpy as np
import pytest
from support.engines import require_engine

import pysciml as ps
from pysciml.engines.choose import choose_engine

ENGINES = ("julia", "diffrax")
SAVEAT = np.linspace(0.0, 2.0, 5)
CHANGES = [{"p": {"k": 0.5}}, {"u0": {"x": 3.0}}, {"t_span": (0.0, 4.0)}, {"u0": {"x": 2.0}, "p": {"k": 2.0}}, {}]


def make(**words):
    return ps.ODEProblem(
        lambda t, u, p: {"x": -p.k * u.x**2}, {"x": 1.0}, (0.0, 2.0), {"k": 1.0},
        observe=lambda t, u, p: {"flux": p.k * u.x**2}, **words,
    )  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
def test_each_is_what_solve_gives(engine):
    require_engine(engine)
    problem = make(events=ps.Event(lambda t, u, p: u.x - 0.8, lambda t, u, p: {"x": u.x + 1.0}, name="refill"))
    found = ps.solve_many(problem, CHANGES, "Tsit5", saveat=SAVEAT, engine=engine)
    assert len(found) == len(CHANGES)
    for change, ds in zip(CHANGES, found, strict=True):
        assert ds.identical(ps.solve(problem.remake(**change), "Tsit5", saveat=SAVEAT, engine=engine))
    assert float(found[0].x[-1]) != float(found[1].x[-1])


@pytest.mark.parametrize("engine", ENGINES)
def test_one_that_fails_spoils_no_other(engine):
    require_engine(engine)
    changes = [{}, {"p": {"k": -1.0}}, {"p": {"k": 0.5}}]  # x' = x^2 is infinite at t = 1
    with pytest.raises(ps.SolveFailed, match=r"1 of 3 failed; the first is changes\[1\]") as caught:
        ps.solve_many(make(), changes, "Tsit5", saveat=SAVEAT, engine=engine)
    found = ps.solve_many(make(), changes, "Tsit5", saveat=SAVEAT, engine=engine, check=False)
    assert all(a.identical(b) for a, b in zip(found, caught.value.partial, strict=True))
    for k in (0, 2):
        np.testing.assert_allclose(found[k].x, 1 / (1 + (1.0, 0.0, 0.5)[k] * SAVEAT), rtol=1e-5)
    assert found[1].sizes["time"] < len(SAVEAT)


def test_julia_is_called_once(monkeypatch):
    require_engine("julia")
    julia, problem = choose_engine("julia"), make()
    ps.solve_many(problem, CHANGES, "Tsit5", saveat=SAVEAT, engine="julia")
    calls = []
    original = julia._bridge.call
    monkeypatch.setattr(julia._bridge, "call", lambda name, *a, **k: calls.append(name) or original(name, *a, **k))
    ps.solve_many(problem, CHANGES * 20, "Tsit5", saveat=SAVEAT, engine="julia", output="arrays")
    assert calls == ["call_many", "call_many"]  # solves, observables
    calls.clear()
    values = [change for change in CHANGES if "t_span" not in change]
    found = ps.solve_many(problem, values, "Tsit5", saveat=SAVEAT, engine="julia")
    assert calls == ["solve_requests", "call_many"]
    for change, ds in zip(values, found, strict=True):
        assert ds.identical(ps.solve(problem.remake(**change), "Tsit5", saveat=SAVEAT, engine="julia"))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"p": {"k": 1.0}}, "changes must be a list of dicts"),
        ([{"k": 1.0}], r"changes\[0\] must be a dict of u0, p, t_span, got the keys k"),
        ([{}, {"p": {"kk": 1.0}}], r"changes\[1\]: .*kk"),
        ([{}, 3.0], r"changes\[1\] must be a dict"),
    ],
)
def test_bad_changes_are_named(changes, message):
    with pytest.raises(ps.ProblemError, match=message):
        ps.solve_many(make(), changes, engine="diffrax")


def test_no_changes_give_nothing():
    assert ps.solve_many(make(), [], engine="diffrax") == []
