"""Time spans: plain numbers, or dates of which the engines see the time since the first."""

import datetime
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from ..errors import ProblemError
from .names import ONE_TRAJECTORY
from .units import SECONDS
from .values import check_pint

_DATE = re.compile(r"^\d{4}(-\d\d(-\d\d([T ]\d\d(:\d\d(:\d\d(\.\d+)?)?)?)?)?)?$")
_EPS = float(np.finfo(float).eps)
_TICKS = {"ns": 10**9, "us": 10**6}  # in a second


@dataclass(frozen=True)
class Calendar:
    """Dates as plain floats: the time since ``epoch`` in ``unit``.

    ``epoch`` and ``end`` are ``np.datetime64`` (in ns, or us for dates before 1678 or after 2261) or cftime dates.
    """

    unit: str
    epoch: Any
    end: Any

    @property
    def resolution(self) -> str:
        """Unit of the ticks in which dates are counted: ``ns`` or ``us``."""
        return "ns" if getattr(self.epoch, "dtype", None) == "datetime64[ns]" else "us"

    @property
    def name(self) -> str:
        """``datetime64`` or the calendar of the cftime dates."""
        return "datetime64" if isinstance(self.epoch, np.datetime64) else self.epoch.calendar

    def to_floats(self, times: np.ndarray) -> np.ndarray:
        """Dates ``(time,)`` as floats."""
        if isinstance(self.epoch, np.datetime64):
            ticks = times.astype(self.epoch.dtype) - self.epoch
            return ticks.astype(np.int64) / (SECONDS[self.unit] * _TICKS[self.resolution])
        microsecond = datetime.timedelta(microseconds=1)
        ticks = [(time - self.epoch) // microsecond for time in times]
        return np.array(ticks, dtype=np.float64) / (SECONDS[self.unit] * _TICKS["us"])

    def to_dates(self, times: np.ndarray) -> np.ndarray:
        """Floats ``(time,)`` as dates, rounded to the power of ten that a float resolves over the whole span."""
        size = max(abs(float(self.to_floats(np.array([self.end]))[0])) * SECONDS[self.unit], 1e-300)
        ticks_per_second, step = _TICKS[self.resolution], 1
        while step < 4 * _EPS * size * ticks_per_second:
            step *= 10
        ticks = np.rint(times * (SECONDS[self.unit] * ticks_per_second / step)).astype(np.int64) * step
        if isinstance(self.epoch, np.datetime64):
            return self.epoch + ticks.astype(f"m8[{self.resolution}]")
        return np.array([self.epoch + datetime.timedelta(microseconds=int(n)) for n in ticks], dtype=object)


def read_span(t_span, unit: str | None) -> tuple[tuple, tuple[float, float], Calendar | None]:
    """``t_span`` as given, as the two floats that engines get, and the calendar (None: numbers)."""
    start, end = _read_ends(t_span)
    if _is_number(start) and _is_number(end):
        span = (float(start), float(end))
        if not np.isfinite(span).all():
            raise ProblemError(f"t_span: both ends must be finite, got {(start, end)}")
        _check_order(start, end, span)
        return (start, end), span, None
    if _is_number(start) or _is_number(end):
        raise ProblemError(f"t_span mixes a number and a date: {start!r}, {end!r}; give two numbers or two dates")
    unit = _read_calendar_unit(unit, start)
    epoch, last = read_date("t_span[0]", start), read_date("t_span[1]", end)
    if isinstance(epoch, np.datetime64) != isinstance(last, np.datetime64) or _calendar_of(epoch) != _calendar_of(last):
        raise ProblemError(f"t_span mixes calendars: {start!r}, {end!r}; give both ends in one")
    if isinstance(epoch, np.datetime64):
        epoch, last = _common_resolution(epoch, last)
    calendar = Calendar(unit, epoch, last)
    span = (0.0, float(calendar.to_floats(np.array([last]))[0]))
    _check_order(start, end, span)
    return (start, end), span, calendar


def _read_ends(t_span):
    """The two ends as plain scalars."""
    if isinstance(t_span, str) or not isinstance(t_span, Sequence | np.ndarray | xr.DataArray | xr.Variable):
        raise ProblemError(f"t_span must be two times (start, end), got {t_span!r}")
    if len(t_span) and all(np.ndim(item) for item in t_span):
        raise ProblemError(f"t_span is a list of spans: {ONE_TRAJECTORY}")
    if len(t_span) != 2:
        raise ProblemError(f"t_span must be two times (start, end), got {len(t_span)}: {t_span!r}")
    return tuple(_plain(item) for item in t_span)


def _plain(item):
    """A 0-d array as the scalar in it, NumPy's numbers as Python's."""
    if isinstance(item, xr.DataArray | xr.Variable):
        item = item.values
    if hasattr(item, "__array__"):  # arrays of any library
        item = np.asarray(item)[()]
    return item.item() if isinstance(item, np.integer | np.floating) else item


def _is_number(value):
    if (
        isinstance(value, bool | np.bool_ | complex | np.complexfloating | np.timedelta64 | datetime.timedelta)
        or value is None
    ):
        raise ProblemError(f"t_span: {value!r} ({type(value).__name__}) is not a time; give a number or a date")
    return isinstance(value, int | float | np.integer | np.floating)


def _check_order(start, end, span):
    if span[0] == span[1]:
        raise ProblemError(f"t_span is empty: it starts and ends at {start}; give an end after the start")
    if span[0] > span[1]:
        raise ProblemError(
            f"t_span is reversed: {start} is after {end}; to go back in time, integrate -f over ({end}, {start})"
        )


def _read_calendar_unit(unit, start) -> str:
    """The unit of a calendar's floats; ProblemError if there is none, or none of a fixed length."""
    if unit is None:
        raise ProblemError(
            f"t_span starts at the date {start!r}, so t is the time since then, and its unit must be said: "
            f"units={{'time': 'day'}} (one of {', '.join(SECONDS)})"
        )
    if unit not in SECONDS:
        hint = "; months differ in length: use 'day' or 'year'" if unit == "month" else ""
        raise ProblemError(
            f"units['time'] is {unit!r}; with dates in t_span it must be one of {', '.join(SECONDS)}{hint}"
        )
    return unit


def _calendar_of(date):
    return getattr(date, "calendar", None)


def is_cftime(value) -> bool:
    """Whether a value is a date of cftime, which need not be installed."""
    return type(value).__module__.split(".")[0] == "cftime"


def read_date(where: str, value):
    """One date as ``np.datetime64[ns]`` (``[us]`` where that overflows) or cftime; ProblemError otherwise."""
    if is_cftime(value):
        return value
    if getattr(value, "tzinfo", None) is not None:
        raise ProblemError(
            f"{where}: {value!r} has a time zone; convert to one zone and drop it: .tz_convert('UTC').tz_localize(None)"
        )
    if isinstance(value, str) and not _DATE.match(value):
        raise ProblemError(f"{where}: {value!r} is not a date; write it as '2020-01-31' or '2020-01-31T12:00'")
    if not isinstance(value, str | datetime.date | np.datetime64):
        raise ProblemError(f"{where}: {value!r} ({type(value).__name__}) is not a time; give a number or a date")
    try:
        date = np.datetime64(value if isinstance(value, str | np.datetime64) else value.isoformat())
    except ValueError as error:
        raise ProblemError(f"{where}: {value!r} is not a date ({error})") from None
    if np.isnat(date):
        raise ProblemError(f"{where} is NaT; give a date")
    year = date.astype("datetime64[Y]").astype(int) + 1970
    return date.astype("datetime64[ns]" if 1678 <= year <= 2261 else "datetime64[us]")


def _common_resolution(*dates):
    """All dates in ns, or all in us if one needs it."""
    coarse = any(date.dtype == "datetime64[us]" for date in dates)
    return tuple(date.astype("datetime64[us]") if coarse else date for date in dates)


def read_times(where: str, times, calendar: Calendar | None) -> np.ndarray:
    """An array, index or DataArray of times ``(time,)`` as floats in the problem's unit; ProblemError otherwise."""
    return read_shown_times(where, times, calendar)[0]


def read_shown_times(where: str, times, calendar: Calendar | None) -> tuple[np.ndarray, np.ndarray]:
    """Times ``(time,)`` as floats in the problem's unit, and as results show them: dates where ``t_span`` has dates."""
    check_pint(where, times)
    array = np.asarray(times)
    if array.ndim != 1:
        raise ProblemError(f"{where} must be one-dimensional, got shape {array.shape}")
    if array.size == 0:
        raise ProblemError(f"{where} is empty; give at least one time")
    if array.dtype.kind in "iuf":
        floats = array.astype(np.float64)
        if not np.isfinite(floats).all():
            raise ProblemError(f"{where} has NaN or infinite times; drop them")
        return floats, floats if calendar is None else calendar.to_dates(floats)
    dates = _read_dates(where, array)
    if calendar is None:
        example = f"{where} holds dates such as {array[0]!s}"
        raise ProblemError(f"{example}, but t_span is in numbers; give t_span as dates, or numbers here")
    dates = _to_calendar(where, dates, calendar)
    return calendar.to_floats(dates), dates


def _read_dates(where, array) -> np.ndarray:
    """An array of dates."""
    if array.dtype.kind not in "MUO":
        raise ProblemError(f"{where} holds {array.dtype} values; give numbers or dates")
    if array.dtype.kind == "M":
        if np.isnat(array).any():
            raise ProblemError(f"{where} has NaT times; drop them")
        return array
    return np.array([read_date(f"{where}[{i}]", value) for i, value in enumerate(array)])


def _to_calendar(where, dates, calendar: Calendar) -> np.ndarray:
    """Dates in the calendar's own type; ProblemError where they are of another, or too far away for it."""
    got = {"datetime64"} if dates.dtype.kind == "M" else {_calendar_of(date) or "datetime64" for date in dates}
    if got != {calendar.name}:
        raise ProblemError(f"{where} holds {' and '.join(sorted(got))} dates, expected {calendar.name} as in t_span")
    if calendar.name != "datetime64":
        return dates
    far = dates.astype("datetime64[Y]").astype(int) + 1970
    if calendar.resolution == "ns" and (far.min() < 1678 or far.max() > 2261):  # these would wrap around
        raise ProblemError(f"{where} has dates from {dates.min()} to {dates.max()}, outside t_span")
    return dates.astype(calendar.epoch.dtype)


def check_times(where: str, floats: np.ndarray, problem) -> np.ndarray:
    """Times ``(time,)`` for an engine: strictly increasing and inside the span; ProblemError otherwise.

    What lies outside by rounding only (as ``np.arange`` leaves it) is moved to the end of the span.
    """
    steps = floats[1:] - floats[:-1]
    if (steps <= 0).any():
        k = int(np.argmax(steps <= 0))
        word = "twice" if steps[k] == 0 else "after"
        first, then = show_time(floats[k], problem), show_time(floats[k + 1], problem)
        if word == "twice":
            raise ProblemError(f"{where} has the time {first} twice; give each time once: np.unique(...)")
        raise ProblemError(f"{where} must increase, but {then} comes after {first}; sort it: np.sort(...)")
    start, end = problem.span
    slack = 8 * _EPS * max(abs(start), abs(end))
    if floats[0] < start - slack or floats[-1] > end + slack:
        bad = show_time(floats[0] if floats[0] < start - slack else floats[-1], problem)
        raise ProblemError(f"{where} has the time {bad} outside t_span {problem.t_span}; leave it out, or widen t_span")
    return np.clip(floats, start, end) if floats[0] < start or floats[-1] > end else floats


def show_time(time: float, problem) -> str:
    """A time as the user writes it."""
    return f"{time:.12g}" if problem.calendar is None else str(problem.calendar.to_dates(np.array([time]))[0])
