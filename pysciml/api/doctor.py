"""doctor(): what is ready on this machine, and the next step. Starts nothing unless asked to."""

import importlib.metadata
import platform
import time
from dataclasses import dataclass, field

from ..engines.choose import choose_engine, engine_capabilities, engine_extras, engine_readiness
from ..problems.ode import ODEProblem
from .solve import solve

_PARTS = {"julia": ("juliapkg",), "diffrax": ("jax", "diffrax", "optax")}
_NEXT = {
    (True, True): "everything is ready: engine='auto' is Julia",
    (
        False,
        True,
    ): "ready with diffrax; for Julia: python -m pysciml install-julia (or use-julia, if this machine has one)",
    (True, False): "ready with Julia; for the embedded engine: pip install --upgrade jax diffrax optax",
    (False, False): "no engine is ready; install one: pip install --upgrade jax diffrax optax",
}


@dataclass(frozen=True)
class EngineState:
    """One engine on this machine: whether it is ready and why, its parts' versions, and the words that it knows.

    ``extras`` are parts that it can do without, each with its version or how to get it.
    """

    ready: bool
    reason: str
    versions: dict[str, str]
    capabilities: dict[str, list[str]]
    boot: str = ""
    extras: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """What :func:`doctor` found; printing it shows the report."""

    versions: dict[str, str]
    engines: dict[str, EngineState]
    auto: str | None
    next: str = field(default="")

    def __repr__(self):
        rows = ["  ".join(f"{part} {version}" for part, version in self.versions.items()), ""]
        for name, state in self.engines.items():
            rows.append(f"{name}: {'ready' if state.ready else 'not ready'}")
            rows.append(f"  {state.reason}")
            rows.append(f"  {'  '.join(f'{part} {version}' for part, version in state.versions.items())}")
            rows += [f"  {kind}: {' '.join(words)}" for kind, words in state.capabilities.items()]
            rows += [f"  {part}: {said}" for part, said in state.extras.items()]
            rows += [f"  {state.boot}"] if state.boot else []
            rows.append("")
        rows.append(f"engine='auto' is {self.auto or 'none: no engine is ready'}")
        rows.append(f"next: {self.next}")
        return "\n".join(rows)


def doctor(*, boot: bool = False) -> Diagnosis:
    """Return what is ready on this machine: engines, versions, the route to Julia, words each engine knows.

    Parameters
    ----------
    boot : bool, default False
        Also start each engine that is ready and solve a small problem with it, which takes seconds.

    Returns
    -------
    Diagnosis
        ``engines`` by name, each with ``ready``, ``reason``, ``versions``, ``capabilities``, ``boot`` and ``extras``;
        ``auto``, the engine that ``engine="auto"`` means here; ``next``, the next step. Its ``repr`` is a report.

    Raises
    ------
    ProblemError
        Never: whatever is missing or broken is said in the answer.

    Examples
    --------
    >>> import pysciml as ps
    >>> ps.doctor().engines["diffrax"].ready
    True
    """
    engines = {name: _engine_state(name, boot) for name in _PARTS}
    ready = {name: state.ready for name, state in engines.items()}
    auto = next((name for name, is_ready in ready.items() if is_ready), None)
    versions = {"pysciml": _version("pysciml"), "python": platform.python_version()}
    versions |= {part: _version(part) for part in ("numpy", "xarray")}
    return Diagnosis(versions, engines, auto, _NEXT[ready["julia"], ready["diffrax"]])


def _engine_state(name, boot):
    """One engine's state; every failure becomes its reason."""
    is_ready, reason = _say_failure(lambda: engine_readiness(name), lambda why: (False, why))
    capabilities = _say_failure(lambda: _words(engine_capabilities()[name]), lambda why: {"unknown": [why]})
    versions = {part: _version(part) for part in _PARTS[name]}
    said = ""
    if boot and is_ready:
        said, more = _say_failure(lambda: _boot(name), lambda why: (f"boot failed: {why}", {}))
        versions |= more
        is_ready = bool(more)
    extras = _say_failure(lambda: engine_extras(name), lambda why: {"extras": why})
    return EngineState(is_ready, reason, versions, capabilities, said, extras)


def _say_failure(attempt, instead):
    """The value of an attempt, or of what stands in for it: a diagnosis must not break on what it diagnoses."""
    try:
        return attempt()
    except Exception as error:
        return instead(f"{type(error).__name__}: {error}")


def _boot(name):
    """Start an engine and solve with it: how long that took, and its versions."""
    start = time.perf_counter()
    decay = ODEProblem(lambda t, u, p: -p * u, 1.0, (0.0, 1.0), 1.0)
    solve(decay, saveat=[1.0], engine=name)
    return f"started and solved a problem in {time.perf_counter() - start:.1f} s", choose_engine(name).versions()


def _words(capabilities):
    """Capabilities by kind, ``"auto"`` first."""
    kinds = sorted({c.kind for c in capabilities})
    return {kind: sorted((c.word for c in capabilities if c.kind == kind), key=_auto_first) for kind in kinds}


def _auto_first(word):
    return word != "auto", word


def _version(part):
    try:
        return importlib.metadata.version(part)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
