"""objective(): a problem and data as one function of a flat vector, with its gradient."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import xarray as xr

from ..datasets.members import find_member
from ..engines.base import check_capabilities
from ..engines.choose import engine_capabilities
from ..errors import ProblemError
from ..fitting.trainable import Block, Interval, Positive, natural_parametrization
from ..ir.program import Program
from ..problems.ode import ODEProblem
from ..requests import SumRequest, tangent_needs
from ..words import check_keywords
from .algorithm import Algorithm
from .member import Member
from .misfit import Misfit, make_misfit
from .sensitivity import Sensitivity
from .verify import Verified, check_verify

Data = xr.Dataset | Mapping[str, object] | object  # a pandas DataFrame too, which is not imported for its name


def objective(
    problem: ODEProblem,
    data: Data,
    *,
    loss="nmse",
    trainable: None | Sequence[str] | Mapping[str, object] = None,
    over: None | xr.Dataset | Mapping[str, object] = None,
    time: str = "time",
    weights: None | xr.Dataset | Mapping[str, object] = None,
    priors: None | Mapping[str, object] = None,
    penalty=None,
    engine: str = "auto",
    algorithm: str | Algorithm = "auto",
    rtol: float = 1e-6,
    atol: float = 1e-8,
    sensitivity: str | Sensitivity = "auto",
    device: str = "cpu",
    verify: str = "once",
    **unknown,
) -> "Objective":
    """Return the loss of a problem against data as a function of a flat vector, with its gradient.

    Nothing is rebuilt between calls, so any optimizer or sampler can be driven with it.

    Parameters
    ----------
    problem : ODEProblem
        The model, its start values and its parameters.
    data : xarray.Dataset, pandas.DataFrame or dict of these
        Measured states or observables over ``time``, in the problem's units; NaN where nothing was measured. A table
        is long, with columns of the batch dims of ``over`` (times that occur twice are replicates), or wide. A dict
        holds experiments by name, which is their coordinate along ``experiment``.
    loss : str, likelihood, dict of these by variable, or function, default "nmse"
        A word is a mean over all finite values of all experiments, residuals being divided by their variable's
        standard deviation (dimensionless): ``"nmse"`` of squares, ``"mae"`` of sizes, ``"huber"`` of squares up to 1
        and twice the size less 1 beyond; ``"mse"`` of squares as they are, ``"relative"`` of squares after division
        by the data. A likelihood (:class:`Normal`, :class:`LogNormal`, :class:`Poisson`, :class:`NegativeBinomial`) is
        a sum of negative logarithms. ``loss(prediction, data, p)`` is traced: records of what was measured with a
        leading axis of times and ``.time``, data NaN where missing; the value is summed over experiments.
    trainable : sequence of str or dict, optional
        Names or globs of what ``x`` holds, or a dict of these with ``True``, ``ps.Positive()`` or
        ``ps.Interval(lo, hi)``. None: all float parameters and all networks.
    over : Dataset or dict, optional
        Known values that differ by experiment: parameters, inputs or initial values over batch dims. What is named in
        ``trainable`` too is fitted for each experiment, from these as start values.
    time : str, default "time"
        Name of the times in ``data``.
    weights : dict or Dataset, optional
        Factors of the losses of a variable: numbers, or over ``time`` and batch dims.
    priors : dict, optional
        Frozen distributions of ``scipy.stats`` by name of what is trained, with a likelihood: minus their logarithms
        are added to the loss.
    penalty : L2, function, or list or dict of these, optional
        Added to the loss: :class:`L2`, or traced functions that return a number. ``penalty(p)`` is added as it is; the
        mean of ``penalty(t, u, p)`` along the path, such as ``(u.a + u.b - 1) ** 2`` for what is conserved, or
        ``np.minimum(u.a, 0) ** 2`` for what is positive, is that over the times of the data (of one series also those
        at which all is NaN: add some to look in between).
    engine : {"auto", "julia", "diffrax"}, default "auto"
        What computes it.
    algorithm : str or Algorithm, default "auto"
        Solver word; ``"auto"`` becomes one method by a probe solve.
    rtol, atol : float
        Tolerances of the solves, relative and in the states' units.
    sensitivity : str or Sensitivity, default "auto"
        How the gradient is computed.
    device : {"cpu", "gpu"}, default "cpu"
        Where the model and its gradient are computed; see :func:`solve`.
    verify : {"once", "always", "never"}, default "once"
        Hold gradients against differences of the loss along a random direction: the first of a problem by each
        way of computing it, and the first over a span more than twice as long as the longest of these; all; or none.
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
        If the engine asked for isn't ready, or there is no GPU.

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
    more = {"over": over, "time": time, "weights": weights, "priors": priors, "penalty": penalty, "device": device}
    misfit = make_misfit(problem, data, loss, trainable, engine, algorithm, rtol, atol, sensitivity, **more)
    request = misfit.request(natural, misfit.x0)
    compiled = misfit.engine.make_objective(request)
    return Objective(misfit, Verified(verify, misfit.engine, compiled, request))


def natural(member: Member, x0: np.ndarray) -> Program:
    """The parametrization of one experiment by values in the user's own units."""
    problem = member.problem
    return natural_parametrization(member.blocks, problem.u0_values, problem.p_values, problem.initial)


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
    engine, algorithm, sensitivity, reason : str
        What ``"auto"`` became, and why.
    device : str
        Where it is computed.
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
        self.engine = misfit.engine.name
        self.algorithm = compiled.algorithm
        self.sensitivity = compiled.sensitivity
        self.reason = compiled.reason
        self.device = verified.request.device

    def value(self, x: np.ndarray) -> float:
        """Loss at ``x (k,)``; NaN where the solve fails."""
        return self._compiled.value(self._check(x))

    def value_and_gradient(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Loss and gradient ``(k,)`` at ``x (k,)``; NaN where the solve fails."""
        return self._verified(self._check(x))

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        return self.value_and_gradient(x)

    def unflatten(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """The elements of ``x (k,)`` by the name of what they belong to, in its shape (weights ``(out, in)``).

        What differs by experiment has its coordinates in its name: ``"k(patient=3)"``.
        """
        x = self._check(x)
        return {block.label: block_values(block, x[block.slice]) for block in self.blocks}

    def problem(self, x: np.ndarray, **coords) -> ODEProblem:
        """The problem with the values of ``x (k,)``; of several experiments that at ``coords`` (``patient=3``)."""
        members = self._misfit.members
        x = self._check(x)
        if not coords and len(members) == 1:
            return members[0].problem_at(x)
        return find_member([(one.coords, one) for one in members], coords)[1].problem_at(x)

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
        return [block.label]
    order = "F" if is_weight(block) else "C"
    indices = np.unravel_index(np.arange(block.size), block.shape, order=order)
    return [f"{block.label}[{', '.join(map(str, index))}]" for index in zip(*indices, strict=True)]
