"""Optimizers as values: what to run, not how."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from ..errors import ProblemError
from ..words import nearest
from .schedules import LearningRate, check_count, check_rate, is_positive


class Optimizer:
    """What all optimizers have: ``steps``, and the ``word`` by which engines know them."""

    word: ClassVar[str]
    steps: int

    def __post_init__(self):
        check_count(type(self).__name__, "steps", self.steps)


class FirstOrder(Optimizer):
    """Those that follow the gradient by a learning rate."""

    learning_rate: LearningRate
    clip: float | None

    def __post_init__(self):
        super().__post_init__()
        name = type(self).__name__
        check_rate(name, "learning_rate", self.learning_rate)
        if self.clip is not None and not is_positive(self.clip):
            raise ProblemError(f"{name}: clip must be a positive number or None, got {self.clip!r}")


@dataclass(frozen=True)
class Adam(FirstOrder):
    """Adaptive moment estimation: robust far from the minimum.

    Parameters
    ----------
    learning_rate : float, Cosine, Exponential or Warmup, default 1e-2
        Length of a step in the fit's scaled units (a parameter's own size, a network's normalised weights).
    steps : int, default 500
        Iterations, shared out over the horizons of a growing horizon.
    clip : float, optional
        Longest gradient: a longer one is shortened, its direction kept. None: none is.

    Raises
    ------
    ProblemError
        If ``learning_rate`` or ``clip`` is not positive and finite, or ``steps`` not a positive integer.

    References
    ----------
    Kingma, Ba (2015), Adam: a method for stochastic optimization, ICLR. doi:10.48550/arXiv.1412.6980

    Examples
    --------
    >>> import pysciml as ps
    >>> ps.Adam(1e-2, steps=300)
    Adam(learning_rate=0.01, steps=300, clip=None)
    """

    word: ClassVar[str] = "adam"
    learning_rate: LearningRate = 1e-2
    steps: int = field(default=500, kw_only=True)
    clip: float | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class AdamW(FirstOrder):
    """Adam that also draws the weights of networks towards 0, apart from the gradient.

    Parameters
    ----------
    learning_rate : float, Cosine, Exponential or Warmup, default 1e-2
        Length of a step in the fit's scaled units.
    weight_decay : float, default 1e-4
        At each step the scaled weight matrices of networks shrink by this times the learning rate; other parameters
        and biases stay as they are.
    steps : int, default 500
        Iterations.
    clip : float, optional
        Longest gradient.

    Raises
    ------
    ProblemError
        If a number is not positive and finite, or ``steps`` not a positive integer.

    References
    ----------
    Loshchilov, Hutter (2019), Decoupled weight decay regularization, ICLR. doi:10.48550/arXiv.1711.05101

    Examples
    --------
    >>> import pysciml as ps
    >>> ps.AdamW(1e-2, weight_decay=0.01)
    AdamW(learning_rate=0.01, weight_decay=0.01, steps=500, clip=None)
    """

    word: ClassVar[str] = "adam"
    learning_rate: LearningRate = 1e-2
    weight_decay: float = field(default=1e-4, kw_only=True)
    steps: int = field(default=500, kw_only=True)
    clip: float | None = field(default=None, kw_only=True)

    def __post_init__(self):
        super().__post_init__()
        if not is_positive(self.weight_decay):
            raise ProblemError(f"AdamW: weight_decay must be a positive number, got {self.weight_decay!r}")


@dataclass(frozen=True)
class Lion(FirstOrder):
    """Steps of one length in each element, by the sign of a running mean: little memory, small rates.

    Parameters
    ----------
    learning_rate : float, Cosine, Exponential or Warmup, default 1e-3
        Length of a step in each element, in the fit's scaled units.
    steps : int, default 500
        Iterations.
    clip : float, optional
        Longest gradient.

    Raises
    ------
    ProblemError
        If ``learning_rate`` or ``clip`` is not positive and finite, or ``steps`` not a positive integer.

    References
    ----------
    Chen et al. (2023), Symbolic discovery of optimization algorithms, NeurIPS. doi:10.48550/arXiv.2302.06675

    Examples
    --------
    >>> import pysciml as ps
    >>> ps.Lion(ps.Cosine(1e-2), steps=100)
    Lion(learning_rate=Cosine(start=0.01, end=0.0), steps=100, clip=None)
    """

    word: ClassVar[str] = "lion"
    learning_rate: LearningRate = 1e-3
    steps: int = field(default=500, kw_only=True)
    clip: float | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class RMSProp(FirstOrder):
    """Gradients divided by the root of a running mean of their squares.

    Parameters
    ----------
    learning_rate : float, Cosine, Exponential or Warmup, default 1e-2
        Length of a step in the fit's scaled units.
    steps : int, default 500
        Iterations.
    clip : float, optional
        Longest gradient.

    Raises
    ------
    ProblemError
        If ``learning_rate`` or ``clip`` is not positive and finite, or ``steps`` not a positive integer.

    References
    ----------
    Tieleman, Hinton (2012), Lecture 6.5, rmsprop, Coursera: Neural networks for machine learning (never published
    otherwise; it has no doi).

    Examples
    --------
    >>> import pysciml as ps
    >>> ps.RMSProp(1e-2, clip=10.0)
    RMSProp(learning_rate=0.01, steps=500, clip=10.0)
    """

    word: ClassVar[str] = "rmsprop"
    learning_rate: LearningRate = 1e-2
    steps: int = field(default=500, kw_only=True)
    clip: float | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class LBFGS(Optimizer):
    """Limited-memory BFGS with a line search: fast and precise near a minimum.

    Parameters
    ----------
    steps : int, default 200
        Most iterations; it stops earlier when the loss no longer falls.

    Raises
    ------
    ProblemError
        If ``steps`` is not a positive integer.

    References
    ----------
    Liu, Nocedal (1989), On the limited memory BFGS method for large scale optimization, Mathematical Programming 45,
    503-528. doi:10.1007/BF01589116

    Examples
    --------
    >>> import pysciml as ps
    >>> ps.LBFGS(steps=100)
    LBFGS(steps=100)
    """

    word: ClassVar[str] = "lbfgs"
    steps: int = field(default=200, kw_only=True)


@dataclass(frozen=True)
class BFGS(Optimizer):
    """Quasi-Newton with a full matrix and a line search: for up to some hundred parameters, where LBFGS is slow.

    Parameters
    ----------
    steps : int, default 200
        Most iterations; it stops earlier when the loss no longer falls.

    Raises
    ------
    ProblemError
        If ``steps`` is not a positive integer.

    References
    ----------
    Broyden (1970), The convergence of a class of double-rank minimization algorithms, IMA Journal of Applied
    Mathematics 6, 76-90. doi:10.1093/imamat/6.1.76

    Examples
    --------
    >>> import pysciml as ps
    >>> ps.BFGS(steps=100)
    BFGS(steps=100)
    """

    word: ClassVar[str] = "bfgs"
    steps: int = field(default=200, kw_only=True)


@dataclass(frozen=True)
class LevenbergMarquardt(Optimizer):
    """Gauss-Newton within a trust region, on the residuals: few iterations where the data determine the parameters.

    For losses that are sums of squares (``"nmse"``, ``"mse"``, ``"relative"``), without penalties, and up to some
    dozens of parameters: each iteration carries a tangent for each of them.

    Parameters
    ----------
    steps : int, default 100
        Most trials; it stops earlier when the loss no longer falls.

    Raises
    ------
    ProblemError
        If ``steps`` is not a positive integer.

    References
    ----------
    Marquardt (1963), An algorithm for least-squares estimation of nonlinear parameters, doi:10.1137/0111030.
    Branch, Coleman, Li (1999), A subspace, interior, and conjugate gradient method for large-scale bound-constrained
    minimization problems, doi:10.1137/S1064827595289108 (SciPy's ``trf``, which runs it).

    Examples
    --------
    >>> import pysciml as ps
    >>> ps.LevenbergMarquardt(steps=50)
    LevenbergMarquardt(steps=50)
    """

    word: ClassVar[str] = "levenberg_marquardt"
    steps: int = field(default=100, kw_only=True)


@dataclass(frozen=True)
class CMAES(Optimizer):
    """Covariance matrix adaptation: a search without gradients, for rough losses of few parameters.

    Needs the package ``cma`` (``pip install 'pysciml[cma]'``).

    Parameters
    ----------
    steps : int, default 200
        Most generations.
    sigma : float, default 0.3
        Deviation of the first generation, in the fit's scaled units.
    population : int, optional
        Points of a generation; None: by the number of parameters.

    Raises
    ------
    ProblemError
        If ``sigma`` is not positive and finite, or an integer not positive.

    References
    ----------
    Hansen, Ostermeier (2001), Completely derandomized self-adaptation in evolution strategies,
    doi:10.1162/106365601750190398

    Examples
    --------
    >>> import pysciml as ps
    >>> ps.CMAES(sigma=0.1)
    CMAES(steps=200, sigma=0.1, population=None)
    """

    word: ClassVar[str] = "cmaes"
    steps: int = field(default=200, kw_only=True)
    sigma: float = field(default=0.3, kw_only=True)
    population: int | None = field(default=None, kw_only=True)

    def __post_init__(self):
        super().__post_init__()
        if not is_positive(self.sigma):
            raise ProblemError(f"CMAES: sigma must be a positive number, got {self.sigma!r}")
        if self.population is not None:
            check_count("CMAES", "population", self.population)


_CLASSES = {cls.__name__: cls for cls in (Adam, AdamW, Lion, RMSProp, LBFGS, BFGS, LevenbergMarquardt, CMAES)}
_WORDS = {name.lower(): cls for name, cls in _CLASSES.items()}


def read_optimizers(
    optimizer: Optimizer | str | Sequence[Optimizer | str] | None, has_batches: bool = False
) -> tuple[Optimizer, ...]:
    """The optimizers to be run in order; ProblemError for anything that isn't one, or can't be with minibatches."""
    if optimizer is None:
        return (Adam(),) if has_batches else (Adam(), LBFGS())
    items = optimizer if isinstance(optimizer, list | tuple) else [optimizer]
    if not items:
        raise ProblemError("optimizer: the list is empty; leave it out for Adam then LBFGS")
    found = tuple(_read_one(item) for item in items)
    for item in found if has_batches else ():
        if not isinstance(item, FirstOrder):
            raise ProblemError(
                f"optimizer: {type(item).__name__} needs the same loss at each step, which batch= changes; "
                "use ps.Adam(), AdamW, Lion or RMSProp, then fit result.problem without batch="
            )
    return found


def _read_one(item):
    if isinstance(item, tuple(_CLASSES.values())):
        return item
    if isinstance(item, type) and item in _CLASSES.values():
        return item()
    if isinstance(item, str) and item.lower() in _WORDS:
        return _WORDS[item.lower()]()
    names = list(_CLASSES)
    raise ProblemError(f"optimizer: unknown optimizer {item!r}; one of {names}{nearest(item, names)}")
