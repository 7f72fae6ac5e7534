"""What a model function must look like: three positional arguments, time first."""

import inspect
from collections.abc import Callable

from ..errors import TraceError
from .source import place_of_function, trace_error

_FORM = "Write it as f(t, u, p): time, state, parameters."
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def check_signature(function: Callable, takes: tuple[str, ...] = ("t", "u", "p")) -> None:
    """TraceError unless ``function`` can be called with what it ``takes``; f(t, u, p) also has names in that order."""
    if not callable(function):
        raise TraceError(f"the model must be a function f(t, u, p), got {function!r} ({type(function).__name__})")
    place = place_of_function(function)
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise trace_error("the model function is a generator or async", "It must return the derivative.", place)
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # functions written in C do not tell
        return
    positional = [q for q in parameters if q.kind in _POSITIONAL]
    names = [q.name for q in positional]
    has_rest = any(q.kind is q.VAR_POSITIONAL for q in parameters)
    required = sum(q.default is q.empty for q in positional)
    shown = f"({', '.join(names)})"
    needed = [q.name for q in parameters if q.kind is q.KEYWORD_ONLY and q.default is q.empty]
    if needed:
        raise trace_error(
            f"the model function needs the keyword {needed[0]!r}",
            "Give it with functools.partial, or close over it.",
            place,
        )
    if takes == ("p",):
        if required > 1 or not (positional or has_rest):
            raise trace_error(
                f"the function of the initial state takes {shown}, and it is called as u0(p)",
                "Write it as u0=lambda p: {...}: it depends on parameters only.",
                place,
            )
        return
    if required == 4 and names[0].startswith("d"):
        raise trace_error(f"the model function takes {shown}: Julia's in-place form", f"{_FORM} It returns du.", place)
    if required > 3 or (len(names) < 3 and not has_rest):
        raise trace_error(f"the model function takes {shown}, and it is called as f(t, u, p)", _FORM, place)
    if names[2:3] == ["t"]:
        raise trace_error(f"the model function takes {shown}: Julia's order of arguments, with t last", _FORM, place)
    if "t" in names[1:]:
        raise trace_error(f"the model function takes {shown}: t is not the first argument", _FORM, place)
