"""Schedule: doses and other changes of states as a table."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from ..errors import ProblemError
from ..tracing.layout import Layout
from ..words import nearest
from .names import check_known, check_name
from .times import Calendar, read_shown_times

METHODS = ("add", "replace", "multiply")
COLUMNS = ("time", "state", "amount", "method", "duration")


@dataclass(frozen=True, eq=False, init=False)
class Schedule:
    """Doses as a table: when, to which state, how much, how, and for how long.

    Parameters
    ----------
    table : pandas.DataFrame, Dataset or dict
        One row a dose, with the columns ``time`` (numbers or dates), ``state`` (names), ``amount`` (in the state's
        unit; a factor for ``"multiply"``), and where needed ``method`` (``"add"``, the default, ``"replace"`` or
        ``"multiply"``) and ``duration`` (in the unit of time, default 0). A dict may hold one value for all rows.
    name : str, default "dose"
        The times of the doses come back as ``<name>_time``, on a dimension ``<name>``.

    Raises
    ------
    ProblemError
        For unknown or missing columns, and values that can't be.

    Notes
    -----
    A dose of duration 0 changes its state at once, as an event at that time does: those in ``[start, end)`` of the span
    count, the start included; rows of one time act in the order of the table. A dose of ``duration > 0`` is an
    infusion: ``amount / duration`` is added to the state's rate of change from ``time`` to ``time + duration``; the
    part of it that lies in the span counts, also where it began before. A row of a result at a dose's time holds the
    state after it. An array state takes the amount in each of its elements.

    Examples
    --------
    >>> import pysciml as ps
    >>> doses = ps.Schedule({"time": [0.0, 1.0], "state": "x", "amount": 10.0})
    >>> problem = ps.ODEProblem(lambda t, u, p: {"x": -u.x}, {"x": 0.0}, (0, 2), events=[doses])
    >>> ps.solve(problem, saveat=[0.0, 1.0], engine="diffrax").x.values.round(3)
    array([10.   , 13.679])
    """

    time: np.ndarray
    state: tuple[str, ...]
    amount: np.ndarray
    method: tuple[str, ...]
    duration: np.ndarray
    name: str

    def __init__(self, table, *, name: str = "dose"):
        check_name("event", name)
        columns = _read_columns(table)
        n = max(len(column) for column in columns.values())
        columns = {key: np.broadcast_to(column, (n,)) for key, column in columns.items()}
        self._set(
            time=np.array(columns["time"]),
            state=tuple(map(str, columns["state"])),
            amount=_read_numbers("amount", columns["amount"]),
            method=tuple(map(str, columns.get("method", np.full(n, "add")))),
            duration=_read_numbers("duration", columns.get("duration", np.zeros(n))),
            name=name,
        )
        _check_rows(self)

    def _set(self, **values):
        for key, value in values.items():
            object.__setattr__(self, key, value)

    @classmethod
    def from_fields(cls, **values) -> "Schedule":
        """A schedule of its fields as they are, unchecked."""
        schedule = object.__new__(cls)
        schedule._set(**values)
        return schedule

    def on_problem(self, u_layout: Layout, calendar: Calendar | None) -> "Schedule":
        """The schedule with its times as the problem shows them; ProblemError where it doesn't fit the problem."""
        check_known(f"Schedule {self.name!r}: state", self.state, u_layout.names)
        time = read_shown_times(f"time of Schedule {self.name!r}", self.time, calendar)[1]
        return Schedule.from_fields(**{**vars(self), "time": time})

    def _key(self):
        arrays = (self.time, self.amount, self.duration)
        return (self.name, self.state, self.method, *(tuple(array.tolist()) for array in arrays))

    def __eq__(self, other):
        return self._key() == other._key() if isinstance(other, Schedule) else NotImplemented

    def __hash__(self):
        return hash(self._key())


def _read_columns(table) -> dict[str, np.ndarray]:
    """The columns by name, one-dimensional; ProblemError for others."""
    if isinstance(table, xr.Dataset):
        names = [*map(str, table.data_vars), *(key for key in map(str, table.coords) if key in COLUMNS)]
    elif isinstance(table, Mapping):
        names = list(table)
    elif hasattr(table, "columns"):
        names = list(table.columns)
    else:
        raise ProblemError(f"Schedule: give a DataFrame, a Dataset or a dict of columns, got {type(table).__name__}")
    for name in names:
        if name not in COLUMNS:
            raise ProblemError(
                f"Schedule: unknown column {name!r}; the columns are {', '.join(COLUMNS)}{nearest(name, COLUMNS)} "
                "(a column that tells trajectories apart isn't taken yet: select the rows of one)"
            )
    missing = [name for name in COLUMNS[:3] if name not in names]
    if missing:
        raise ProblemError(f"Schedule: the column {missing[0]!r} is missing; time, state and amount are needed")
    columns = {name: np.atleast_1d(np.asarray(table[name])) for name in names}
    lengths = {name: len(column) for name, column in columns.items() if column.shape != (1,)}
    if any(column.ndim != 1 for column in columns.values()) or len(set(lengths.values())) > 1:
        shapes = ", ".join(f"{name} {column.shape}" for name, column in columns.items())
        raise ProblemError(f"Schedule: columns of one length are needed, got {shapes}")
    if 0 in lengths.values():
        raise ProblemError("Schedule: the table is empty; leave the schedule out")
    return columns


def _read_numbers(name, column) -> np.ndarray:
    if column.dtype.kind not in "iuf" or not np.isfinite(column).all():
        raise ProblemError(f"Schedule: {name} must hold finite numbers, got {column.tolist()!r:.80}")
    return column.astype(np.float64)


def _check_rows(schedule: Schedule) -> None:
    for k, method in enumerate(schedule.method):
        if method not in METHODS:
            words = ", ".join(METHODS)
            raise ProblemError(f"Schedule: method {method!r} in row {k}; one of {words}{nearest(method, METHODS)}")
        if schedule.duration[k] < 0:
            raise ProblemError(f"Schedule: duration {schedule.duration[k]:g} in row {k} is negative")
        if schedule.duration[k] > 0 and method != "add":
            raise ProblemError(f"Schedule: row {k} has a duration, so its method must be 'add', got {method!r}")
