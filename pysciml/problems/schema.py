"""Problems as JSON text and back, exact to the last bit. Loading runs nothing: a Program is data."""

import json
import math
from dataclasses import asdict

import numpy as np
import xarray as xr

from ..errors import ProblemError, PySciMLError
from ..ir.program import Program
from ..ir.schema import program_from_json, program_to_json
from ..networks import MLP
from ..tracing.layout import Layout, make_layout
from ..tracing.table import Table
from .functions import NO_OBSERVABLES
from .inputs import EXTRAPOLATIONS, METHODS
from .mass import read_mass_matrix
from .names import check_dims, check_disjoint, check_name
from .ode import ODEProblem
from .schema_events import event_from_plain, event_to_plain, time_from_plain, time_to_plain
from .times import read_span

PROBLEM_VERSION = 2
_SINCE_VERSION_2 = {"events": []}
_SPELLED = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
_KEYS = {
    "kind",
    "version",
    "program",
    "states",
    "parameters",
    "t_span",
    "dims",
    "coords",
    "units",
    "long_names",
    "name",
    "events",
}

_OPTIONAL = {"initial", "observe", "observables", "mass_matrix"}


def problem_to_json(problem: ODEProblem) -> str:
    """A problem as JSON: its Programs, its values by name, and its labels."""
    more = {}
    if problem.initial is not None:
        more["initial"] = _from_program(problem.initial)
    if problem.observe is not None:
        more |= {"observe": _from_program(problem.observe), "observables": _from_layout(problem.y_layout, None)}
    if problem.mass_matrix is not None:
        more["mass_matrix"] = problem.mass_matrix.tolist()
    return json.dumps(
        more
        | {
            "kind": "ODEProblem",
            "version": PROBLEM_VERSION,
            "program": _from_program(problem.program),
            "states": _from_layout(problem.u_layout, problem.u0_values),
            "parameters": _from_layout(problem.p_layout, problem.p_values),
            "t_span": [time_to_plain(end) for end in problem.t_span],
            "dims": {name: list(dims) for name, dims in problem.dims.items()},
            "coords": {name: _from_coord(variable) for name, variable in problem.coords.items()},
            "units": dict(problem.units),
            "long_names": dict(problem.long_names),
            "name": problem.name,
            "events": [event_to_plain(event) for event in problem.events],
        },
        allow_nan=False,
        ensure_ascii=False,
    )


def problem_from_json(text: str) -> ODEProblem:
    """The problem that ``problem_to_json`` wrote; ProblemError for anything else."""
    try:
        raw = json.loads(text)
    except ValueError as error:
        raise ProblemError(f"this is not a saved problem: {error}") from None
    if not isinstance(raw, dict) or raw.get("kind") != "ODEProblem":
        raise ProblemError("this is not a saved ODEProblem")
    if not isinstance(raw.get("version"), int) or raw["version"] > PROBLEM_VERSION:
        raise ProblemError(
            f"the problem was saved by a newer pysciml (version {raw.get('version')}); update yours to read it"
        )
    if raw["version"] == 1:
        raw = _SINCE_VERSION_2 | raw
    if wrong := (set(raw) - _OPTIONAL) ^ _KEYS:
        raise ProblemError(f"the saved problem is damaged: unknown or missing {', '.join(sorted(wrong))}")
    try:
        return _to_problem(raw)
    except PySciMLError:
        raise
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ProblemError(f"the saved problem is damaged: {type(error).__name__}: {error}") from error


def _to_problem(raw):
    u_layout, u0_values = _to_layout(raw["states"])
    p_layout, p_values = _to_layout(raw["parameters"])
    arguments = {"t": (), "u": (u_layout.size,), "p": (p_layout.size,)}
    y_layout = _to_layout(raw["observables"])[0] if "observables" in raw else NO_OBSERVABLES
    t_span, span, calendar = read_span([time_from_plain(end) for end in raw["t_span"]], raw["units"].get("time"))
    problem = ODEProblem.from_fields(
        program=_to_program(raw["program"], arguments, {"du": u_layout.size}),
        initial=_to_program(raw.get("initial"), {"p": (p_layout.size,)}, {"u0": u_layout.size}),
        observe=_to_program(raw.get("observe"), arguments, {"y": y_layout.size}),
        u_layout=u_layout,
        p_layout=p_layout,
        y_layout=y_layout,
        u0_values=u0_values,
        p_values=p_values,
        t_span=t_span,
        span=span,
        calendar=calendar,
        dims={name: tuple(dims) for name, dims in raw["dims"].items()},
        coords={name: _to_coord(coord) for name, coord in raw["coords"].items()},
        units=raw["units"],
        long_names=raw["long_names"],
        name=raw["name"],
        mass_matrix=read_mass_matrix(raw.get("mass_matrix"), u_layout),
        events=tuple(event_from_plain(event, u_layout, p_layout) for event in raw["events"]),
    )
    _check_labels(raw, u_layout, p_layout, y_layout)
    return problem


def _check_labels(raw, u_layout, p_layout, y_layout):
    """The rules of names and labels that a problem made by a program has passed at the door."""
    for kind, layout in (("state", u_layout), ("parameter", p_layout), ("observable", y_layout)):
        for entry in layout.entries:
            check_name(kind, entry.name)
            if len(raw["dims"][entry.name]) != len(entry.shape):
                raise ProblemError(f"the saved problem is damaged: dims of {entry.name!r} for the shape {entry.shape}")
    names = [*u_layout.names, *p_layout.names, *y_layout.names]
    check_disjoint(u_layout.names, p_layout.names, y_layout.names)
    for name, dims in raw["dims"].items():
        check_dims(name, tuple(dims), names)
    texts = [*raw["units"].values(), *raw["long_names"].values(), raw["name"] or ""]
    if set(raw["dims"]) != set(names) or not all(isinstance(text, str) for text in texts):
        raise ProblemError("the saved problem is damaged: its names, units and labels don't fit together")


def _from_program(program: Program) -> dict:
    return json.loads(program_to_json(program, origins=False))  # files go to other people


def _to_program(raw, inputs: dict[str, tuple], outputs: dict[str, int]) -> Program | None:
    """A Program of these inputs and flat outputs; ProblemError if it is another."""
    if raw is None:
        return None
    program = program_from_json(json.dumps(raw))
    shapes = {item.name: item.shape for item in program.inputs}
    sizes = {item.name: program.nodes[item.node].size for item in program.outputs}
    if shapes != inputs or sizes != outputs:
        raise ProblemError(f"the saved problem is damaged: its Program takes {shapes} and gives {sizes}")
    return program


def _from_layout(layout: Layout, flat: np.ndarray | None) -> dict:
    """Form, entries and values; floats as the shortest text that reads back to the same bits. None: no values."""
    return {
        "form": layout.form,
        "entries": [
            {
                "name": entry.name,
                "shape": list(entry.shape),
                "is_float": entry.is_float,
                "network": None if entry.network is None else _from_network(entry.network),
                "values": [0.0] * entry.size if flat is None else flat[entry.slice].tolist(),
                **({} if entry.table is None else {"table": asdict(entry.table)}),
            }
            for entry in layout.entries
        ],
    }


def _to_layout(raw) -> tuple[Layout, np.ndarray]:
    items = {}
    for entry in raw["entries"]:
        network = None if entry["network"] is None else MLP(**entry["network"])
        table = _to_table(entry["table"]) if "table" in entry else None
        shape = tuple(int(n) for n in entry["shape"])
        if (
            len(entry["values"]) != math.prod(shape)
            or (network and shape != (network.n_weights,))
            or (table and shape != (table.size,))
        ):
            raise ProblemError(f"the saved problem is damaged: {entry['name']!r} has {len(entry['values'])} values")
        items[entry["name"]] = (shape, network or table, bool(entry["is_float"]))
    layout = make_layout(raw["form"], items)
    return layout, np.array([value for entry in raw["entries"] for value in entry["values"]], dtype=np.float64)


def _to_table(raw: dict) -> Table:
    table = Table(raw["method"], int(raw["n_times"]), tuple(int(n) for n in raw["shape"]), raw["extrapolate"])
    if table.method not in METHODS or table.extrapolate not in EXTRAPOLATIONS or table.n_times < 2:
        raise ProblemError(f"the saved problem is damaged: {raw} is no external input")
    return table


def _from_network(spec: MLP) -> dict:
    return {name: getattr(spec, name) for name in MLP.__dataclass_fields__}


def _from_coord(variable: xr.Variable) -> dict:
    """A coordinate: dates and durations as their integers, NaN and infinity spelled."""
    values = variable.values
    kind = values.dtype.kind
    if kind == "f":
        data = [value if math.isfinite(value) else _SPELLED[str(value)] for value in values.ravel().tolist()]
    else:
        data = (values.view(np.int64) if kind in "mM" else values).ravel().tolist()
    dtype = "U" if kind == "U" else values.dtype.str
    return {
        "dims": list(variable.dims),
        "shape": list(values.shape),
        "dtype": dtype,
        "data": data,
        "attrs": variable.attrs,
    }


def _to_coord(raw) -> xr.Variable:
    dtype = np.dtype(raw["dtype"])
    if dtype.kind == "f":
        values = np.array([float(value) for value in raw["data"]], dtype=dtype)
    else:
        values = (
            np.array(raw["data"], dtype=np.int64).view(dtype) if dtype.kind in "mM" else np.array(raw["data"], dtype)
        )
    return xr.Variable(tuple(raw["dims"]), values.reshape(raw["shape"]), raw["attrs"])
