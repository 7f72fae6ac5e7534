"""The no-U-turn sampler of BlackJAX on a density that any engine computes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from itertools import count

import numpy as np

from ..errors import EngineUnavailable, SolveFailed
from .support import Support, to_bounded

BLOCK = 50  # draws between two looks at the keyboard
SPREAD = 0.1  # of the chains' starts, in units of an element's size
MOST_WHITENED = 200  # elements up to which starts and steps follow the density's curvature
LENGTH = 1e-3  # of differences for second derivatives
STATISTICS = {
    "acceptance_rate": "acceptance_rate",
    "diverging": "is_divergent",
    "energy": "energy",
    "n_steps": "num_integration_steps",
    "tree_depth": "num_trajectory_expansions",
}  # ArviZ's names, and BlackJAX's


@dataclass(frozen=True, eq=False)
class Density:
    """A negative log density and its gradient, up to a constant, as functions of ``x (k,)``; NaN where there is none.

    ``traced`` is the same for JAX's traced ``x``, where the engine is made of that.
    """

    value_and_gradient: Callable[[np.ndarray], tuple[float, np.ndarray]]
    support: Support
    traced: Callable | None = None


@dataclass(frozen=True, eq=False)
class Draws:
    """Draws ``x (chain, draw, k)``, and the sampler's statistics ``(chain, draw)`` by ArviZ's names."""

    x: np.ndarray
    statistics: dict[str, np.ndarray]
    version: str


@dataclass(frozen=True)
class Settings:
    """How much is drawn: ``draws`` of each of some ``chains`` behind ``tune`` that tune the steps."""

    draws: int
    tune: int
    chains: int
    seed: int
    target: float  # share of proposals to be accepted


def sample_nuts(density: Density, x0: np.ndarray, settings: Settings, report: Callable[[int], None]) -> Draws:
    """Draws of chains that start near ``x0 (k,)``; ``report`` hears how many more are done."""
    blackjax = _load()
    import jax

    failures: list[BaseException] = []  # what the engine raised; raising it inside JAX would only be reported

    def heard(n):
        if failures:
            raise failures[0]
        report(n)

    number = next(_NUMBERS)
    _ASKED[number] = density.value_and_gradient, failures
    try:
        with _double_precision(jax):
            if x0.size <= MOST_WHITENED:
                density = _whiten(density, x0)
            where = np.uint32(number), density.support.constants
            warm, advance = _compile(density, where, settings)
            chains = [
                _draw_chain(jax, density, x0, warm, advance, key, settings, heard)
                for key in jax.random.split(jax.random.key(settings.seed), settings.chains)
            ]
    finally:
        del _ASKED[number]
    found = {name: np.array([chain[name] for chain in chains]) for name in chains[0]}
    return Draws(found.pop("x"), found, blackjax.__version__)


def _draw_chain(jax, density, x0, warm, advance, key, settings, report):
    """The draws of one chain, and their statistics, by name."""
    start, tuning, drawing = jax.random.split(key, 3)
    z = _start(density, x0, np.asarray(jax.random.normal(start, x0.shape)))
    state, parameters = warm(tuning, z)
    jax.block_until_ready(state)
    report(settings.tune)
    blocks = []
    for first in range(0, settings.draws, BLOCK):
        keys = jax.random.split(jax.random.fold_in(drawing, first), BLOCK)
        state, block = advance(state, keys, parameters)
        blocks.append({name: np.asarray(values) for name, values in block.items()})
        report(min(BLOCK, settings.draws - first))
    return {name: np.concatenate([block[name] for block in blocks])[: settings.draws] for name in blocks[0]}


def _load():
    """BlackJAX; EngineUnavailable if it isn't installed."""
    try:
        import blackjax
    except ImportError as error:
        message = "posterior: the sampler is BlackJAX, which isn't installed; pip install 'pysciml[sampling]'"
        raise EngineUnavailable(message) from error
    return blackjax


def _double_precision(jax):
    """A context in which JAX computes in float64, whatever the caller's settings."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    from jax.experimental import enable_x64  # before JAX 0.8

    return enable_x64(True)


def _start(density, x0, noise):
    """A start of a chain: near ``x0``, or there, if there is no density around."""
    support = density.support
    z0 = support.to_unbounded(x0)
    first = 1.0 if support.is_whitened else SPREAD
    for spread in (first, 0.1 * first, 0.0):
        z = z0 + spread * noise
        if np.isfinite(density.value_and_gradient(support.to_bounded(z)[0])[0]):
            return z
    raise SolveFailed(
        "posterior: the model can't be solved at its start values, nor near them; call ps.solve on the same problem to "
        "see where and why"
    )


def _whiten(density, x0):
    """The density over coordinates in which it is about as wide in all directions, by its curvature at ``x0``.

    Without this a sampler that has yet to learn how parameters hang together takes hundreds of steps a draw.
    """
    there, pull = _compile_support()
    constants = density.support.constants

    def slope(w):
        """Of the negative log density."""
        x = np.asarray(there(constants, w)[0])
        return np.asarray(pull(constants, w, density.value_and_gradient(x)[1], -1.0))

    w, moves = density.support.to_unbounded(x0), LENGTH * np.eye(x0.size)
    bends = np.array([slope(w + move) - slope(w - move) for move in moves]) / (2 * LENGTH)
    return replace(density, support=density.support.whitened(x0, bends)) if np.isfinite(bends).all() else density


@cache
def _compile_support():
    """A point inside the bounds, and its product with cotangents, compiled for any bounds."""
    import jax
    import jax.numpy as jnp

    there = jax.jit(lambda constants, w: to_bounded(constants, w, jnp))
    return there, jax.jit(lambda constants, w, *cotangents: jax.vjp(partial(there, constants), w)[1](cotangents)[0])


def _compile(density, where, settings):
    """Functions that tune a chain's steps, and that draw a block, of a density and its support.

    What is asked of Python is compiled once for all densities of a size; but one element's arithmetic is rounded
    otherwise where its bounds aren't constants.
    """
    import jax

    if density.traced is None and density.support.size.size > 1:
        return (partial(loop, where) for loop in _compile_host(settings.target, settings.tune))
    ask = _ask_host if density.traced is None else lambda x, number: density.traced(x)
    return (jax.jit(partial(loop, where)) for loop in _make_loops(ask, settings.target, settings.tune))


@lru_cache(maxsize=8)
def _compile_host(target, tune):
    import jax

    return tuple(map(jax.jit, _make_loops(_ask_host, target, tune)))


def _make_loops(ask, target, tune):
    """Functions that tune and draw, told first which density is asked for, and the constants of its support."""
    import blackjax
    import jax
    import jax.numpy as jnp

    def warm(where, key, z):
        log_density = _log_density(ask, *where)
        warmup = blackjax.window_adaptation(blackjax.nuts, log_density, target_acceptance_rate=target)
        (state, parameters), _ = warmup.run(key, z, num_steps=tune)
        return state, {name: jnp.asarray(parameters[name]) for name in ("step_size", "inverse_mass_matrix")}

    def advance(where, state, keys, parameters):
        step = blackjax.nuts(_log_density(ask, *where), **parameters).step

        def one(state, key):
            state, info = step(key, state)
            x, stretch = to_bounded(where[1], state.position, jnp)
            kept = {"x": x, "lp": state.logdensity - stretch, "step_size": parameters["step_size"]}
            return state, kept | {name: getattr(info, theirs) for name, theirs in STATISTICS.items()}

        return jax.lax.scan(one, state, keys)

    return warm, advance


def _log_density(ask, number, constants):
    """The log density of the unbounded ``z (k,)``, whose derivative is the engine's gradient."""
    import jax
    import jax.numpy as jnp

    def both(x):
        value, gradient = ask(x, number)
        is_there = jnp.isfinite(value) & jnp.isfinite(gradient).all()
        return jnp.where(is_there, -value, -jnp.inf), jnp.where(is_there, -gradient, 0.0)

    @jax.custom_vjp
    def inside(x):
        return both(x)[0]

    inside.defvjp(both, lambda gradient, cotangent: (cotangent * gradient,))

    def log_density(z):
        x, stretch = to_bounded(constants, z, jnp)
        return inside(x) + stretch

    return log_density


_NUMBERS = count()
_ASKED: dict[int, tuple[Callable, list[BaseException]]] = {}  # densities by number, and what they raised


def _ask_host(x, number):
    """The NumPy function of a number, for traced values.

    Numbers cross as their bits: JAX calls back in a thread of its own, where the context that makes it compute in
    float64 doesn't hold, and would round them to float32.
    """
    import jax
    import jax.numpy as jnp

    bits = jax.lax.bitcast_convert_type(x, jnp.uint32)
    shape = jax.ShapeDtypeStruct((x.size + 1, 2), jnp.uint32)
    found = jax.lax.bitcast_convert_type(jax.pure_callback(_on_host, shape, bits, number), jnp.float64)
    return found[-1], found[:-1]


def _on_host(bits, number):
    value_and_gradient, failures = _ASKED[int(number)]
    x = np.ascontiguousarray(bits).view(np.float64)[:, 0]
    try:
        value, gradient = value_and_gradient(x)
    except BaseException as error:
        failures.append(error)
        value, gradient = np.nan, np.zeros_like(x)
    return np.append(gradient, value).view(np.uint32).reshape(-1, 2)
