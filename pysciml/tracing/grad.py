"""grad(): the gradient of a function, inside a model and outside."""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

import numpy as np

from ..errors import ProblemError
from ..ir.evaluate import evaluate_program
from ..ir.ops import BOOL
from ..ir.program import Input, Program, ProgramBuilder
from ..ir.reverse import vjp
from ..ir.rewrite import inline_program
from ..ir.simplify import simplify_program
from .external import ExternalInput
from .lifting import is_bool, lift, make_value, to_float
from .network import Network
from .record import Record, record_items
from .recorder import Recorder, active_recorder, is_recording, recording
from .source import trace_error


def grad(function: Callable, argnums: int | Sequence[int] = 0) -> Callable:
    """Return the function that gives the gradient of ``function``, a number made of its arguments.

    Forces follow from an energy, the equations of motion from a Hamiltonian or a Lagrangian, by hand or a network:
    inside a model the gradient is made of ordinary operations of NumPy, on both engines, and has derivatives itself.

    Parameters
    ----------
    function : callable
        Takes numbers, arrays, records, or dicts, lists and tuples of these, and returns one number ``()``, computed
        by NumPy. What it closes over, such as parameters and networks, is held fixed.
    argnums : int or sequence of int, default 0
        Which arguments the gradient is by.

    Returns
    -------
    callable
        Of the same arguments: the gradient in the form and shape of the argument, in the unit of the result over
        that of the argument; with several ``argnums`` a tuple of them. Numbers and arrays outside a model.

    Raises
    ------
    ProblemError
        If ``function`` can't be called, or ``argnums`` are no positions.
    TraceError
        When it is called, if the result isn't one number, or for what can't be traced.

    Notes
    -----
    At kinks the gradient is that of the table of derivatives: ``abs`` has slope 0 at 0, and the branch that
    ``np.where`` drops adds nothing.

    References
    ----------
    Griewank, Walther (2008), Evaluating Derivatives, doi:10.1137/1.9780898717761

    Examples
    --------
    >>> import numpy as np
    >>> import pysciml as ps
    >>> def energy(q, v):
    ...     return 0.5 * v**2 - 9.81 * np.cos(q)
    >>> ps.grad(energy)(0.0, 1.0), ps.grad(energy, argnums=1)(0.0, 1.0)
    (0.0, 1.0)
    >>> problem = ps.ODEProblem(
    ...     lambda t, u, p: {"q": ps.grad(energy, 1)(u.q, u.v), "v": -ps.grad(energy)(u.q, u.v)},
    ...     {"q": 0.1, "v": 0.0},
    ...     (0, 1),
    ... )
    >>> round(float(ps.solve(problem, saveat=[1.0], engine="diffrax").q[0]), 4)
    -0.1
    """
    if not callable(function):
        raise ProblemError(f"grad: {function!r} is not a function")
    positions = _read_positions(argnums)

    @wraps(function)
    def gradient(*arguments):
        if positions[-1] >= len(arguments):
            raise trace_error(
                f"grad: argument {positions[-1]} is wanted, and there are {len(arguments)}",
                "Positions count from 0; arguments are given by position.",
            )
        chosen = [arguments[k] for k in positions]
        leaves = [leaf for argument in chosen for leaf in _leaves(argument)]

        def call(stand_ins):
            rest, given = iter(stand_ins), list(arguments)
            for k in positions:
                given[k] = _rebuild(arguments[k], rest)
            return function(*given)

        found = iter(_inside(call, leaves) if is_recording() else _outside(call, leaves))
        results = tuple(_rebuild(argument, found) for argument in chosen)
        return results[0] if isinstance(argnums, int | np.integer) else results

    return gradient


def _read_positions(argnums):
    """Positions of arguments as they were given; ProblemError for anything else."""
    positions = [argnums] if isinstance(argnums, int | np.integer) else list(argnums)
    if not positions or any(isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 0 for k in positions):
        raise ProblemError(f"grad: argnums must be positions of arguments, 0 or (0, 1), got {argnums!r}")
    if sorted(set(positions)) != positions:
        raise ProblemError(f"grad: argnums must increase, got {argnums!r}")
    return positions


def _leaves(argument) -> list[Any]:
    """The numbers and arrays that an argument is made of."""
    if isinstance(argument, Network | ExternalInput):
        raise trace_error(
            f"grad: no gradient by {argument!r}", "Take it by an array or number; what is closed over is held fixed."
        )
    if isinstance(argument, Record | Mapping | list | tuple):
        return [leaf for item in _items(argument) for leaf in _leaves(item)]
    return [argument]


def _items(argument):
    if isinstance(argument, Record):
        return list(record_items(argument).values())
    return list(argument.values()) if isinstance(argument, Mapping) else list(argument)


def _rebuild(argument, leaves):
    """Something of the form of an argument, made of the next leaves."""
    if isinstance(argument, Record):
        return Record({name: _rebuild(item, leaves) for name, item in record_items(argument).items()})
    if isinstance(argument, Mapping):
        return {name: _rebuild(item, leaves) for name, item in argument.items()}
    if isinstance(argument, list | tuple):
        items = [_rebuild(item, leaves) for item in argument]
        return items if isinstance(argument, list) else tuple(items)
    return next(leaves)


def _inside(call, leaves):
    """Traced gradients by leaves, recorded where a model is being traced."""
    recorder = active_recorder()
    values = [to_float(lift(leaf)) for leaf in leaves]
    marks = [recorder.add("reshape", (value._node,), (value.shape,)) for value in values]
    result = _result_node(recorder, call([make_value(mark) for mark in marks]))
    program, externals = _between(recorder.builder, marks, result)
    return [make_value(node) for node in inline_program(recorder.builder, _gradients(program, marks), externals)]


def _outside(call, leaves):
    """Gradients by leaves that are numbers and arrays."""
    arrays = [np.asarray(leaf, dtype=np.float64) for leaf in leaves]
    recorder = Recorder([Input(f"x{k}", array.shape) for k, array in enumerate(arrays)])
    with recording(recorder):
        result = _result_node(recorder, call([make_value(k) for k in range(len(arrays))]))
        program = recorder.builder.build([("y", result)])
    found = evaluate_program(_gradients(program, arrays), *arrays)
    return [np.array(value) if np.ndim(value) else float(value) for value in found]


def _result_node(recorder, result):
    """The node of a function's result; TraceError unless it is one number."""
    if isinstance(result, Mapping | Record) or result is None:
        raise trace_error("grad: the function returned no number", "Return one number, such as an energy.")
    value = lift(result)
    if value.shape != () or is_bool(value):
        words = "True or False" if is_bool(value) else f"shape {value.shape}"
        raise trace_error(f"grad: the function returned {words}", "Return one number; np.sum(...) makes one of many.")
    return value._node


def _gradients(program: Program, wrt) -> Program:
    """The Program of the gradients of ``y`` by the first inputs."""
    names = [item.name for item in program.inputs[: len(wrt)]]
    pullback = vjp(program, names)
    builder = ProgramBuilder(program.inputs)
    arguments = [*range(len(program.inputs)), builder.constant(1.0)]
    found = inline_program(builder, pullback, arguments)
    return simplify_program(builder.build(zip(names, found, strict=True)))


def _between(builder: ProgramBuilder, marks: Sequence[int], result: int) -> tuple[Program, list[int]]:
    """What leads from marked nodes to a result, as a Program, and the nodes of the builder that are its inputs.

    These are the marked ones and the floats that don't depend on them.
    """
    depends, needed = set(marks), {result}
    for k in range(min(marks, default=result), result + 1):
        if not depends.isdisjoint(builder.nodes[k].args):
            depends.add(k)
    externals = list(marks)
    for k in range(result, -1, -1):
        node = builder.nodes[k]
        if k not in needed or k in marks or node.op == "constant":
            continue
        if k in depends or node.dtype == BOOL:
            needed.update(node.args)
        else:
            externals.append(k)
    program = ProgramBuilder(Input(f"x{k}", builder.nodes[node].shape) for k, node in enumerate(externals))
    new = {node: k for k, node in enumerate(externals)}
    for k in sorted(needed - set(externals)):
        node = builder.nodes[k]
        if node.op == "constant":
            new[k] = program.constant(builder.constants[node.attrs[0]])
        else:
            new[k] = program.add(node.op, (new[i] for i in node.args), node.attrs, node.origin)
    return program.build([("y", new[result])]), externals
