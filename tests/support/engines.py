"""Which engines this run of the tests may use, and what became of them."""

import os
from collections import Counter

import pytest

from pysciml.api.doctor import doctor

ENGINES = ("julia", "diffrax")
RAN: Counter[str] = Counter()  # engine -> number of tests that asked for it and got it


def required_engines() -> set[str]:
    """The engines of ``PYSCIML_REQUIRE``: without one of these the tests fail instead of skipping."""
    words = {word.strip() for word in os.environ.get("PYSCIML_REQUIRE", "").split(",")} - {""}
    unknown = sorted(words - set(ENGINES))
    if unknown:
        raise pytest.UsageError(f"PYSCIML_REQUIRE names {unknown}; there are {', '.join(ENGINES)}")
    return words


def unready_reason(name: str) -> str | None:
    """Why an engine can't run here, in the words of ``python -m pysciml doctor``; None if it can."""
    state = doctor().engines[name]
    return None if state.ready else state.reason


def require_engine(name: str) -> str:
    """Skip the test if an engine isn't ready, or fail it if that engine is required. Returns the name."""
    reason = unready_reason(name)
    if reason is not None:
        stop = pytest.fail if name in required_engines() else pytest.skip
        stop(f"engine {name!r} is not ready: {reason}")
    RAN[name] += 1
    return name


def users_environment() -> dict[str, str]:
    """This process' environment without what the tests set for JAX."""
    return {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}


def engines_line() -> str:
    """One line: which engines ran, in how many tests, and why the others did not."""
    parts = []
    for name in ENGINES:
        if RAN[name]:
            parts.append(f"{name} ran in {RAN[name]} test{'s' if RAN[name] > 1 else ''}")
        else:
            parts.append(f"{name} did not run ({unready_reason(name) or 'no test asked for it'})")
    return f"engines: {'; '.join(parts)}"
