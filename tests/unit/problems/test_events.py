import json
import pickle

import cftime
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import pysciml as ps
from pysciml.errors import ProblemError, TraceError
from pysciml.ir.evaluate import evaluate_program
from pysciml.problems.flat import flatten_model
from pysciml.problems.schema import problem_from_json, problem_to_json

BOUNCE = ps.Event(lambda t, u, p: u.h, lambda t, u, p: {"v": -p.e * u.v, "e": 0.9 * p.e}, direction=-1, name="bounce")
KICK = ps.Event(None, lambda t, u, p: {"v": u.v + 1}, times=ps.every(0.5), sample="before")
DOSES = {"time": [0.0, 1.0, -1.0], "state": ["h", "v", "v"], "amount": [1, 2, 3.0], "duration": [0, 0.5, 2]}


def make_ball(events, t_span=(0, 2), **options):
    u0, p = {"h": 1.0, "v": 0.0}, {"g": 9.81, "e": 0.5, "net": ps.MLP(1, 1, width=2, depth=1), "a": np.ones(2)}
    return ps.ODEProblem(lambda t, u, p: {"h": u.v, "v": -p.g}, u0, t_span, p, events=events, **options)


ALL = make_ball([BOUNCE, KICK, ps.Schedule(DOSES)])


def test_events_are_part_of_the_value():
    same = make_ball((BOUNCE, KICK, ps.Schedule(DOSES)))
    assert same == ALL and hash(same) == hash(ALL)
    assert make_ball([BOUNCE]) != ALL != make_ball([KICK, BOUNCE, ps.Schedule(DOSES)])
    assert pickle.loads(pickle.dumps(ALL)) == ALL
    other = ALL.remake(p={"g": 1.0}, events=[ps.Schedule(DOSES, name="other")])
    assert [event.name for event in other.events] == ["other"] and ALL.remake(p={"g": 1.0}).events == ALL.events
    assert ALL.remake(events=[]).events == ()


def test_repr():
    text = repr(ALL)
    for line in ("bounce: h falls through 0", "v = -e * v", "event_1: every 0.5", "dose: 3 doses to h, v"):
        assert line in text
    stop = ps.Event(times=[1.0, 2.0], terminal=True, name="stop")
    assert "stop: at 1.0, 2.0, where the solve ends" in repr(make_ball(stop))


SPANS = {
    "numbers": ((0, 2), [0.5, 1.0]),
    "strings": (("2020-01-01", "2020-01-03"), ["2020-01-01", "2020-01-02"]),
    "pandas": ((pd.Timestamp("2020-01-01"), pd.Timestamp("2020-01-03")), pd.DatetimeIndex(["2020-01-02"])),
    "cftime": (
        (cftime.DatetimeNoLeap(2020, 1, 1), cftime.DatetimeNoLeap(2020, 1, 3)),
        [cftime.DatetimeNoLeap(2020, 1, 2, 12)],
    ),
}


@pytest.mark.parametrize(("t_span", "times"), SPANS.values(), ids=SPANS)
def test_json_there_and_back(t_span, times):
    stop = ps.Event(None, lambda t, u, p: {"a": p.a + t}, times=times, terminal=True)
    schedule = ps.Schedule({"time": times, "state": "h", "amount": 0.1, "duration": 1 / 3})
    problem = make_ball([BOUNCE, KICK, stop, schedule], t_span, units={"time": "day"})
    text = problem_to_json(problem)
    again = problem_from_json(text)
    assert again == problem and hash(again) == hash(problem) and problem_to_json(again) == text
    first, second = flatten_model(problem).events[2].times, flatten_model(again).events[2].times
    assert first.tobytes() == second.tobytes() and len(first) == len(times)


def test_a_file_of_version_1_has_no_events():
    raw = json.loads(problem_to_json(make_ball([])))
    del raw["events"]
    assert problem_from_json(json.dumps(raw | {"version": 1})) == make_ball([])
    with pytest.raises(ProblemError, match="missing events"):
        problem_from_json(json.dumps(raw))


@pytest.mark.parametrize(
    "damage",
    [{"changed": ["h"]}, {"sample": "never"}, {"condition": None}, {"changed": ["nobody"]}, {"effect": {"op": "os"}}],
)
def test_damaged_events_are_refused(damage):
    raw = json.loads(problem_to_json(ALL))
    raw["events"][0] |= damage
    with pytest.raises(ProblemError):
        problem_from_json(json.dumps(raw))


def test_flat_model():
    flat = flatten_model(ALL)
    m = ALL.p_values.size
    assert flat.p[:m].tobytes() == ALL.p_values.tobytes()
    assert flat.p[m:].tolist() == [1.5]  # the infusion that began at -1
    (du,) = evaluate_program(flat.program, 0.0, [1.0, 2.0], flat.p)
    assert du.tolist() == [2.0, -9.81 + 1.5]
    bounce, kick, doses, ends = flat.events
    assert bounce.u_index.tolist() == [1] and bounce.p_index.tolist() == [1] and bounce.direction == -1
    assert [float(x[0]) for x in evaluate_program(bounce.effect, 0.0, [0.0, -2.0], flat.p)] == [1.0, 0.45]
    assert kick.times.tolist() == [0.0, 0.5, 1.0, 1.5] and kick.is_before
    assert doses.times.tolist() == [0.0, 1.0] and ends.times.tolist() == [1.5]
    assert [event.owner for event in flat.events] == [0, 1, 2, None]
    u, rate = evaluate_program(doses.effect, 0.0, [1.0, 0.0], flat.p, doses.rows[1])
    assert u.tolist() == [1.0] and rate.tolist() == [4.0]


def test_rows_of_one_time_act_in_order():
    table = {"time": 0, "state": "h", "amount": [2.0, 3.0, 1.0], "method": ["add", "multiply", "add"]}
    (doses,) = flatten_model(make_ball(ps.Schedule(table))).events
    assert evaluate_program(doses.effect, 0.0, [5.0, 0.0], np.zeros(11), doses.rows[0])[0].tolist() == [22.0]
    table = {"time": 0, "state": "h", "amount": [2.0, 3.0, 1.0], "method": ["add", "replace", "add"]}
    (doses,) = flatten_model(make_ball(ps.Schedule(table))).events
    assert evaluate_program(doses.effect, 0.0, [5.0, 0.0], np.zeros(11), doses.rows[0])[0].tolist() == [4.0]


def test_times_that_differ_by_rounding_are_one():
    a, b = ps.Event(times=[0.1 + 0.2, 1.0 + 1e-15, 2.0 - 1e-16], name="one"), ps.Event(times=[0.3, -1e-16], name="two")
    flat = flatten_model(make_ball([a, b]), saveat=np.array([1.0]))
    assert [event.times.tolist() for event in flat.events] == [[0.3, 1.0], [0.0, 0.3]]


@pytest.mark.parametrize(
    ("start", "expected"), [(None, [1, 1.75, 2.5]), (0.5, [1.25, 2.0, 2.75]), (2.0, [2.0, 2.75]), (9.0, [])]
)
def test_every(start, expected):
    event = ps.Event(times=ps.every(0.75, start=start))
    assert flatten_model(make_ball(event, (1, 3))).events[0].times.tolist() == expected


def test_tables():
    frame = pd.DataFrame({"time": [0, 1], "state": ["h", "v"], "amount": [1, 2]})
    dataset = xr.Dataset({"state": ("time", ["h", "v"]), "amount": ("time", [1.0, 2.0])}, {"time": [0.0, 1.0]})
    columns = {"time": [0, 1], "state": ["h", "v"], "amount": [1.0, 2.0]}
    assert ps.Schedule(frame).amount.tolist() == [1.0, 2.0]
    assert len({make_ball(ps.Schedule(table)) for table in (frame, dataset, columns)}) == 1


def test_a_bare_state():
    event = ps.Event(lambda t, u, p: u[0] - 1, lambda t, u, p: 2 * u)
    problem = ps.ODEProblem(lambda t, u, p: -u, np.ones(3), (0, 1), events=[event])
    assert problem.events[0].changed == ("u",)
    assert flatten_model(problem).events[0].u_index.tolist() == [0, 1, 2]


same = lambda t, u, p: {"h": u.h}  # noqa: E731
EVENTS = {
    "neither": (lambda: ps.Event(), "a condition or times=, got neither"),
    "both": (lambda: ps.Event(same, times=[1]), "got both"),
    "no function": (lambda: ps.Event(1.0), "condition must be a function"),
    "direction": (lambda: ps.Event(same, direction=2), "direction must be"),
    "direction of times": (lambda: ps.Event(times=[1], direction=1), "belongs to a condition"),
    "sample": (lambda: ps.Event(times=[1], sample="befor"), "did you mean 'before'"),
    "name": (lambda: ps.Event(times=[1], name="a b"), "Python identifier"),
    "every": (lambda: ps.every(0), "positive number"),
    "every's start": (lambda: ps.every(1, start=np.nan), "finite number"),
    "column": (lambda: ps.Schedule({"time": 0, "state": "h", "amout": 1}), "did you mean 'amount'"),
    "batch": (lambda: ps.Schedule(DOSES | {"patient": 3}), "tells trajectories apart"),
    "missing column": (lambda: ps.Schedule({"time": 0, "state": "h"}), "'amount' is missing"),
    "lengths": (lambda: ps.Schedule({"time": [0, 1, 2], "state": ["h", "h"], "amount": 1}), "one length"),
    "method": (lambda: ps.Schedule({"time": 0, "state": "h", "amount": 1, "method": "ad"}), "did you mean 'add'"),
    "negative": (lambda: ps.Schedule({"time": 0, "state": "h", "amount": 1, "duration": -1}), "negative"),
    "infusion": (
        lambda: ps.Schedule({"time": 0, "state": "h", "amount": 1, "duration": 1, "method": "replace"}),
        "must be 'add'",
    ),
    "amount": (lambda: ps.Schedule({"time": 0, "state": "h", "amount": np.nan}), "finite numbers"),
    "empty": (lambda: ps.Schedule({"time": [], "state": [], "amount": []}), "empty"),
    "no table": (lambda: ps.Schedule([1, 2]), "DataFrame"),
    "no list": (lambda: make_ball("bounce"), "list of ps.Event"),
    "no event": (lambda: make_ball([1]), r"events\[0\] must be"),
    "same names": (lambda: make_ball([BOUNCE, BOUNCE]), "'bounce' is taken"),
    "a state's name": (lambda: make_ball([ps.Event(times=[1], name="v")]), "'v' is taken"),
    "no state": (lambda: make_ball([ps.Schedule({"time": 0, "state": "hh", "amount": 1})]), "did you mean 'h'"),
    "dates": (lambda: make_ball([ps.Event(times=["2020-01-01"])]), "t_span is in numbers"),
    "too many": (lambda: flatten_model(make_ball([ps.Event(times=ps.every(1e-9))])), "makes 2e"),
}


@pytest.mark.parametrize(("make", "message"), EVENTS.values(), ids=EVENTS)
def test_bad_input(make, message):
    with pytest.raises(ProblemError, match=message):
        make()


FUNCTIONS = {
    "comparison": (lambda t, u, p: u.h > 1, None, "comparison, and True has no sign"),
    "array": (lambda t, u, p: p.a, None, r"shape \(2,\)"),
    "names": (lambda t, u, p: {"h": u.h}, None, "returned names"),
    "nothing": (lambda t, u, p: None, None, "return` missing"),
    "unknown": (lambda t, u, p: u.h, lambda t, u, p: {"hh": 1}, "did you mean 'h'"),
    "network": (lambda t, u, p: u.h, lambda t, u, p: {"net": 1}, "changes the network"),
    "empty": (lambda t, u, p: u.h, lambda t, u, p: {}, "empty dict"),
    "bare": (lambda t, u, p: u.h, lambda t, u, p: u.h, "returned a TracedScalar"),
    "shape": (lambda t, u, p: u.h, lambda t, u, p: {"h": np.ones(3)}, "returned shape"),
    "order": (lambda u, p, t: u, None, "Julia's order"),
}


@pytest.mark.parametrize(("condition", "effect", "message"), FUNCTIONS.values(), ids=FUNCTIONS)
def test_bad_functions_name_the_event(condition, effect, message):
    with pytest.raises(TraceError, match=message) as caught:
        make_ball([ps.Event(condition, effect, name="touch")])
    assert f"{'effect' if effect else 'condition'} of event 'touch'" in str(caught.value)
