"""objective(): a problem and data as one function of a flat vector, with its gradient."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from ..datasets.from_dataset import read_observations
from ..engines.base import AbstractEngine, check_capabilities
from ..engines.choose import choose_engine, engine_capabilities
from ..errors import ProblemError
from ..fitting.losses import check_loss, loss_scales, loss_weights
from ..fitting.observations import Observations
from ..fitting.trainable import (
    Block,
    Interval,
    Positive,
    check_inside,
    gather_x,
    natural_parametrization,
    read_trainable,
    scatter_x,
)
from ..ir.program import Program
from ..problems.doses import hold_rates, widen_parameters
from ..problems.flat import flatten_model
from ..problems.functions import make_measure
from ..problems.ode import ODEProblem
from ..requests import ObjectiveRequest, SolveRequest, SumRequest, objective_needs, sum_of_one, tangent_needs
from ..tracing.layout import Layout
from ..words import check_keywords, nearest
from .algorithm import Algorithm, read_algorithm
from .solve import check_tolerances
from .verify import Verified, check_verify

SENSITIVITIES = (
    "auto discrete interpolating gauss quadrature backsolve forward forward_over_solver checkpointed"
).split()


@dataclass(frozen=True, eq=False)
class Misfit:
    """Everything about a problem and its data that does not depend on coordinates of the search."""

    problem: ODEProblem
    engine: AbstractEngine
    observations: Observations  # of states, in the flat order of the problem
    measured: Observations  # of all that was measured, in the order of ``layout``
    layout: Layout
    observe: Program | None  # what makes the measured quantities of a state, where these are not the states
    scales: dict[str, float]
    blocks: tuple[Block, ...]
    solve: SolveRequest
    sensitivity: str

    @property
    def x0(self) -> np.ndarray:
        """Start values of what is trained ``(k,)``, in the user's own units."""
        return gather_x(self.blocks, self.problem.u0_values, self.problem.p_values)

    def request(self, parametrization, x0) -> SumRequest:
        """The request for a given parametrization."""
        weights = loss_weights(self.scales, self.measured, self.layout)
        values = np.where(self.measured.mask, self.measured.values, 0.0)
        rates = self.solve.p[self.problem.p_values.size :]
        observe = None if self.observe is None else widen_parameters(self.observe, rates.size)
        parametrization = hold_rates(parametrization, rates)
        return sum_of_one(ObjectiveRequest(self.solve, parametrization, x0, values, weights, self.sensitivity, observe))

    def problem_of(self, u0: np.ndarray, p: np.ndarray) -> ODEProblem:
        """The problem with other initial values, where these don't follow from ``p``, and parameters (flat vectors)."""
        new = {"p": _as_given(self.problem.p_layout, p)}
        if self.problem.initial is None:
            new["u0"] = _as_given(self.problem.u_layout, u0)
        return self.problem.remake(**new)


def _as_given(layout, flat):
    """A flat vector in the form in which a user gives it."""
    values = layout.unflatten(flat)
    if layout.form in ("record", "none"):
        return values or None
    return values[layout.names[0]]


def make_misfit(
    problem: ODEProblem, data: xr.Dataset, loss, trainable, engine, algorithm, rtol, atol, sensitivity
) -> Misfit:
    """Check everything at the door and choose the engine."""
    if not isinstance(problem, ODEProblem):
        raise ProblemError(f"problem must be a ps.ODEProblem, got {type(problem).__name__}")
    check_loss(loss)
    check_tolerances(rtol, atol)
    algorithm = read_algorithm(algorithm)
    if sensitivity not in SENSITIVITIES:
        words = ", ".join(SENSITIVITIES)
        raise ProblemError(
            f"sensitivity: unknown word {sensitivity!r}; one of {words}{nearest(sensitivity, SENSITIVITIES)}"
        )
    times, values = read_observations(data, problem)
    names = {str(name) for name in data.data_vars}
    observe, layout, columns = make_measure(problem.observe, problem.u_layout, problem.y_layout, names)
    observations = Observations(times, values[:, : problem.u_layout.size])
    measured = Observations(times, values[:, columns])
    blocks = read_trainable(trainable, None if problem.initial else problem.u_layout, problem.p_layout)
    check_inside(blocks, gather_x(blocks, problem.u0_values, problem.p_values))
    chosen = choose_engine(engine)
    end = float(times[-1]) if times[-1] > problem.span[0] else problem.span[1]
    flat = flatten_model(problem, times)
    request = SolveRequest(
        program=flat.program,
        u0=problem.u0_values,
        p=flat.p,
        t_span=(problem.span[0], end),
        algorithm=algorithm.word,
        algorithm_options=algorithm.options_given,
        saveat=times,
        rtol=float(rtol),
        atol=float(atol),
        mass_matrix=problem.mass_matrix,
        tstops=problem.stop_times if problem.stop_times.size else None,
        events=flat.events,
    )
    check_capabilities(chosen, objective_needs(request, sensitivity), engine_capabilities())
    scales = loss_scales(loss, measured, layout)
    return Misfit(problem, chosen, observations, measured, layout, observe, scales, blocks, request, sensitivity)


def objective(
    problem: ODEProblem,
    data: xr.Dataset,
    *,
    loss: str = "nmse",
    trainable: None | Sequence[str] | Mapping[str, object] = None,
    engine: str = "auto",
    algorithm: str | Algorithm = "auto",
    rtol: float = 1e-6,
    atol: float = 1e-8,
    sensitivity: str = "auto",
    verify: str = "once",
    **unknown,
) -> "Objective":
    """Return the loss of a problem against data as a function of a flat vector, with its gradient.

    Nothing is rebuilt between calls, so any optimizer or sampler can be driven with it.

    Parameters
    ----------
    problem : ODEProblem
        The model, its start values and its parameters.
    data : xarray.Dataset
        Measured states or observables over ``time``, in the problem's units; NaN where nothing was measured.
    loss : {"nmse", "mse"}, default "nmse"
        Mean over all finite values of the squared residual, for ``"nmse"`` each variable divided by its data's
        standard deviation (dimensionless).
    trainable : sequence of str or dict, optional
        Names or globs of what ``x`` holds, or a dict of these with ``True``, ``ps.Positive()`` or
        ``ps.Interval(lo, hi)``. None: all float parameters and all networks.
    engine : {"auto", "julia", "diffrax"}, default "auto"
        What computes it.
    algorithm : str or Algorithm, default "auto"
        Solver word; ``"auto"`` becomes one method by a probe solve.
    rtol, atol : float
        Tolerances of the solves, relative and in the states' units.
    sensitivity : str, default "auto"
        How the gradient is computed.
    verify : {"once", "always", "never"}, default "once"
        Hold gradients against differences of the loss along a random direction: the first of a problem by each
        way of computing it, all, or none.
    **unknown
        Nothing else: an unknown keyword raises with the nearest right one.

    Returns
    -------
    Objective
        Callable as ``objective(x) -> (value, gradient)``, for ``scipy.optimize.minimize(..., jac=True)``.

    Raises
    ------
    ProblemError
        For unknown names and words, and for data that do not fit the problem.
    UnsupportedByEngine
        If the engine lacks the algorithm or sensitivity.
    EngineUnavailable
        If the engine asked for isn't ready.

    Notes
    -----
    The check (``verify``) compares the derivative with central differences of losses that are computed with the very
    steps of the solve, where the engine can take these again (engine ``"julia"``: explicit Runge-Kutta and Rodas
    methods), and costs some three solves; else with differences of whole solves, which tell as much as their
    tolerances let them. A gradient of exact zeros is believed after growing steps in a random direction have
    found no slope. A gradient that isn't the derivative raises :class:`GradientMismatch` where it is computed.

    Examples
    --------
    >>> import pysciml as ps, xarray as xr
    >>> problem = ps.ODEProblem(lambda t, u, p: {"x": -p.k * u.x}, {"x": 1.0}, (0, 2), {"k": 1.0})
    >>> data = xr.Dataset({"x": ("time", [0.6, 0.4])}, {"time": [1.0, 2.0]})
    >>> misfit = ps.objective(problem, data, engine="diffrax")
    >>> misfit.names
    ('k',)
    >>> value, gradient = misfit(misfit.x0)
    """
    check_keywords("objective", unknown, objective.__kwdefaults__ or ())
    check_verify(verify)
    misfit = make_misfit(problem, data, loss, trainable, engine, algorithm, rtol, atol, sensitivity)
    parametrization = natural_parametrization(misfit.blocks, problem.u0_values, problem.p_values, problem.initial)
    request = misfit.request(parametrization, misfit.x0)
    compiled = misfit.engine.make_objective(request)
    return Objective(misfit, Verified(verify, misfit.engine, compiled, request))


class Objective:
    """A loss and its gradient as functions of ``x (k,)``, in the user's own units. Made by :func:`objective`.

    Attributes
    ----------
    x0 : numpy.ndarray
        ``(k,)``: the values that the problem holds.
    names : tuple of str
        One an element of ``x``: ``"k"``, ``"rates[2]"``, ``"net.0.weight[3, 1]"``, ``"u0_x"``.
    blocks : tuple of pysciml.fitting.trainable.Block
        The named pieces of ``x``.
    bounds : list of (low, high)
        One an element, None where there is no bound, as SciPy takes them.
    algorithm, sensitivity, reason : str
        What ``"auto"`` became, and why.
    """

    def __init__(self, misfit: Misfit, verified: Verified):
        self._misfit = misfit
        self._verified = verified
        self._derived: dict[str, Verified] = {}
        self._compiled = compiled = verified.compiled
        self.x0 = misfit.x0
        self.names = tuple(name for block in misfit.blocks for name in element_names(block))
        self.bounds = [_bound(block.bound) for block in misfit.blocks for _ in range(block.size)]
        self.blocks = misfit.blocks
        self.algorithm = compiled.algorithm
        self.sensitivity = compiled.sensitivity
        self.reason = compiled.reason

    def value(self, x: np.ndarray) -> float:
        """Loss at ``x (k,)``; NaN where the solve fails."""
        return self._compiled.value(self._check(x))

    def value_and_gradient(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Loss and gradient ``(k,)`` at ``x (k,)``; NaN where the solve fails."""
        return self._verified(self._check(x))

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        return self.value_and_gradient(x)

    def unflatten(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """The elements of ``x (k,)`` by the name of what they belong to, in its shape (weights ``(out, in)``)."""
        x = self._check(x)
        return {block.name: block_values(block, x[block.slice]) for block in self.blocks}

    def problem(self, x: np.ndarray) -> ODEProblem:
        """The problem with the values of ``x (k,)``."""
        source, x = self._misfit.problem, self._check(x)
        return self._misfit.problem_of(*scatter_x(self.blocks, x, source.u0_values, source.p_values))

    def derived(self, name: str, derive: Callable[[SumRequest, str], SumRequest]) -> Verified:
        """Another objective made of this one's request, computed in the same way; compiled once."""
        if name not in self._derived:
            engine, verified = self._misfit.engine, self._verified
            for part in verified.request.parts:
                check_capabilities(engine, tangent_needs(part.solve), engine_capabilities())
            request = derive(verified.request, self.algorithm)
            self._derived[name] = Verified(verified.word, engine, engine.make_objective(request), request)
        return self._derived[name]

    def _check(self, x):
        x = np.asarray(x, dtype=np.float64)
        if x.shape != self.x0.shape:
            raise ProblemError(f"x must have shape {self.x0.shape}, one value a name in objective.names; got {x.shape}")
        return x

    def __repr__(self):
        words = f"{self._misfit.engine.name}: {self.algorithm}, {self.sensitivity}"
        return f"<Objective of x {self.x0.shape} on {words}>"


def _bound(bound):
    if isinstance(bound, Positive):
        return (0.0, None)
    return (bound.lo, bound.hi) if isinstance(bound, Interval) else (None, None)


def is_weight(block: Block) -> bool:
    """Whether a block is a weight matrix, stored column-major."""
    return block.network is not None and len(block.shape) == 2


def block_values(block: Block, flat: np.ndarray) -> np.ndarray:
    """A block's values in its shape."""
    return flat.reshape(block.shape, order="F" if is_weight(block) else "C")


def element_names(block: Block) -> list[str]:
    """A name for each element of a block."""
    if not block.shape:
        return [block.name]
    order = "F" if is_weight(block) else "C"
    indices = np.unravel_index(np.arange(block.size), block.shape, order=order)
    return [f"{block.name}[{', '.join(map(str, index))}]" for index in zip(*indices, strict=True)]
