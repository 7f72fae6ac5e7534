"""Which engine: the one place that loads an engine's folder, by its name, and only when it is needed."""

import importlib
import importlib.util
import sys
from functools import cache
from types import ModuleType

from ..errors import EngineUnavailable, ProblemError
from ..requests import Capability
from ..words import nearest
from .base import AbstractEngine

ENGINES = ("julia", "diffrax")  # in the order in which "auto" takes them
_PACKAGES = {"julia": ("juliapkg",), "diffrax": ("jax", "diffrax", "optax")}
_GET_JULIA = "python -m pysciml install-julia"


def choose_engine(word: str) -> AbstractEngine:
    """The engine of a word; ``"auto"`` is the first that is ready, saying once how to get Julia where that isn't."""
    if word not in ("auto", *ENGINES):
        known = ("auto", *ENGINES)
        raise ProblemError(f"engine: unknown word {word!r}; one of {', '.join(known)}{nearest(word, known)}")
    return load_engine(_first_ready() if word == "auto" else word)


@cache
def load_engine(name: str) -> AbstractEngine:
    """The engine itself, its runtime imported: one a process. EngineUnavailable if a part of it is missing."""
    missing = _missing_packages(name)
    if missing:
        raise EngineUnavailable(f"engine {name!r} isn't ready: {_say_missing(missing)}")
    return _folder(name, "engine").make_engine()


@cache
def engine_capabilities() -> dict[str, frozenset[Capability]]:
    """What each engine can do, by name; starts nothing."""
    return {name: _folder(name, "algorithms").CAPABILITIES for name in ENGINES}


def engine_tables() -> dict[str, ModuleType]:
    """What each engine says of its words, by name: ``METHODS`` and ``options_of(word)``; starts nothing."""
    return {name: _folder(name, "algorithms") for name in ENGINES}


def engine_readiness(name: str) -> tuple[bool, str]:
    """Whether an engine can be used now, and why; starts nothing."""
    missing = _missing_packages(name)
    if missing:
        return False, _say_missing(missing)
    if name == "julia":
        return _folder(name, "route").readiness()
    return True, "installed"


def engine_extras(name: str) -> dict[str, str]:
    """Optional parts of an engine, each with its version or how to get it; starts nothing."""
    return _folder(name, "optional").optional_packages() if name == "julia" else {}


@cache
def _first_ready() -> str:
    """The engine of ``"auto"``, looked for once a process."""
    states = {name: engine_readiness(name) for name in ENGINES}
    name = next((name for name, (is_ready, _) in states.items() if is_ready), None)
    if name is None:
        raise EngineUnavailable("no engine is ready: " + "; ".join(f"{n}: {why}" for n, (_, why) in states.items()))
    if not states["julia"][0]:
        print(f"pysciml: engine {name!r}, since Julia isn't ready here; to get it: {_GET_JULIA}", file=sys.stderr)
    return name


def _missing_packages(name):
    return [package for package in _PACKAGES[name] if not _is_installed(package)]


def _is_installed(package):
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):
        return False


def _say_missing(packages):
    return f"not installed: {', '.join(packages)}; pip install {' '.join(packages)}"


def _folder(name, module):
    return importlib.import_module(f".{name}.{module}", __package__)
