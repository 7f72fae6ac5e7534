import datetime

import cftime
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from pysciml.errors import ProblemError
from pysciml.problems.times import read_shown_times, read_span, read_times


@pytest.mark.parametrize("t_span", [(0, 5), [0.0, 5.0], np.array([0, 5]), xr.DataArray([0.0, 5.0]), (np.float32(0), 5)])
def test_numbers_are_t_itself(t_span):
    _, span, calendar = read_span(t_span, None)
    assert span == (0.0, 5.0) and calendar is None
    assert all(type(end) is float for end in span)


@pytest.mark.parametrize(
    "start, end",
    [
        ("2020-01-01", "2020-01-11"),
        (np.datetime64("2020-01-01"), np.datetime64("2020-01-11")),
        (datetime.date(2020, 1, 1), datetime.datetime(2020, 1, 11)),
        (pd.Timestamp("2020-01-01"), "2020-01-11T00:00"),
        (cftime.DatetimeNoLeap(2020, 1, 1), cftime.DatetimeNoLeap(2020, 1, 11)),
        ("1066-10-14", "1066-10-24"),
    ],
)
def test_dates_are_the_time_since_the_first(start, end):
    given, span, calendar = read_span((start, end), "day")
    assert given == (start, end)
    assert span == (0.0, 10.0)
    assert read_span((start, end), "h")[1] == (0.0, 240.0)
    assert read_span((start, end), "week")[1] == (0.0, 10 / 7)


def test_a_year_has_365_and_a_quarter_days():
    assert read_span(("2000-01-01", "2004-01-01"), "year")[1] == (0.0, 4.0)
    no_leap = [cftime.DatetimeNoLeap(year, 1, 1) for year in (2000, 2004)]
    assert read_span(no_leap, "year")[1] == (0.0, 4 * 365 / 365.25)


def test_dates_come_back_exactly():
    _, _, calendar = read_span(("1900-01-01", "1921-01-01"), "year")
    days = np.arange("1900-01-01", "1921-01-01", dtype="datetime64[D]").astype("datetime64[ns]")
    assert (calendar.to_dates(calendar.to_floats(days)) == days).all()
    _, _, calendar = read_span(("2020-01-01T00:00:00.123456789", "2020-01-01T00:00:01"), "s")
    assert calendar.to_dates(np.array([0.0]))[0] == np.datetime64("2020-01-01T00:00:00.123456789")


def test_cftime_comes_back_in_its_calendar():
    start = cftime.Datetime360Day(2000, 2, 29)
    _, _, calendar = read_span((start, cftime.Datetime360Day(2001, 2, 30)), "day")
    dates = calendar.to_dates(np.array([0.0, 1.0, 361.0]))
    assert list(dates) == [start, cftime.Datetime360Day(2000, 2, 30), cftime.Datetime360Day(2001, 2, 30)]
    assert all(type(date) is cftime.Datetime360Day for date in dates)
    assert calendar.name == "360_day"


def test_times_of_results_are_those_given():
    _, _, calendar = read_span(("2020-01-01", "2020-02-01"), "day")
    for times in (["2020-01-02", "2020-01-03"], pd.DatetimeIndex(["2020-01-02", "2020-01-03"]), np.array([1, 2])):
        floats, shown = read_shown_times("saveat", times, calendar)
        assert floats.tolist() == [1.0, 2.0]
        assert shown.tolist() == np.array(["2020-01-02", "2020-01-03"], "datetime64[ns]").tolist()
        assert shown.dtype == "datetime64[ns]"


@pytest.mark.parametrize(
    "t_span, unit, message",
    [
        ((0, 0), None, "t_span is empty: it starts and ends at 0"),
        ((5, 0), None, "t_span is reversed: 5 is after 0"),
        ((0, np.nan), None, "t_span: both ends must be finite"),
        ((0, np.inf), None, "t_span: both ends must be finite"),
        ((0, 1, 2), None, "two times (start, end), got 3"),
        (5, None, "two times (start, end), got 5"),
        ("2020", None, "two times (start, end), got '2020'"),
        ([(0, 1), (0, 2)], None, "over="),
        ((0, True), None, "True (bool) is not a time"),
        ((0, 1j), None, "1j (complex) is not a time"),
        ((0, None), None, "None (NoneType) is not a time"),
        ((np.timedelta64(0, "D"), np.timedelta64(1, "D")), None, "is not a time; give a number or a date"),
        ((0, "2020-01-01"), "day", "mixes a number and a date"),
        (("2020-01-01", "2020-02-01"), None, "units={'time': 'day'}"),
        (("2020-01-01", "2020-02-01"), "month", "months differ in length"),
        (("2020-01-01", "2020-02-01"), "fortnight", "must be one of ms, s, min, h, day, week, year"),
        (("1/2/2020", "1/3/2020"), "day", "'1/2/2020' is not a date"),
        (("2020-13-01", "2021-01-01"), "day", "'2020-13-01' is not a date"),
        (("now", "2050-01-01"), "day", "'now' is not a date"),
        (("2020-02-01", "2020-01-01"), "day", "t_span is reversed"),
        (("2020-01-01", np.datetime64("NaT")), "day", "t_span[1] is NaT"),
        ((pd.Timestamp("2020-01-01", tz="UTC"), pd.Timestamp("2021-01-01", tz="UTC")), "day", "has a time zone"),
        ((cftime.DatetimeNoLeap(2000, 1, 1), cftime.Datetime360Day(2001, 1, 1)), "day", "mixes calendars"),
        ((cftime.DatetimeNoLeap(2000, 1, 1), "2001-01-01"), "day", "mixes calendars"),
    ],
)
def test_wrong_spans(t_span, unit, message):
    with pytest.raises(ProblemError) as error:
        read_span(t_span, unit)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "times, message",
    [
        ([[0.0, 1.0]], "saveat must be one-dimensional, got shape (1, 2)"),
        ([], "saveat is empty"),
        ([0.0, np.nan], "saveat has NaN"),
        ([True, False], "saveat holds bool values"),
        ([1j], "saveat holds complex128 values"),
        (np.array([1], "timedelta64[D]"), "saveat holds timedelta64[D] values"),
        (["2020-01-01"], "but t_span is in numbers"),
        (np.array(["2020-01-01"], "datetime64[ns]"), "but t_span is in numbers"),
        ([object()], "is not a time"),
    ],
)
def test_wrong_times(times, message):
    with pytest.raises(ProblemError) as error:
        read_times("saveat", times, None)
    assert message in str(error.value)


def test_wrong_calendars():
    _, _, calendar = read_span(("2020-01-01", "2020-02-01"), "day")
    with pytest.raises(ProblemError, match="saveat holds noleap dates, expected datetime64"):
        read_times("saveat", [cftime.DatetimeNoLeap(2020, 1, 2)], calendar)
    with pytest.raises(ProblemError, match="saveat holds 360_day and datetime64 dates"):
        read_times("saveat", [cftime.Datetime360Day(2020, 1, 2), np.datetime64("2020-01-02")], calendar)
    far = np.datetime64("2020-01-02", "s") + np.timedelta64(2**64 // 10**9, "s")  # the same day, once around in ns
    with pytest.raises(ProblemError, match="outside t_span"):
        read_times("saveat", np.array([far]), calendar)
    with pytest.raises(ProblemError, match="saveat has NaT"):
        read_times("saveat", np.array(["NaT"], "datetime64[ns]"), calendar)
