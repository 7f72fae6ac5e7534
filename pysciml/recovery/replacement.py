"""A problem in which equations stand in the place of a network."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from ..errors import ProblemError
from ..fitting.scaling import find_calls
from ..ir.evaluate import evaluate_nodes
from ..ir.program import Program, ProgramBuilder
from ..ir.simplify import simplify_program
from ..problems.events import TracedEvent
from ..problems.names import check_disjoint
from ..problems.ode import ODEProblem
from ..tracing.layout import Entry, make_layout
from .terms import Sum


def find_network(problem: ODEProblem, name: str | None) -> Entry:
    """The network of this name, or the only one; ProblemError if there is none such, or the model doesn't call it."""
    networks = {entry.name: entry for entry in problem.p_layout.entries if entry.network is not None}
    if name is None and len(networks) != 1:
        told = ", ".join(networks) or "none"
        raise ProblemError(f"recover: say which network: network=...; the problem has {told}")
    if name is not None and name not in networks:
        raise ProblemError(f"recover: {name!r} is no network of the problem; it has {', '.join(networks) or 'none'}")
    entry = networks[name] if name is not None else next(iter(networks.values()))
    if not find_calls(problem.program, entry.start, entry.size):
        raise ProblemError(f"recover: the model doesn't call the network {entry.name!r}")
    return entry


def network_inputs(problem: ODEProblem, entry: Entry, times: np.ndarray, states: np.ndarray) -> np.ndarray:
    """What the network is fed ``(sample, input)`` at the times ``(time,)`` and states ``(time, n)``."""
    calls = find_calls(problem.program, entry.start, entry.size)
    seen = []
    for t, state in zip(times, states, strict=True):
        values = evaluate_nodes(problem.program, t, state, problem.p_values)
        seen += [values[problem.program.nodes[call].args[1]].reshape(-1, entry.network.in_size) for call in calls]
    return np.concatenate(seen)


def name_inputs(problem: ODEProblem, entry: Entry) -> tuple[str, ...]:
    """What each input is called: the state or parameter that it is, ``t``, else ``x0``, ``x1``..."""
    random = np.random.default_rng(0)
    names = [name for layout in (problem.u_layout, problem.p_layout) for name in _element_names(layout)]
    found: list[set[str]] = [set() for _ in range(entry.network.in_size)]
    calls = find_calls(problem.program, entry.start, entry.size)
    point = 1 + random.random(1 + problem.u_layout.size + problem.p_layout.size)  # numbers that tell everything apart
    t, u, p = np.split(point, [1, 1 + problem.u_layout.size])
    known = dict(zip(point.tolist(), ["t", *names], strict=True))
    values = evaluate_nodes(problem.program, t[0], u, p)
    for call in calls:
        for row in values[problem.program.nodes[call].args[1]].reshape(-1, entry.network.in_size):
            for k, value in enumerate(row.tolist()):
                found[k].add(known.get(value, ""))
    return tuple(next(iter(one)) if len(one) == 1 and one != {""} else f"x{k}" for k, one in enumerate(found))


def _element_names(layout):
    for entry in layout.entries:
        for k in range(entry.size):
            yield entry.name if not entry.shape else f"{entry.name}_{k}"


def replace_network(problem: ODEProblem, entry: Entry, equations: Sequence[Sum]) -> tuple[ODEProblem, tuple[str, ...]]:
    """The problem with equations, one an output, in the network's place, and the names of its new parameters.

    These are the constants of one equation after the other.
    """
    inputs = name_inputs(problem, entry)
    prefixes = [entry.name] if len(equations) == 1 else [f"{entry.name}{j}" for j in range(len(equations))]
    labels = {
        name: f"{label} in {entry.name}[{j}]"
        for j, (prefix, equation) in enumerate(zip(prefixes, equations, strict=True))
        for name, label in equation.name_constants(prefix, inputs).items()
    }
    names = tuple(labels)
    check_disjoint(problem.u_layout.names, (*problem.p_layout.names, *names), problem.y_layout.names)
    kept = [one for one in problem.p_layout.entries if one.name != entry.name]
    items = {one.name: (one.shape, one.network or one.table, one.is_float) for one in kept}
    layout = make_layout("record", items | dict.fromkeys(names, ((), None, True)))
    values = np.concatenate([problem.p_values[: entry.start], problem.p_values[entry.start + entry.size :]])
    values = np.concatenate([values, *(equation.constants for equation in equations)])

    def change(program, p_input):
        if program is None:
            return None
        return simplify_program(_place_equations(program, entry, equations, values.size, p_input))

    fields = problem.fields()
    fields |= {
        "program": change(problem.program, 2),
        "initial": change(problem.initial, 0),
        "observe": change(problem.observe, 2),
        "events": tuple(
            replace(e, condition=change(e.condition, 2), effect=change(e.effect, 2))
            if isinstance(e, TracedEvent)
            else e
            for e in problem.events
        ),
        "p_layout": layout,
        "p_values": values,
        "dims": {name: d for name, d in problem.dims.items() if name != entry.name} | dict.fromkeys(names, ()),
        "long_names": dict(problem.long_names) | labels,
    }
    return ODEProblem.from_fields(**fields), names


def _place_equations(program: Program, entry: Entry, equations, n_parameters: int, p_input: int) -> Program:
    """The Program on the new parameters: the old ones, zeros for the weights, of which nothing is left."""
    calls = set(find_calls(program, entry.start, entry.size))
    builder = ProgramBuilder()
    shapes = [(n_parameters,) if k == p_input else item.shape for k, item in enumerate(program.inputs)]
    arguments = [builder.add_input(item.name, shape) for item, shape in zip(program.inputs, shapes, strict=True)]
    n_constants = sum(len(one.constants) for one in equations)
    n_kept, p = n_parameters - n_constants, arguments[p_input]

    def cut(start, size):
        return [builder.add("slice", (p,), ((start,), (size,), (1,)))] if size else []

    parts = [*cut(0, entry.start), builder.constant(np.zeros(entry.size)), *cut(entry.start, n_kept - entry.start)]
    arguments[p_input] = builder.add("concatenate", parts, (0,)) if len(parts) > 1 else parts[0]
    constants = [builder.add("reshape", cut(n_kept + i, 1), ((),)) for i in range(n_constants)]
    new: list[int] = []
    for position, node in enumerate(program.nodes):
        if node.op == "input":
            new.append(arguments[node.attrs[0]])
        elif node.op == "constant":
            new.append(builder.constant(program.constants[node.attrs[0]]))
        elif position in calls:
            new.append(_add_equations(builder, new[node.args[1]], equations, iter(constants)))
        else:
            new.append(builder.add(node.op, (new[i] for i in node.args), node.attrs, node.origin))
    return builder.build((output.name, new[output.node]) for output in program.outputs)


def _add_equations(builder: ProgramBuilder, x: int, equations: Sequence[Sum], constants: Iterator[int]) -> int:
    """The node ``(..., output)`` of equations with their constants, on the inputs ``(..., input)`` of a network."""
    *batch, n_inputs = builder.nodes[x].shape
    batch, ones = tuple(batch), (1,) * (len(batch) + 1)
    inputs = []
    for k in range(n_inputs):
        part = builder.add("slice", (x,), ((*(0 for _ in batch), k), (*batch, 1), ones))
        inputs.append(builder.add("reshape", (part,), (batch,)))
    outputs = [builder.add("reshape", (one.record(builder, inputs, constants),), ((*batch, 1),)) for one in equations]
    return builder.add("concatenate", outputs, (len(batch),)) if len(outputs) > 1 else outputs[0]
