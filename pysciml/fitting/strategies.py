"""Strategies as values: how a fit gets from its start to the whole span of the data."""

from dataclasses import dataclass

import numpy as np

from ..errors import ProblemError
from ..words import nearest


def _check_count(name, field, value, least=1):
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ProblemError(f"{name}: {field} must be an integer of at least {least}, got {value!r}")


def _check_positive(name, field, value):
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 < value < np.inf:
        raise ProblemError(f"{name}: {field} must be a positive number, got {value!r}")


@dataclass(frozen=True)
class GrowingHorizon:
    """Fit the first part of the data first, then more and more of it.

    A trajectory that is wrong early is worthless later, and its gradient there points nowhere; so the horizon grows in
    equal stretches of time, and each starts from the best parameters of the one before.

    Parameters
    ----------
    stages : int, default 4
        Number of horizons, the last being the whole span. Stretches without data are passed over.

    Raises
    ------
    ProblemError
        If ``stages`` is not a positive integer.

    Examples
    --------
    >>> import pysciml as ps
    >>> ps.GrowingHorizon(stages=4)
    GrowingHorizon(stages=4)
    """

    stages: int = 4

    def __post_init__(self):
        if isinstance(self.stages, bool) or not isinstance(self.stages, int | np.integer) or self.stages < 1:
            raise ProblemError(f"GrowingHorizon: stages must be a positive integer, got {self.stages!r}")


@dataclass(frozen=True)
class Collocation:
    """A warm start without solving: the model's rates of change are matched to those of smoothed data.

    The data of each state are smoothed by a spline (the smoothness chosen by generalised cross-validation), and the
    parameters at which the right-hand side comes nearest to the spline's slopes are where the fit begins. Initial
    values are not touched.

    Parameters
    ----------
    steps : int, default 500
        Most iterations of L-BFGS.

    Raises
    ------
    ProblemError
        If ``steps`` is not a positive integer.

    References
    ----------
    Varah (1982), A spline least squares method for numerical parameter estimation in differential equations, SIAM
    Journal on Scientific and Statistical Computing 3, 28-46. doi:10.1137/0903003

    Examples
    --------
    >>> import pysciml as ps
    >>> ps.Collocation()
    Collocation(steps=500)
    """

    steps: int = 500

    def __post_init__(self):
        _check_count("Collocation", "steps", self.steps)


@dataclass(frozen=True)
class MultipleShooting:
    """A warm start by short pieces: the span is cut into segments, each with a start of its own that is fitted too.

    Errors don't grow over a segment as they do over the span, so that oscillations and chaos don't hide the way. The
    end of a segment is drawn to the start of the next by a penalty. The loss is that of ``"nmse"``, whatever the fit's
    own is.

    Parameters
    ----------
    group_size : int, default 4
        Data times in a segment.
    continuity : float, default 1.0
        Weight of the mean squared gap between segments, in units of the data's spread (dimensionless).
    steps : int, default 300
        Iterations of Adam, followed by at most as many of L-BFGS.

    Raises
    ------
    ProblemError
        If a number is out of its range.

    References
    ----------
    Bock (1983), Recent advances in parameter identification techniques for ODE, doi:10.1007/978-1-4684-7324-7_7;
    Turan, Jaeschke (2022), Multiple shooting for training neural differential equations on time series, IEEE Control
    Systems Letters 6, doi:10.1109/LCSYS.2021.3135835

    Examples
    --------
    >>> import pysciml as ps
    >>> ps.MultipleShooting(group_size=8)
    MultipleShooting(group_size=8, continuity=1.0, steps=300)
    """

    group_size: int = 4
    continuity: float = 1.0
    steps: int = 300

    def __post_init__(self):
        _check_count("MultipleShooting", "group_size", self.group_size, 2)
        _check_count("MultipleShooting", "steps", self.steps)
        _check_positive("MultipleShooting", "continuity", self.continuity)


@dataclass(frozen=True)
class MultiStart:
    """Begin at several points, drop the worse half again and again, and go on from the best.

    The first is the start itself. The others are drawn around it: parameters by factors, what is bounded within its
    bounds, networks with weights drawn anew. A network that has learnt already, or is trained in part, keeps its
    weights.

    Parameters
    ----------
    starts : int, default 8
        Number of points.
    spread : float, default 0.5
        Standard deviation of the draws, in units of a parameter's own size (dimensionless).
    steps : int, default 30
        Iterations of Adam between two droppings.

    Raises
    ------
    ProblemError
        If a number is out of its range.

    References
    ----------
    Karnin, Koren, Somekh (2013), Almost optimal exploration in multi-armed bandits, ICML 28(3), 1238-1246
    (sequential halving).

    Examples
    --------
    >>> import pysciml as ps
    >>> ps.MultiStart(starts=4)
    MultiStart(starts=4, spread=0.5, steps=30)
    """

    starts: int = 8
    spread: float = 0.5
    steps: int = 30

    def __post_init__(self):
        _check_count("MultiStart", "starts", self.starts, 2)
        _check_count("MultiStart", "steps", self.steps)
        _check_positive("MultiStart", "spread", self.spread)


WarmStart = Collocation | MultipleShooting | MultiStart
_NAMES = ["GrowingHorizon", "Collocation", "MultipleShooting", "MultiStart"]


def read_strategy(strategy) -> tuple[tuple[WarmStart, ...], GrowingHorizon]:
    """Warm starts in order, and the horizon of the fit itself; ``"auto"`` is a growing one, ``()`` the whole span."""
    if isinstance(strategy, str) and strategy == "auto":
        return (), GrowingHorizon()
    items: list = list(strategy) if isinstance(strategy, list | tuple) else [strategy]
    for item in items:
        if not isinstance(item, GrowingHorizon | WarmStart):
            known = ", ".join(f"ps.{name}()" for name in _NAMES)
            hint = nearest(getattr(item, "__name__", str(item)), _NAMES)
            raise ProblemError(
                f"strategy: expected 'auto', () (single shooting), or a list of {known}; got {item!r}{hint}"
            )
    warm = tuple(item for item in items if isinstance(item, WarmStart))
    last = items[-1] if items else None
    if len(warm) + isinstance(last, GrowingHorizon) != len(items):
        raise ProblemError("strategy: GrowingHorizon is how the fit itself goes: name it once, at the end")
    return warm, last if isinstance(last, GrowingHorizon) else GrowingHorizon(stages=1)
