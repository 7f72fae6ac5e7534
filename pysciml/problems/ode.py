"""ODEProblem: an initial-value problem as a frozen value."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from types import MappingProxyType

import numpy as np
import xarray as xr

from ..errors import ProblemError, TraceError
from ..ir.program import Program
from ..ir.simplify import simplify_program
from ..tracing.layout import Layout, make_layout
from ..tracing.record import make_record
from ..tracing.trace import trace_model
from ..words import check_keywords
from .describe import describe_problem
from .events import Event, ProblemEvent, read_events
from .functions import check_replaces_all, initial_values, is_function, observables_of, read_initial, read_observe
from .inputs import check_coverage, flatten_series, move_epoch, stop_times, table_of
from .labels import Labels, make_labels
from .mass import read_mass_matrix
from .names import ONE_TRAJECTORY, check_disjoint
from .remake import merge_values, replace_labels
from .schedule import Schedule
from .times import Calendar, read_span, read_times
from .values import Values, read_parameters, read_states


@dataclass(frozen=True, init=False, eq=False, repr=False)
class ODEProblem:
    """An ordinary differential equation with its initial state, span and parameters: what is to be solved.

    The model is called once, here, on stand-in values, and recorded; it is not kept.

    Parameters
    ----------
    f : callable
        ``f(t, u, p) -> du/dt``. It returns what ``u0`` is: a dict for a dict, an array for an array, a scalar for a
        scalar. ``u.hare`` and ``u["hare"]`` are the states inside, ``p`` likewise.
    u0 : dict, Dataset, DataArray, array_like, float or callable
        State at the start of ``t_span``. A DataArray gives dims, coordinates, name and unit to its state. A function
        ``u0(p)`` is recorded like the model: the state then follows from ``p``, in ``remake`` and in fits too.
    t_span : (start, end)
        Two numbers; or two dates (``datetime``, ``np.datetime64``, str or cftime), when ``t`` is the time since the
        first of them in ``units["time"]``.
    p : dict, array_like, float, MLP or None, default None
        Parameters. Values are numbers, arrays, DataArrays, networks or external inputs (``ps.interpolate``); an integer
        is a setting that a fit leaves alone.
    dims : tuple or dict of tuples, optional
        Names of the dimensions of array states and parameters: a tuple for one array, else a dict.
    coords : dict, optional
        Coordinates of these dimensions.
    units : dict, optional
        Labels by name of state, parameter, coordinate, or ``"time"``. They are compared, never converted.
    events : sequence of Event and Schedule, default ()
        What happens at certain moments; several at one moment fire in this order.
    observe : callable, optional
        ``observe(t, u, p) -> {name: value}``: observables, which results hold beside the states and data may measure.
    mass_matrix : dict or array_like, optional
        M of M du/dt = f: the diagonal by state (``{"z": 0}``, others 1) or as ``(n,)``, or all of it ``(n, n)``, over
        the flat state. A row of zeros is an algebraic equation 0 = f; its state starts where that holds, near ``u0``.
    name : str, optional
        Title of the problem, kept in results.

    Attributes
    ----------
    program : pysciml.ir.program.Program
        The recorded model.
    initial, observe : pysciml.ir.program.Program or None
        The recorded functions ``p -> u0`` and ``t, u, p -> y``.
    u_layout, p_layout, y_layout : pysciml.tracing.layout.Layout
        Where each name lies in the flat vectors of states, parameters and observables.
    u0_values, p_values : numpy.ndarray
        Initial state ``(n,)`` and parameters ``(m,)``, flat and read-only.
    t_span, span : tuple
        The span as given, and as the two floats that engines get.
    calendar : pysciml.problems.times.Calendar or None
        How dates become floats; None where ``t_span`` is in numbers.
    dims, coords, units, long_names : mapping
        Labels by name.
    events : tuple
        The events as recorded.

    Raises
    ------
    ProblemError
        For values, names, spans and labels that can't be; the message names the thing, the value and the remedy.
    TraceError
        If ``f`` does what can't be recorded, or returns something that does not match ``u0``.

    Notes
    -----
    M du/dt = f(t, u, p) with u(start) = u0; M is the identity unless ``mass_matrix`` is given.

    Examples
    --------
    >>> import pysciml as ps
    >>> problem = ps.ODEProblem(lambda t, u, p: {"x": -p.rate * u.x}, {"x": 1.0}, (0, 5), {"rate": 0.5})
    >>> float(problem.p.rate)
    0.5
    >>> problem.remake(p={"rate": 2.0}).p_values
    array([2.])
    """

    program: Program
    initial: Program | None
    observe: Program | None
    u_layout: Layout
    p_layout: Layout
    y_layout: Layout
    u0_values: np.ndarray
    p_values: np.ndarray
    t_span: tuple
    span: tuple[float, float]
    calendar: Calendar | None
    dims: Mapping[str, tuple[str, ...]]
    coords: Mapping[str, xr.Variable]
    units: Mapping[str, str]
    long_names: Mapping[str, str]
    name: str | None
    events: tuple[ProblemEvent, ...]
    mass_matrix: np.ndarray | None = None

    def __init__(
        self,
        f: Callable,
        u0,
        t_span,
        p=None,
        *,
        dims=None,
        coords=None,
        units: Mapping[str, str] | None = None,
        observe=None,
        events: "Event | Schedule | Sequence[Event | Schedule]" = (),
        mass_matrix=None,
        name: str | None = None,
        **unknown,
    ):
        check_keywords("ODEProblem", unknown, ODEProblem.__init__.__kwdefaults__ or ())
        if not callable(f):
            raise ProblemError(f"f must be a function f(t, u, p), got {f!r} ({type(f).__name__})")
        parameters = read_parameters(p)
        p_layout = _make_layout(parameters, are_states=False)
        initial, states = read_initial(u0, p_layout) if is_function(u0) else (None, read_states(u0))
        check_disjoint(states.items, parameters.items)
        u_layout = _make_layout(states, are_states=True)
        observe, y_layout = read_observe(observe, u_layout, p_layout)
        check_disjoint(states.items, parameters.items, y_layout.names)
        labels = make_labels(states, parameters, dims, coords, units, observables_of(y_layout))
        t_span, span, calendar = read_span(t_span, labels.units.get("time"))
        p_values = _flatten(p_layout, parameters, calendar, labels.units.get("time"))
        check_coverage(p_layout, p_values, t_span, span, calendar)
        self._set(
            program=_trace(f, u_layout, p_layout, labels),
            initial=initial,
            observe=observe,
            u_layout=u_layout,
            p_layout=p_layout,
            y_layout=y_layout,
            u0_values=_flatten(u_layout, states) if initial is None else initial_values(initial, u_layout, p_values),
            p_values=p_values,
            t_span=t_span,
            span=span,
            calendar=calendar,
            name=_check_title(name),
            mass_matrix=read_mass_matrix(mass_matrix, u_layout),
            events=read_events(events, u_layout, p_layout, labels.names, calendar),
            **vars(labels),
        )

    def _set(self, **values):
        """Fill the fields; arrays and mappings read-only."""
        for key, value in values.items():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
            elif isinstance(value, dict):
                value = MappingProxyType(value)
            object.__setattr__(self, key, value)

    @classmethod
    def from_fields(cls, **values) -> "ODEProblem":
        """A problem of its fields as they are, unchecked: for ``remake`` and files."""
        problem = object.__new__(cls)
        problem._set(**values)
        return problem

    def fields(self) -> dict:
        """The fields by name, mappings as plain dicts."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {key: dict(v) if isinstance(v, MappingProxyType) else v for key, v in values.items()}

    def _with(self, changes):
        """The problem with other fields; the rest is shared."""
        problem = object.__new__(type(self))
        own = vars(self)
        vars(problem).update({name: own[name] for name in _FIELDS})
        problem._set(**changes)
        if (
            changes.keys() <= _VALUES
            and not self.events
            and all(entry.table is None for entry in self.p_layout.entries)
        ):
            vars(problem)["memory"] = self.memory
        return problem

    @property
    def _labels(self):
        return Labels(self.dims, self.coords, self.units, self.long_names)

    @cached_property
    def u0(self):
        """Initial state as a read-only record of the kind that the model sees."""
        return make_record(self.u_layout, self.u0_values)

    @cached_property
    def p(self):
        """Parameters as a read-only record of the kind that the model sees; networks can be called on arrays."""
        return make_record(self.p_layout, self.p_values)

    @cached_property
    def memory(self) -> dict:
        """What other rooms keep from one call to the next; not for equals, and not in files.

        Remakes that differ in numbers of ``u0`` and ``p`` share it, where these hold no times of events or inputs.
        """
        return {}

    def remake(
        self, *, u0=None, p=None, t_span=None, dims=None, coords=None, units=None, name=None, events=None
    ) -> "ODEProblem":
        """Return the same model with other values; nothing is traced again but new events.

        Parameters
        ----------
        u0, p : optional
            Values by name, merged into the problem's (or the whole array of a bare one). Shapes stay. A network takes
            its flat weights ``(n_weights,)``, or a spec that differs in its seed only; an external input another
            ``ps.interpolate(...)`` of its method and number of times, or values at its times. An initial state that
            follows from ``p`` follows the new one, unless ``u0`` replaces all of it.
        t_span, dims, coords, units, name, events : optional
            As in :class:`ODEProblem`, instead of the problem's.

        Returns
        -------
        ODEProblem
            It shares the Program with this one.

        Raises
        ------
        ProblemError
            For unknown names, other shapes, and whatever :class:`ODEProblem` refuses.

        Examples
        --------
        >>> import pysciml as ps
        >>> problem = ps.ODEProblem(lambda t, u, p: -p.k * u, 1.0, (0, 5), {"k": 0.5})
        >>> problem.remake(u0=2.0, p={"k": 3}).remake(t_span=(0, 1)).span
        (0.0, 1.0)
        """
        changes = {}
        if p is not None:
            merged = merge_values("p", self.p_layout, self.p_values, p, self._labels, self.calendar)
            changes["p_layout"], changes["p_values"] = merged
        if u0 is not None:
            if self.initial is not None:
                check_replaces_all(u0, self.u_layout)
            changes["initial"] = None
            changes["u0_values"] = merge_values("u0", self.u_layout, self.u0_values, u0, self._labels)[1]
        elif self.initial is not None and p is not None:
            changes["u0_values"] = initial_values(self.initial, self.u_layout, changes["p_values"])
        if dims is not None or coords is not None or units is not None:
            parts = [(self.u_layout, self.u0_values), (self.p_layout, self.p_values)]
            parts.append((self.y_layout, np.zeros(self.y_layout.size)))
            changes |= vars(replace_labels(parts, self._labels, dims, coords, units))
        if t_span is not None or units is not None:
            unit = changes.get("units", self.units).get("time")
            parts = read_span(self.t_span if t_span is None else t_span, unit)
            changes |= dict(zip(("t_span", "span", "calendar"), parts, strict=True))
            p_values = changes.get("p_values", self.p_values)
            changes["p_values"] = move_epoch(self.p_layout, p_values, self.calendar, changes["calendar"])
        covered = ("p_values", "t_span", "span", "calendar")
        check_coverage(self.p_layout, *(changes.get(key, getattr(self, key)) for key in covered))
        if name is not None:
            changes["name"] = _check_title(name)
        if events is not None or "calendar" in changes:
            labels, calendar = self._labels, changes.get("calendar", self.calendar)
            given = self.events if events is None else events
            changes["events"] = read_events(given, self.u_layout, self.p_layout, labels.names, calendar)
        return self._with(changes)

    @property
    def stop_times(self) -> np.ndarray:
        """Times ``(k,)`` inside the span at which external inputs step to another value."""
        return stop_times(self.p_layout, self.p_values, self.span)

    def is_inside(self, times) -> np.ndarray:
        """Which of ``times (time,)``, numbers or dates, lie inside the span; bool ``(time,)``."""
        floats = read_times("times", times, self.calendar)
        return (floats >= self.span[0]) & (floats <= self.span[1])

    def extend_to(self, times) -> "ODEProblem":
        """The problem with a span that ends late enough for all of ``times (time,)``."""
        last = float(read_times("times", times, self.calendar).max())
        if last <= self.span[1]:
            return self
        end = last if self.calendar is None else self.calendar.to_dates(np.array([last]))[0]
        return self.remake(t_span=(self.t_span[0], end))

    def _key(self):
        """What equality compares: the Program, the arrays, and the labels."""
        dims, units = tuple(self.dims.items()), tuple(sorted(self.units.items()))
        arrays = self.u0_values.tobytes(), self.p_values.tobytes()
        programs = self.program, self.initial, self.observe
        layouts = self.u_layout, self.p_layout, self.y_layout
        mass = None if self.mass_matrix is None else self.mass_matrix.tobytes()
        labels = (self.calendar, dims, units, self.name, self.events, mass)
        return (*programs, *layouts, *arrays, self.span, *labels)

    def __eq__(self, other):
        if not isinstance(other, ODEProblem):
            return NotImplemented
        same_coords = self.coords.keys() == other.coords.keys() and all(
            variable.identical(other.coords[name]) for name, variable in self.coords.items()
        )
        return same_coords and self._key() == other._key()

    def __hash__(self):
        return hash(self._key()[:8])

    def __getstate__(self):
        return self.fields()

    def __setstate__(self, state):
        self._set(**state)

    def __repr__(self):
        return describe_problem(self)


def _trace(f, u_layout, p_layout, labels: Labels) -> Program:
    """The simplified Program; a shape that comes from a labelled dim of ``p`` alone is said to be a batch."""
    try:
        return simplify_program(trace_model(f, u_layout, p_layout))
    except TraceError as error:
        on_states = {dim for name in u_layout.names for dim in labels.dims[name]}
        for entry in p_layout.entries:
            extra = [dim for dim in labels.dims[entry.name] if dim not in on_states]
            if entry.network is None and extra and "returned shape" in str(error):
                raise ProblemError(
                    f"{error}\nIf {extra[0]!r} of p[{entry.name!r}] is a batch: {ONE_TRAJECTORY}"
                ) from error
        raise


def _make_layout(values: Values, are_states: bool) -> Layout:
    items = {name: (v.array.shape, v.network, are_states or v.is_float) for name, v in values.items.items()}
    tables = {name: table_of(v.series) for name, v in values.items.items() if v.series is not None}
    return make_layout(values.form, items | {name: ((table.size,), table, True) for name, table in tables.items()})


def _flatten(layout: Layout, values: Values, calendar=None, time_unit=None) -> np.ndarray:
    arrays = {
        name: value.array if value.series is None else flatten_series(f"p[{name!r}]", value.series, calendar, time_unit)
        for name, value in values.items.items()
    }
    return layout.flatten(arrays)


def _check_title(name):
    if name is not None and not isinstance(name, str):
        raise ProblemError(f"name must be a string, got {name!r}")
    return name


_VALUES = frozenset(("u0_values", "p_values", "p_layout", "initial"))
_FIELDS = tuple(field.name for field in fields(ODEProblem))  # what is computed of them at first use isn't shared
