"""Products of an objective's second derivatives with a vector."""

from dataclasses import replace

import numpy as np

from ..errors import ProblemError, UnsupportedByEngine
from ..fitting.tangents import parametrize_tangent, part, with_tangent
from ..ir.derivatives import jvp
from ..ir.program import Program, ProgramBuilder
from ..ir.rewrite import inline_program
from ..ir.simplify import simplify_program
from ..requests import ObjectiveRequest, SumRequest
from .objective import Objective


def hessian_vector_product(objective: Objective, x: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return the product of the Hessian of an objective with a vector.

    It costs about as much as two gradients, however many elements ``x`` has.

    Parameters
    ----------
    objective : Objective
        Made by :func:`objective`.
    x : array_like
        Point ``(k,)``, in the user's own units.
    v : array_like
        Vector ``(k,)``.

    Returns
    -------
    numpy.ndarray
        ``H(x) v`` ``(k,)``; NaN where the solve fails.

    Raises
    ------
    ProblemError
        For anything but an objective, and for vectors of another shape.
    GradientMismatch
        If it isn't the derivative that it should be; see :func:`objective`.

    Notes
    -----
    A solve carries the state's tangent along ``v``, under the same tolerances; the gradient of the loss's slope along
    ``v`` is computed as the objective computes gradients. So the product is as exact as the tolerances, not to
    rounding.

    References
    ----------
    Pearlmutter (1994), Fast exact multiplication by the Hessian, doi:10.1162/neco.1994.6.1.147

    Examples
    --------
    >>> import pysciml as ps, xarray as xr
    >>> problem = ps.ODEProblem(lambda t, u, p: {"x": -p.k * u.x}, {"x": 1.0}, (0, 2), {"k": 1.0})
    >>> data = xr.Dataset({"x": ("time", [0.0])}, {"time": [2.0]})
    >>> misfit = ps.objective(problem, data, loss="mse", engine="diffrax", rtol=1e-9)
    >>> product = ps.hessian_vector_product(misfit, misfit.x0, [1.0])  # of exp(-4 k)
    >>> round(float(product[0]), 4)
    0.2931
    """
    return _product("hessian_vector_product", objective, x, v)


def gauss_newton_vector_product(objective: Objective, x: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return the product of the Gauss-Newton matrix of an objective with a vector.

    With residuals ``r`` of weights ``w``, whose Jacobian is ``J``, the loss is the sum of ``w r**2`` and the matrix
    ``2 J' W J``: the Hessian without the second derivatives of the residuals, never indefinite.

    Parameters
    ----------
    objective : Objective
        Made by :func:`objective`.
    x : array_like
        Point ``(k,)``, in the user's own units.
    v : array_like
        Vector ``(k,)``.

    Returns
    -------
    numpy.ndarray
        ``2 J' W J v`` ``(k,)``; NaN where the solve fails.

    Raises
    ------
    ProblemError
        For anything but an objective, and for vectors of another shape.
    GradientMismatch
        If it isn't the derivative that it should be; see :func:`objective`.

    References
    ----------
    Schraudolph (2002), Fast curvature matrix-vector products, doi:10.1162/08997660260028683

    Examples
    --------
    >>> import pysciml as ps, xarray as xr
    >>> problem = ps.ODEProblem(lambda t, u, p: {"x": -p.k * u.x}, {"x": 1.0}, (0, 2), {"k": 1.0})
    >>> data = xr.Dataset({"x": ("time", [0.0])}, {"time": [2.0]})
    >>> misfit = ps.objective(problem, data, loss="mse", engine="diffrax", rtol=1e-9)
    >>> product = ps.gauss_newton_vector_product(misfit, misfit.x0, [1.0])
    >>> round(float(product[0]), 4)
    0.1465
    """
    return _product("gauss_newton_vector_product", objective, x, v)


def _product(name, objective, x, v):
    if not isinstance(objective, Objective):
        raise ProblemError(f"{name}: the first argument must be made by ps.objective, got {type(objective).__name__}")
    k = objective.x0.size
    x, v = (np.asarray(values, dtype=np.float64) for values in (x, v))
    for word, values in (("x", x), ("v", v)):
        if values.shape != (k,):
            raise ProblemError(f"{name}: {word} must have shape {(k,)}, as objective.x0; got {values.shape}")
    size = np.max(np.abs(v) / np.where(x != 0, np.abs(x), 1.0), initial=0.0)  # tangents of the states' own size
    if not size or not np.isfinite(size):
        return np.full(k, 0.0 if not size else np.nan)
    derivative = objective.derived(name, lambda request, algorithm: _with_tangents(name, request, algorithm))
    found = derivative(np.concatenate([x, v / size]))[1]
    return size * (found[:k] if name == "hessian_vector_product" else found[k:])


def _hessian_part(request: ObjectiveRequest, observe: Program) -> ObjectiveRequest:
    """The slope of the loss along v: half the difference of its values for the measured quantities moved to and fro."""
    builder = ProgramBuilder(observe.inputs)
    (both,) = inline_program(builder, observe, range(3))
    n = request.values.shape[1]
    y, dy = part(builder, both, 0, n), part(builder, both, n, n)
    moved = builder.add("concatenate", (builder.add("add", (y, dy)), builder.add("sub", (y, dy))), (0,))
    return replace(
        request,
        observe=simplify_program(builder.build([("y", moved)])),
        values=np.concatenate([request.values, request.values], axis=1),
        weights=np.concatenate([0.5 * request.weights, -0.5 * request.weights], axis=1),
    )


def _gauss_newton_part(request: ObjectiveRequest, observe: Program) -> ObjectiveRequest:
    """The weighted square of the residuals' tangent: its gradient by v is the product."""
    builder = ProgramBuilder(observe.inputs)
    (both,) = inline_program(builder, observe, range(3))
    n = request.values.shape[1]
    tangent = simplify_program(builder.build([("y", part(builder, both, n, n))]))
    return replace(request, observe=tangent, values=np.zeros_like(request.values))


def _penalty_slope(penalty: Program) -> Program:
    """Its derivative along a direction, as a function of a point and the direction."""
    (k,) = penalty.inputs[0].shape
    builder = ProgramBuilder()
    x = builder.add_input("x", (2 * k,))
    (slope,) = inline_program(builder, jvp(penalty, ["x"]), [part(builder, x, 0, k), part(builder, x, k, k)])
    return simplify_program(builder.build([("value", slope)]))


def _penalty_curvature(penalty: Program) -> Program:
    """Half its second derivative along a direction: the gradient by that is the product with the Hessian."""
    (k,) = penalty.inputs[0].shape
    builder = ProgramBuilder()
    x = builder.add_input("x", (2 * k,))
    moves = builder.add("concatenate", (part(builder, x, k, k), builder.constant(np.zeros(k))), (0,))
    (bend,) = inline_program(builder, jvp(_penalty_slope(penalty), ["x"]), [x, moves])
    return simplify_program(builder.build([("value", builder.add("mul", (builder.constant(0.5), bend)))]))


def _with_tangents(name, request: SumRequest, algorithm: str) -> SumRequest:
    """The sum whose gradient, as a function of a point and a direction, has the product in one of its halves."""
    if not all(part.is_squares for part in request.parts):
        raise UnsupportedByEngine(f"{name}: no engine has it for losses that are no sums of squares")
    k = request.x0.size
    parts = []
    for one in request.parts:
        chosen = replace(one, solve=replace(one.solve, algorithm=algorithm))
        parts.append(_PARTS[name](*_with_tangent(chosen)))
    penalties = tuple(_PENALTIES[name](penalty) for penalty in request.penalties)
    picks = tuple(np.concatenate([picks, k + picks]) for picks in request.picks)
    return SumRequest(tuple(parts), picks, np.concatenate([request.x0, np.ones(k)]), penalties)


def _with_tangent(request: ObjectiveRequest) -> tuple[ObjectiveRequest, Program]:
    """The request with everything's tangent behind it, and the measured quantities with theirs."""
    solve = request.solve
    observe = with_tangent(_states(solve.program) if request.observe is None else request.observe)
    program = with_tangent(solve.program)
    wide = replace(solve, program=program, u0=np.tile(solve.u0, 2), p=np.tile(solve.p, 2))
    x0 = np.concatenate([request.x0, np.ones_like(request.x0)])
    return replace(request, solve=wide, parametrization=parametrize_tangent(request.parametrization), x0=x0), observe


def _states(program: Program) -> Program:
    """The whole state as what is measured."""
    builder = ProgramBuilder(program.inputs)
    return builder.build([("y", 1)])


_PENALTIES = {"hessian_vector_product": _penalty_slope, "gauss_newton_vector_product": _penalty_curvature}
_PARTS = {"hessian_vector_product": _hessian_part, "gauss_newton_vector_product": _gauss_newton_part}
