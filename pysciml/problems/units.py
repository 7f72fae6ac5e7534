"""Units as labels: compared as strings after a small table of synonyms, never converted."""

from ..errors import ProblemError

_SYNONYMS = {
    "1": ("", "-", "dimensionless", "unitless"),
    "ns": ("nanosecond", "nanoseconds"),
    "us": ("microsecond", "microseconds", "µs", "μs"),
    "ms": ("millisecond", "milliseconds", "msec"),
    "s": ("second", "seconds", "sec", "secs"),
    "min": ("minute", "minutes", "mins"),
    "h": ("hour", "hours", "hr", "hrs"),
    "day": ("days", "d"),
    "week": ("weeks",),
    "month": ("months",),
    "year": ("years", "yr", "yrs"),
    "m": ("meter", "meters", "metre", "metres"),
    "kg": ("kilogram", "kilograms"),
    "K": ("kelvin", "Kelvin"),
    "degC": ("°C", "celsius", "Celsius", "degree_Celsius", "degrees_Celsius"),
}
_LABELS = {word: label for label, words in _SYNONYMS.items() for word in (label, *words)}

SECONDS = {
    "ms": 1e-3,
    "s": 1.0,
    "min": 60.0,
    "h": 3600.0,
    "day": 86400.0,
    "week": 7 * 86400.0,
    "year": 365.25 * 86400.0,
}


def read_unit(where: str, label) -> str:
    """The label as it is written to files; ProblemError if it isn't one.

    Time units are singular, since readers of NetCDF take a plural (``days``) for a duration and a ``since`` for a date.
    """
    if not isinstance(label, str):
        raise ProblemError(
            f"{where}: a unit is a label such as 'mg/L', got {label!r} ({type(label).__name__}); write str(...)"
        )
    label = label.strip()
    if " since " in label:
        raise ProblemError(
            f"{where}: {label!r} is a calendar, not a unit; write {label.split()[0]!r} and give t_span as dates"
        )
    return _LABELS.get(label, label)


def check_same_unit(where: str, got, expected: str | None) -> None:
    """ProblemError if two labels are both there and differ; a missing one is accepted."""
    if got is None or expected is None:
        return
    if read_unit(where, got) != expected:
        raise ProblemError(
            f"{where} is in {got!r}, expected {expected!r}; units are never converted: "
            "convert the values, or mend the label"
        )
