"""Many trajectories of one problem as rows of flat vectors: made a stretch at a time, without a problem for each."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from itertools import product

import numpy as np
import xarray as xr

from ..errors import ProblemError
from ..ir.evaluate import evaluate_program
from ..ir.expand import expand_networks
from ..ir.lanes import batch_program
from ..ir.program import Program
from .draws import check_count, draw_values, is_distribution
from .inputs import stop_times
from .ode import ODEProblem
from .over import Over, read_over, same_labels, show_coords
from .spelled import spell


class Batch:
    """The trajectories of a problem over batch dims, in C order of these."""

    def __init__(self, problem: ODEProblem, over: Over):
        self.problem, self.over = problem, over
        self.shape = tuple(over.sizes.values())
        self.size = int(np.prod(self.shape, dtype=np.int64))
        if not self._is_plain():
            next(over.members(problem))  # whatever can't be is refused as in a single problem
        self.p = {name: self._rows(name, value, "p") for name, value in over.p.items()}
        self.u0 = {name: self._rows(name, value, "u0") for name, value in over.u0.items()}

    def __getstate__(self):
        """Values are there as rows: what these were made of isn't sent with them."""
        return vars(self) | {"over": replace(self.over, p={}, u0={})}

    def _is_plain(self):
        """Whether all that differs is bare finite numbers of a problem in which nothing follows from them."""
        problem = self.problem
        if problem.initial is not None or problem.events:
            return False
        pairs = [(problem.p_layout[name], value) for name, value in self.over.p.items()]
        pairs += [(problem.u_layout[name], value) for name, value in self.over.u0.items()]
        return all(
            not entry.shape
            and entry.table is entry.network is None
            and isinstance(value, xr.DataArray)
            and value.dtype.kind in "iuf"
            and not value.coords
            and not value.attrs
            and bool(np.isfinite(value.values).all())
            for entry, value in pairs
        )

    def _rows(self, name, value, kind) -> tuple[tuple[str, ...], np.ndarray]:
        """The batch dims of a value, and its flat elements ``(*sizes, size)`` along these."""
        problem, layout = self.problem, getattr(self.problem, f"{'p' if kind == 'p' else 'u'}_layout")
        dims = tuple(dim for dim in self.over.dims if dim in value.dims)
        sizes = tuple(self.over.sizes[dim] for dim in dims)
        entry = layout[name]
        if isinstance(value, xr.DataArray) and entry.table is None and value.dtype != object:
            own = [dim for dim in problem.dims[name] if dim in value.dims]
            rows = value.variable.transpose(*dims, *own).values.astype(np.float64).reshape(*sizes, entry.size)
            self._check_finite(name, kind, dims, rows)
            return dims, rows
        rows = np.empty((*sizes, entry.size))
        part = Over({d: self.over.sizes[d] for d in dims}, {d: self.over.labels[d] for d in dims}, {name: value})
        for place, (_, member) in zip(product(*map(range, sizes)), part.members(problem), strict=True):
            rows[place] = member.p_values[entry.slice]
        return dims, rows

    def _check_finite(self, name, kind, dims, rows):
        bad = np.argwhere(~np.isfinite(rows).all(axis=-1))
        if len(bad):
            where = show_coords({dim: self.over.label(dim, int(k)) for dim, k in zip(dims, bad[0], strict=True)})
            word = f"over[{name if kind == 'p' else 'u0_' + name!r}]"
            raise ProblemError(f"{word} is NaN or infinite at {where} ({len(bad)} of {self.size}); give finite numbers")

    @property
    def stop_times(self) -> np.ndarray:
        """Times inside the span at which an external input of some trajectory steps to another value."""
        problem = self.problem
        if all(entry.table is None for entry in problem.p_layout.entries):
            return np.zeros(0)
        found = [problem.stop_times]
        for name, (_, rows) in self.p.items():
            entry = problem.p_layout[name]
            if entry.table is not None:
                for row in rows.reshape(-1, entry.size):
                    p = problem.p_values.copy()
                    p[entry.slice] = row
                    found.append(stop_times(problem.p_layout, p, problem.span))
        return np.unique(np.concatenate(found))

    def values(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Initial states ``(k, state)`` and parameters ``(k, parameter)`` of the trajectories from start to stop.

        Where all are the same, they are one row that is broadcast.
        """
        problem = self.problem
        p = self._fill(problem.p_layout, problem.p_values, self.p, start, stop)
        if problem.initial is None or self.u0:
            return self._fill(problem.u_layout, problem.u0_values, self.u0, start, stop), p
        with np.errstate(all="ignore"):
            return np.array(evaluate_program(_many(problem.initial, stop - start), p)[0]), p

    def _fill(self, layout, flat, varied, start, stop):
        """Copies of a flat vector with the varied values in their places."""
        rows = np.broadcast_to(flat, (stop - start, flat.size))
        if not varied:
            return rows
        rows = rows.copy()
        for name, (dims, values) in varied.items():
            rows[:, layout[name].slice] = self._take(dims, values, start, stop)
        return rows

    def _take(self, dims, values, start, stop):
        """Rows of what lies along some of the dims."""
        if dims == self.over.dims:
            return values.reshape(self.size, -1)[start:stop]
        places = dict(zip(self.over.dims, np.unravel_index(np.arange(start, stop), self.shape), strict=True))
        return values[tuple(places[dim] for dim in dims)]


@lru_cache(maxsize=4)
def _many(initial: Program, count: int) -> Program:
    """Initial states of so many parameters."""
    return batch_program(expand_networks(initial), ["p"], count)


def read_batch(problem: ODEProblem, over, trajectories=None, seed: int = 0) -> Batch:
    """The trajectories of ``over``, in which distributions are drawn; ProblemError if there are none."""
    spelled = spell((*over, *over.values())) if type(over) is dict and trajectories is None else None
    last, found = problem.memory.get("over", (None, None))
    if spelled is not None and spelled == last:
        return Batch(problem, found)
    if spelled is not None:  # what is kept isn't what the caller may write to
        over = {name: value.copy() if isinstance(value, np.ndarray) else value for name, value in over.items()}
    found = _read(problem, over, trajectories, seed)
    batch = Batch(problem, found)
    _check_dims(found, problem)
    if spelled is not None:
        problem.memory["over"] = spelled, found
    return batch


def _read(problem, over, trajectories, seed) -> Over:
    """What differs between trajectories."""
    given = dict(over) if isinstance(over, Mapping) and not isinstance(over, xr.Dataset) else over
    drawn = [name for name, value in given.items() if is_distribution(value)] if isinstance(given, dict) else []
    if drawn and trajectories is None:
        raise ProblemError(f"over[{drawn[0]!r}] is a distribution; say how often to draw: trajectories=1000")
    if trajectories is not None and not drawn:
        raise ProblemError(
            "trajectories= says how often distributions in over are drawn, and there is none: all would be the same; "
            "write over={'k': scipy.stats.norm(1.0, 0.1)}, or ps.sample(...) without trajectories="
        )
    if isinstance(given, dict):
        given = {_full_name(name, value, problem): value for name, value in given.items()}
        for name, value in given.items():
            if is_distribution(value):
                count, shape = check_count("trajectories", trajectories), _shape_of(name, problem)
                given[name] = draw_values(f"over[{name!r}]", name, value, count, shape, seed)
                given[name] = _rename_own(given[name], name, problem)
    found = read_over(given, problem)
    if not found.sizes:
        raise ProblemError(
            "over has no values of several trajectories: give a list a name, such as over={'k': [0.1, 0.2]}; "
            "a single one is ps.solve's"
        )
    return found


def _full_name(name, value, problem):
    """``u0_x`` for a state x whose values come without dims: the new dim can't be called as the state is."""
    is_bare = name in problem.u_layout.names and not isinstance(value, xr.DataArray | xr.Variable)
    return f"u0_{name}" if is_bare else name


def _shape_of(name, problem):
    """The shape of a parameter or an initial value; () of what is neither, which is refused elsewhere."""
    if name in problem.p_layout.names:
        return problem.p_layout[name].shape
    owner = str(name).removeprefix("u0_")
    return problem.u_layout[owner].shape if owner in problem.u_layout.names else ()


def _rename_own(value, name, problem):
    """Draws whose own dims are called as the problem calls them."""
    own = problem.dims.get(str(name).removeprefix("u0_") if name not in problem.p_layout.names else name, ())
    return value.rename(dict(zip(value.dims[1:], own, strict=True)))


def _check_dims(over: Over, problem: ODEProblem):
    """ProblemError for a batch dim whose coordinate would take the name of something else in a result."""
    states = {*problem.u_layout.names, *problem.y_layout.names, "status", "statistics", "statistic"}
    for dim in over.dims:
        if dim in states:
            raise ProblemError(f"over has a dimension {dim!r}, which results need as a name; call it {dim + '_run'!r}")
        if dim in problem.p_layout.names:
            value, labels = over.p.get(dim), over.labels[dim]
            is_own = value is not None and dim in value.dims
            if not is_own or (labels is not None and not same_labels(labels, value.values)):
                raise ProblemError(f"over has a dimension {dim!r}, which is the name of a parameter; call it otherwise")
