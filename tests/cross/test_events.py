"""Events on every engine against closed forms."""

import numpy as np
import pytest
import xarray as xr
from support.engines import ENGINES, require_engine

import pysciml as ps
from pysciml.api.fit_result import FitResult
from pysciml.errors import UnsupportedByEngine

TOLERANCES = {"rtol": 1e-8, "atol": 1e-10}
G, K = 9.81, 0.7
DOUBLE = ps.Event(None, lambda t, u, p: {"x": 2 * u.x}, times=[1.0], name="double")
ADD = ps.Event(None, lambda t, u, p: {"x": u.x + 1}, times=[1.0], name="add")


@pytest.fixture(params=ENGINES)
def engine(request):
    return require_engine(request.param)


def make_ball(**options):
    bounce = ps.Event(lambda t, u, p: u.h, lambda t, u, p: {"v": -0.5 * u.v}, name="bounce", **options)
    return ps.ODEProblem(lambda t, u, p: {"h": u.v, "v": -G}, {"h": 0.0, "v": G}, (0, 3.9), events=[bounce])


def make_decay(events, t_span=(0, 4), **options):
    return ps.ODEProblem(lambda t, u, p: {"x": -p.k * u.x}, {"x": 1.0}, t_span, {"k": K}, events=events, **options)


def decay(t, doses, start=1.0):
    """x' = -K x with a dose (time, amount) after another, each counted at its own time."""
    return start * np.exp(-K * t) + sum(a * np.exp(-K * (t - s)) * (t >= s) for s, a in doses)


METHODS = {
    "julia": ["auto", "Tsit5", "Vern7", "BS3", "Rodas5P", "FBDF", "QNDF", "TRBDF2"],
    "diffrax": ["auto", "Tsit5", "BS3", "Kvaerno5"],
}
CASES = [(name, word) for name, words in METHODS.items() for word in words]
LOOSE = {"Kvaerno5": 1e-6, "FBDF": 1e-6, "QNDF": 1e-6, "QBDF": 1e-6, "TRBDF2": 1e-4, "KenCarp4": 1e-5, "auto": 1e-6}


@pytest.mark.parametrize(("name", "word"), CASES)
def test_a_bouncing_ball(name, word):
    ds = ps.solve(make_ball(), word, saveat=[1.0, 3.9], engine=require_engine(name), **TOLERANCES)
    expected = 2 + np.cumsum([0, 1, 0.5, 0.25, 0.125])  # each flight lasts half as long
    tolerance = LOOSE.get(word, 1e-9)
    np.testing.assert_allclose(ds.bounce_time, expected, rtol=tolerance)
    np.testing.assert_allclose(ds.h[-1], 0.025 * (G / 32 - G / 2 * 0.025), rtol=1e3 * tolerance)
    assert ds.attrs["status"] == "SUCCESS"


def make_worn_ball(kept, end):
    """A ball that falls from 1; each bounce leaves it a part of its speed."""
    bounce = ps.Event(lambda t, u, p: u.h, lambda t, u, p: {"v": -p.kept * u.v}, direction=-1, name="bounce")
    fall = lambda t, u, p: {"h": u.v, "v": -2.0}  # noqa: E731
    return ps.ODEProblem(fall, {"h": 1.0, "v": 0.0}, (0, end), {"kept": kept}, events=[bounce])


@pytest.mark.parametrize("kept", [0.003, 0.01, 0.1, 0.5, 0.9, 0.99])
def test_bounces_that_pile_up_end_the_solve(engine, kept):
    rest = (1 + kept) / (1 - kept)  # when it comes to rest: it falls for 1, and flies for 2 kept^k
    ds = ps.solve(make_worn_ball(kept, 2 * rest), "Tsit5", engine=engine, check=False, **TOLERANCES)
    assert ds.attrs["status"] == "ZENO"
    assert 0 < rest - float(ds.bounce_time[-1]) < 1e-6 * rest and ds.time[-1] == ds.bounce_time[-1]
    assert ds.h.min() > -1e-8
    with pytest.raises(ps.SolveFailed, match="pile up"):
        ps.solve(make_worn_ball(kept, 2 * rest), "Tsit5", saveat=[2 * rest], engine=engine, **TOLERANCES)
    before = ps.solve(make_worn_ball(kept, 0.99 * rest), "Tsit5", saveat=[0.99 * rest], engine=engine, **TOLERANCES)
    assert before.attrs["status"] == "SUCCESS" and before.h[-1] > 0


@pytest.mark.parametrize(("name", "word"), CASES)
def test_doses_and_decay(name, word):
    give = ps.Event(None, lambda t, u, p: {"x": u.x + 2}, times=ps.every(1.0), name="give")
    t = np.linspace(0, 4, 41)
    ds = ps.solve(make_decay([give]), word, saveat=t, engine=require_engine(name), **TOLERANCES)
    expected = decay(t, [(s, 2.0) for s in (0, t[10], t[20], t[30])])
    np.testing.assert_allclose(ds.x, expected, rtol=LOOSE.get(word, 1e-7))
    assert ds.time.values.tobytes() == t.tobytes()
    assert ds.give_time.values.tolist() == [0, 1, 2, 3]


def test_a_schedule_with_infusions(engine):
    table = {
        "time": [0.0, 1.0, 1.0, 2.0, -1.0],
        "state": "x",
        "amount": [3.0, 2.0, 0.5, 1.0, 4.0],
        "duration": [0, 1.0, 0, 0.5, 2.0],
        "method": ["add", "add", "multiply", "add", "add"],
    }
    t = np.linspace(0, 4, 33)
    ds = ps.solve(make_decay([ps.Schedule(table)]), saveat=t, engine=engine, **TOLERANCES)
    expected, x = np.zeros(33), 4.0
    for start, stop, rate in [(0.0, 1.0, 2.0), (1.0, 2.0, 2.0), (2.0, 2.5, 2.0), (2.5, 4.0, 0.0)]:
        inside = (t >= start) & (t <= stop)
        expected[inside] = rate / K + (x - rate / K) * np.exp(-K * (t[inside] - start))
        x = rate / K + (x - rate / K) * np.exp(-K * (stop - start))
        if stop == 1.0:
            x /= 2
            expected[t == 1.0] = x
    np.testing.assert_allclose(ds.x, expected, rtol=1e-6)
    assert ds.dose_time.values.tolist() == [0.0, 1.0, 2.0] and ds.k.ndim == 0


@pytest.mark.parametrize("events", [[DOUBLE, ADD], [ADD, DOUBLE]], ids=["double first", "add first"])
def test_two_events_at_one_time_fire_in_their_order(engine, events):
    ds = ps.solve(make_decay(events), saveat=[1.0], engine=engine, **TOLERANCES)
    x = np.exp(-K)
    np.testing.assert_allclose(ds.x[0], 2 * x + 1 if events[0] is DOUBLE else 2 * (x + 1), rtol=1e-6)


def test_roots_at_one_time_fire_together_in_their_order(engine):
    touch = lambda t, u, p: u.x - 0.5  # noqa: E731
    double = ps.Event(touch, lambda t, u, p: {"x": 2 * u.x}, name="double")
    add = ps.Event(touch, lambda t, u, p: {"x": u.x + 1}, name="add")
    ds = ps.solve(make_decay([add, double], (0, 1.5)), saveat=[1.5], engine=engine, **TOLERANCES)
    assert ds.add_time.values.tolist() == ds.double_time.values.tolist()
    np.testing.assert_allclose(ds.add_time, [np.log(2) / K], rtol=1e-6)
    np.testing.assert_allclose(ds.x[0], 3 * np.exp(-K * (1.5 - np.log(2) / K)), rtol=1e-6)


def test_a_terminal_event_ends_the_solve(engine):
    half = ps.Event(lambda t, u, p: u.x - 0.5, lambda t, u, p: {"x": 7.0}, terminal=True, name="half")
    problem = make_decay([half])
    ds = ps.solve(problem, saveat=np.linspace(0, 4, 9), engine=engine, **TOLERANCES)
    assert ds.attrs["status"] == "TERMINATED" and ds.time.values.tolist() == [0.0, 0.5]
    np.testing.assert_allclose(ds.half_time, [np.log(2) / K], rtol=1e-6)
    own = ps.solve(problem, engine=engine, **TOLERANCES)
    assert own.time[-1] == own.half_time[0] and own.x[-1] == 7.0 and (np.diff(own.time) > 0).all()
    before = ps.Event(lambda t, u, p: u.x - 0.5, lambda t, u, p: {"x": 7.0}, terminal=True, sample="before")
    own = ps.solve(problem.remake(events=[before]), engine=engine, **TOLERANCES)
    np.testing.assert_allclose(own.x[-1], 0.5, rtol=1e-6)
    at_once = problem.remake(events=[ps.Event(times=[0.0], terminal=True)])
    assert ps.solve(at_once, saveat=[0.0, 1.0], engine=engine).time.values.tolist() == [0.0]


@pytest.mark.parametrize(("direction", "expected"), [(1, [0.5, 2.5]), (-1, [1.5, 3.5]), (0, [0.5, 1.5, 2.5, 3.5])])
def test_direction(engine, direction, expected):
    count = ps.Event(lambda t, u, p: u.x, direction=direction, name="zero")
    swing = lambda t, u, p: {"x": np.pi * np.sin(np.pi * t)}  # noqa: E731 - x = -cos(pi t)
    problem = ps.ODEProblem(swing, {"x": -1.0}, (0, 4), events=[count])
    ds = ps.solve(problem, saveat=[4.0], engine=engine, dtmax=0.25, **TOLERANCES)
    np.testing.assert_allclose(ds.zero_time, expected, atol=1e-7)


def test_parameters_change_along_the_solution(engine):
    turn = ps.Event(None, lambda t, u, p: {"k": -p.k}, times=[1.0, 2.0], name="turn", sample="before")
    observe = lambda t, u, p: {"rate": p.k * u.x}  # noqa: E731
    problem = make_decay([turn], observe=observe)
    t = [0.0, 1.0, 1.5, 2.0, 3.0]
    ds = ps.solve(problem, saveat=t, engine=engine, **TOLERANCES)
    assert ds.k.dims == ("time",) and ds.k.values.tolist() == [K, K, -K, -K, K]
    expected = np.exp(-K * np.array([0.0, 1.0, 0.5, 0.0, 1.0]))
    np.testing.assert_allclose(ds.x, expected, rtol=1e-6)
    np.testing.assert_allclose(ds.rate, ds.k * ds.x, rtol=1e-14)
    after = ps.Event(None, lambda t, u, p: {"k": -p.k}, times=[1.0, 2.0])
    ds = ps.solve(problem.remake(events=[after]), saveat=t, engine=engine, **TOLERANCES)
    assert ds.k.values.tolist() == [K, -K, -K, K, K] and problem.p_values.tolist() == [K]
    assert ps.solve(problem, saveat=t, engine=engine, **TOLERANCES).k.values.tolist() == [K, K, -K, -K, K]


def test_sample_before_and_after_of_a_state(engine):
    rows = {}
    for sample in ("before", "after"):
        event = ps.Event(None, lambda t, u, p: {"x": u.x + 5}, times=[0.0, 1.0], sample=sample)
        ds = ps.solve(make_decay([event]), saveat=[0.0, 1.0, 2.0], engine=engine, **TOLERANCES)
        own = ps.solve(make_decay([event]), engine=engine, **TOLERANCES).sel(time=[0.0, 1.0])
        np.testing.assert_allclose(own.x, ds.x[:2], rtol=1e-6)
        rows[sample] = ds.x.values
    np.testing.assert_allclose(rows["after"] - rows["before"], [5, 5, 0], atol=1e-6)


def test_arrays_and_dates(engine):
    u0 = xr.DataArray([1.0, 2.0, 4.0], dims="cell", coords={"cell": ["a", "b", "c"]}, name="x")
    swap = ps.Event(None, lambda t, u, p: u[::-1], times=["2020-01-02"], name="swap")
    low = ps.Event(lambda t, u, p: np.min(u) - 0.25, lambda t, u, p: 0 * u, name="low")
    problem = ps.ODEProblem(
        lambda t, u, p: -u, u0, ("2020-01-01", "2020-01-05"), units={"time": "day"}, events=[swap, low]
    )
    days = np.array(["2020-01-02", "2020-01-05"], "datetime64[ns]")
    ds = ps.solve(problem, saveat=days, engine=engine, **TOLERANCES)
    np.testing.assert_allclose(ds.x[0], np.exp(-1) * u0.values[::-1], rtol=1e-6)
    assert (ds.x[1] == 0).all() and ds.swap_time.values.tolist() == days[:1].tolist()
    late = (ds.low_time.values[0] - np.datetime64("2020-01-01")) / np.timedelta64(1, "D")
    assert abs(late - np.log(4)) < 1e-6


def test_other_values_give_other_answers_of_one_problem(engine):
    """``remake`` of amounts, parameters and span reaches conditions, effects and schedules."""
    level = ps.Event(lambda t, u, p: u.x - p.level, lambda t, u, p: {"x": p.level + p.more}, name="reach")
    problem = ps.ODEProblem(
        lambda t, u, p: {"x": -u.x}, {"x": 1.0}, (0, 1), {"level": 0.5, "more": 0.5}, events=[level]
    )
    for low, more, end in [(0.5, 0.5, 1.0), (0.25, 0.75, 3.0)]:
        other = problem.remake(p={"level": low, "more": more}, t_span=(0, end))
        ds = ps.solve(other, saveat=[end], engine=engine, **TOLERANCES)
        period = np.log((low + more) / low)
        expected = np.log(1 / low) + period * np.arange(np.floor((end - np.log(1 / low)) / period) + 1)
        np.testing.assert_allclose(ds.reach_time, expected, rtol=1e-6)


def test_stiff_and_long(engine):
    """``auto`` starts again with another method (FBDF in Julia, Kvaerno5 in diffrax), and its events with it."""
    flip = ps.Event(None, lambda t, u, p: {"k": 2 * p.k}, times=[0.5], name="flip")
    n = 60 if engine == "julia" else 12

    def heat(t, u, p):
        ends = np.concatenate([[0.0], u, [0.0]])
        return p.k * (n + 1) ** 2 * (ends[2:] - 2 * u + ends[:-2])

    x = np.arange(1, n + 1) / (n + 1)
    problem = ps.ODEProblem(heat, np.sin(np.pi * x), (0, 1), {"k": 4.0 if engine == "diffrax" else 0.4}, events=[flip])
    ds = ps.solve(problem, saveat=[0.5, 1.0], engine=engine, rtol=1e-6, atol=1e-9)
    rate = problem.p.k * 4 * (n + 1) ** 2 * np.sin(np.pi / (2 * (n + 1))) ** 2
    expected = np.exp(-rate * np.array([0.5, 1.5]))  # the second half counts twice
    np.testing.assert_allclose(ds.u[:, n // 2], expected * problem.u0[n // 2], rtol=1e-3, atol=1e-7)
    assert ds.flip_time.values.tolist() == [0.5] and ds.k.values.tolist() == [2 * problem.p.k] * 2


def test_results_go_to_files(engine, tmp_path):
    ds = ps.solve(make_ball().remake(t_span=(0, 1)), saveat=[0.5], engine=engine)
    assert ds.bounce_time.sizes == {"bounce": 0}
    ds.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    assert xr.load_dataset(tmp_path / "a.nc", engine="h5netcdf").identical(ds)


def test_dense_output_and_mass_matrices_are_refused():
    engine = require_engine("julia")
    with pytest.raises(UnsupportedByEngine, match="dense output of 'events'"):
        ps.dense(make_decay([DOUBLE]), engine=engine)
    with pytest.raises(UnsupportedByEngine, match="mass matrix with 'events'"):
        ps.solve(make_decay([DOUBLE], mass_matrix=2 * np.eye(1)), engine=engine)


def test_a_saved_fit_keeps_the_events(tmp_path, engine):
    data = xr.Dataset({"x": ("time", [0.6, 0.4])}, {"time": [1.0, 2.0]})
    result = ps.fit(make_decay([]), data, optimizer=ps.Adam(steps=1), engine=engine, progress=False)
    fields = vars(result) | {"problem": result.problem.remake(events=[DOUBLE])}
    FitResult(**{key: fields[key] for key in FitResult.__dataclass_fields__}).save(tmp_path / "fit.nc")
    again = FitResult.load(tmp_path / "fit.nc")
    assert again.problem.events == fields["problem"].events
    assert again.predict([1.0]).double_time.values.tolist() == [1.0]


@pytest.mark.parametrize("word", ["ABDF2", "CVODE_BDF"])
def test_a_method_that_is_wrong_after_jumps_is_refused(word):
    with pytest.raises(UnsupportedByEngine, match="right after jumps"):
        ps.solve(make_decay([DOUBLE]), word, engine=require_engine("julia"))


@pytest.mark.parametrize("word", ["KenCarp3", "KenCarp4", "KenCarp47", "KenCarp5", "KenCarp58", "Kvaerno5"])
def test_fast_and_slow_after_a_jump(word):
    """Steps grow quickly behind the jump; where the error estimate shrinks with them, errors pass unseen."""
    push = ps.Event(None, lambda t, u, p: {"x": u.x + 1, "y": u.y + 1}, times=[1.0], name="push")
    f = lambda t, u, p: {"x": -2 * u.x, "y": 50 * (u.x - u.y)}  # noqa: E731
    problem = ps.ODEProblem(f, {"x": 1.0, "y": 0.0}, (0, 3), events=[push])
    t = np.array([1.001, 1.01, 1.1, 1.5, 2.0, 3.0])
    ds = ps.solve(problem, word, saveat=t, engine=require_engine("julia"), rtol=1e-8, atol=1e-10)
    x, y = 1 + np.exp(-2.0), 1 + 50 / 48 * (np.exp(-2.0) - np.exp(-50.0))
    slow, fast = np.exp(-2 * (t - 1)), np.exp(-50 * (t - 1))
    np.testing.assert_allclose(ds.x, x * slow, rtol=2e-7)
    np.testing.assert_allclose(ds.y, 50 / 48 * x * slow + (y - 50 / 48 * x) * fast, rtol=2e-7)


def test_roots_need_a_good_interpolant():
    engine = require_engine("julia")
    assert ps.solve(make_decay([DOUBLE]), "Kvaerno5", saveat=[2.0], engine=engine).sizes["double"] == 1
    with pytest.raises(UnsupportedByEngine, match="between its steps"):
        ps.solve(make_ball(), "Kvaerno5", engine=engine)


def test_the_engines_agree():
    names = [require_engine(name) for name in ENGINES]
    give = ps.Event(None, lambda t, u, p: {"x": u.x + p.dose}, times=ps.every(0.7), name="give")
    swap = ps.Event(lambda t, u, p: u.x - 1.5 * u.y, lambda t, u, p: {"x": u.y, "y": u.x, "k": p.k / 2}, name="swap")
    problem = ps.ODEProblem(
        lambda t, u, p: {"x": p.k * u.y - u.x * u.y, "y": u.x - p.k * u.y},
        {"x": 0.2, "y": 1.0},
        (0, 5),
        {"k": 1.2, "dose": 1.0},
        events=[swap, give],
    )
    t = np.linspace(0, 5, 26)
    a, b = (ps.solve(problem, saveat=t, engine=name, rtol=1e-9, atol=1e-11) for name in names)
    assert a.sizes == b.sizes and a.sizes["swap"] > 0
    for name in (*a.data_vars, "k"):
        np.testing.assert_allclose(a[name], b[name], rtol=1e-5, atol=1e-7)
