"""A remade problem shares what was made for its original, and gives what one built anew gives."""

import numpy as np
import pytest
import xarray as xr

import pysciml as ps

TIMES = np.linspace(0.0, 5.0, 6)


def plain(scale):
    """Numbers, integers and arrays among the parameters."""

    def f(t, u, p):
        return {"x": -p.rate * u.x + p.n, "y": p.mix @ u.y}

    p = {"rate": 0.5 * scale, "n": int(scale), "mix": -np.eye(2) * scale}
    return f, {"x": scale, "y": [1.0, scale]}, p


def follows(scale):
    """An initial state that the parameters give."""
    return lambda t, u, p: {"x": -p.rate * u.x}, lambda p: {"x": 2.0 * p.rate}, {"rate": 0.5 * scale}


def driven(scale):
    """An external input that steps, where another one steps at other times."""
    series = xr.DataArray([0.0, scale, 1.0], {"time": [0.0, 1.0 + 0.1 * scale, 3.0]}, "time")
    signal = ps.interpolate(series, "previous", extrapolate="hold")
    return lambda t, u, p: {"x": p.signal(t) - u.x}, {"x": scale}, {"signal": signal}


def build(case, scale, **more):
    f, u0, p = case(scale)
    return ps.ODEProblem(f, u0, (0.0, 5.0), p, **more)


def remake(problem, case, scale):
    _, u0, p = case(scale)
    return problem.remake(p=p) if callable(u0) else problem.remake(u0=u0, p=p)


@pytest.mark.parametrize("case", [plain, follows, driven])
def test_remade_problems_give_what_new_ones_give(engine, case):
    problem = build(case, 1.0)
    for scale in (1.0, 2.0, 2.0, 3.0, 1.0):
        words = {"algorithm": "Tsit5", "saveat": TIMES, "engine": engine}
        found = ps.solve(remake(problem, case, scale), **words)
        new = ps.solve(build(case, scale), **words)
        assert found.identical(new), f"scale {scale}"


def test_other_words_are_not_those_of_the_last_call(engine):
    problem = build(plain, 1.0)
    for words in ({"rtol": 1e-4}, {"rtol": 1e-9}, {"saveat": TIMES[:3]}, {"algorithm": "DP5"}):
        words = {"algorithm": "Tsit5", "saveat": TIMES, "engine": engine} | words
        assert ps.solve(remake(problem, plain, 2.0), **words).identical(ps.solve(build(plain, 2.0), **words))


def test_labels_of_a_remade_problem_are_its_own(engine):
    problem = build(plain, 1.0, units={"x": "mg"})
    for _ in range(3):
        ps.solve(problem, "Tsit5", saveat=TIMES, engine=engine)
    other = problem.remake(units={"x": "g"}, name="other")
    for _ in range(3):
        ds = ps.solve(other, "Tsit5", saveat=TIMES, engine=engine)
    assert ds.x.attrs["units"] == "g" and ds.attrs["title"] == "other"
    assert "title" not in ps.solve(problem, "Tsit5", saveat=TIMES, engine=engine).attrs


def test_datasets_do_not_share_what_can_be_written(engine):
    problem = build(plain, 1.0)
    kept = [ps.solve(remake(problem, plain, s), "Tsit5", saveat=TIMES, engine=engine) for s in (1.0, 2.0, 3.0, 4.0)]
    assert [ds.rate.item() for ds in kept] == [0.5, 1.0, 1.5, 2.0]
    kept[2].x[:] = 0.0
    kept[2]["rate"] = 7.0
    assert kept[3].x[0] == 4.0 and kept[3].rate.item() == 2.0


def test_several_stops_are_compared_too(engine):
    problem, stops = build(plain, 1.0), np.array([1.0, 2.0, 3.0])
    found = [ps.solve(problem, "Tsit5", saveat=TIMES, tstops=stops, engine=engine) for _ in range(3)]
    assert all(ds.identical(found[0]) for ds in found)


def sweep(problem, engine, over, **words):
    return ps.ensemble(problem, over, **({"algorithm": "Tsit5", "saveat": [0, 5.0], "engine": engine} | words))


def test_sweeps_asked_again_give_what_new_ones_give(engine):
    problem, rates = build(plain, 1.0), np.array([0.5, 1.0, 2.0])
    again = [({"rate": rates}, {})] * 3 + [({"rate": rates, "x": [1.0, 2]}, {})] * 2
    again += [({"rate": rates}, {"saveat": [0.0, 4.0]}), ({"rate": [0.5, 1.0, 2.0]}, {"reduce": "mean"})] * 2
    for k, (over, words) in enumerate(again):
        for scale in (1.0, 2.0):
            found = sweep(remake(problem, plain, scale), engine, over, **words)
            assert found.identical(sweep(build(plain, scale), engine, over, **words)), f"case {k}, scale {scale}"


def test_arrays_written_to_are_other_values(engine):
    problem, rates = build(plain, 1.0), np.array([0.5, 1.0, 2.0])
    for change in (0.0, 0.0, 0.5, 0.0, -0.5):
        rates += change
        found = sweep(problem, engine, {"rate": rates})
        assert found.identical(sweep(build(plain, 1.0), engine, {"rate": rates.copy()})), f"rates {rates}"
        found["x"].values[:] = found["status"].values[:] = 0  # a result is the caller's


def test_the_same_sweep_again_is_refused_again(engine):
    problem, wrong = build(plain, 1.0), {"rate": [0.5, np.inf]}
    for _ in range(2):
        with pytest.raises(ps.ProblemError, match="rate"):
            sweep(problem, engine, wrong)
