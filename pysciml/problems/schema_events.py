"""Events and times as what JSON holds, and back."""

import json

import numpy as np
import xarray as xr

from ..errors import ProblemError
from ..ir.program import Program
from ..ir.schema import program_from_json, program_to_json
from ..tracing.layout import Layout
from .events import SAMPLES, Every, ProblemEvent, TracedEvent
from .schedule import Schedule
from .times import is_cftime


def time_to_plain(end):
    """A number or a date as text; a cftime date as its parts."""
    if isinstance(end, int | float):
        return end
    if is_cftime(end):
        parts = ("year", "month", "day", "hour", "minute", "second", "microsecond")
        return {"calendar": end.calendar, "parts": [getattr(end, part) for part in parts]}
    return {"date": end if isinstance(end, str) else str(np.datetime64(end))}


def time_from_plain(raw):
    """The time that ``time_to_plain`` wrote."""
    if not isinstance(raw, dict):
        return raw
    if "date" in raw:
        return raw["date"]
    kind = type(xr.date_range("2000-01-01", periods=1, calendar=raw["calendar"], use_cftime=True).values[0])
    return kind(*raw["parts"])


def event_to_plain(event: ProblemEvent) -> dict:
    """An event of a problem as dicts, lists, numbers and strings."""
    if isinstance(event, Schedule):
        columns = {"state": list(event.state), "amount": event.amount.tolist(), "method": list(event.method)}
        columns |= {"time": _from_times(event.time), "duration": event.duration.tolist()}
        return {"kind": "Schedule", "name": event.name, **columns}
    times = event.times
    if isinstance(times, Every):
        times = {"dt": times.dt, "start": times.start}
    return {
        "kind": "Event",
        "name": event.name,
        "condition": _from_program(event.condition),
        "effect": _from_program(event.effect),
        "changed": list(event.changed),
        "times": _from_times(times) if isinstance(times, np.ndarray) else times,
        "terminal": event.terminal,
        "direction": event.direction,
        "sample": event.sample,
    }


def event_from_plain(raw: dict, u_layout: Layout, p_layout: Layout) -> ProblemEvent:
    """The event that ``event_to_plain`` wrote; an error for anything that doesn't fit the problem."""
    if raw["kind"] == "Schedule":
        table = {key: raw[key] for key in ("state", "amount", "method", "duration")}
        schedule = Schedule({"time": _to_times(raw["time"]), **table}, name=raw["name"])
        if not set(schedule.state) <= set(u_layout.names):
            raise ProblemError(f"the saved problem is damaged: {raw['name']!r} changes {', '.join(schedule.state)}")
        return schedule
    times = raw["times"]
    event = TracedEvent(
        name=str(raw["name"]),
        condition=_to_program(raw["condition"], u_layout, p_layout),
        effect=_to_program(raw["effect"], u_layout, p_layout),
        changed=tuple(map(str, raw["changed"])),
        times=Every(**times) if isinstance(times, dict) else None if times is None else _to_times(times),
        terminal=bool(raw["terminal"]),
        direction=int(raw["direction"]),
        sample=raw["sample"],
    )
    _check_event(event, u_layout, p_layout)
    return event


def _check_event(event: TracedEvent, u_layout, p_layout):
    """ProblemError unless the Programs' outputs are what the event says that it changes."""
    sizes = {"u": u_layout, "p": p_layout}
    expected = {
        key: sum(entry.size for entry in layout.entries if entry.name in event.changed) for key, layout in sizes.items()
    }
    effect, condition = event.effect, event.condition
    outputs = {} if effect is None else {output.name: effect.nodes[output.node].shape for output in effect.outputs}
    is_whole = outputs == {key: (size,) for key, size in expected.items() if size}
    if condition is not None:
        is_whole &= [condition.nodes[output.node].shape for output in condition.outputs] == [()]
    known = set(event.changed) <= {*u_layout.names, *p_layout.names}
    if not is_whole or not known or event.sample not in SAMPLES or (condition is None) == (event.times is None):
        raise ProblemError(f"the saved problem is damaged: event {event.name!r}")


def _from_program(program: Program | None):
    return None if program is None else json.loads(program_to_json(program, origins=False))


def _to_program(raw, u_layout, p_layout):
    if raw is None:
        return None
    program = program_from_json(json.dumps(raw))
    if {item.name: item.shape for item in program.inputs} != {"t": (), "u": (u_layout.size,), "p": (p_layout.size,)}:
        raise ProblemError("the saved problem is damaged: an event's Program takes other values than the model")
    return program


def _from_times(times: np.ndarray) -> list:
    return [time_to_plain(time) for time in (times.tolist() if times.dtype.kind == "f" else times)]


def _to_times(raw: list) -> np.ndarray:
    times = [time_from_plain(time) for time in raw]
    if times and isinstance(times[0], str):
        return np.array(times, dtype="datetime64[ns]" if all("1678" < time < "2262" for time in times) else "M8[us]")
    return np.array(times, dtype=np.float64 if not times or not is_cftime(times[0]) else object)
