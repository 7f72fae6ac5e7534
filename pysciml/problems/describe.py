"""A problem as text: states, parameters, span, equations."""

import numpy as np

_MOST_EQUATIONS = 40


def describe_problem(problem) -> str:
    """What ``repr`` shows."""
    title = f"ODEProblem {problem.name!r}" if problem.name else "ODEProblem"
    unit = problem.units.get("time")
    lines = [f"<{title}>", f"t from {problem.t_span[0]} to {problem.t_span[1]}" + (f" {unit}" if unit else "")]
    if problem.calendar is not None:
        lines[-1] = f"t from {problem.t_span[0]} to {problem.t_span[1]}, in {unit} since the start"
    lines += ["States"] + _rows(problem, problem.u_layout, problem.u0_values)
    if problem.p_layout.entries:
        lines += ["Parameters"] + _rows(problem, problem.p_layout, problem.p_values)
    return "\n".join(lines)


def _rows(problem, layout, flat):
    """One line an entry: name, dims or value, unit."""
    width = max(len(entry.name) for entry in layout.entries)
    lines = []
    for entry in layout.entries:
        unit = problem.units.get(entry.name, "")
        lines.append(f"    {entry.name:<{width}}  {_value(problem, entry, flat[entry.slice])}  {unit}".rstrip())
    return lines


def _value(problem, entry, flat):
    if entry.network is not None:
        n = entry.network
        return (
            f"MLP {n.in_size} -> {n.out_size}, width {n.width}, depth {n.depth}, {n.activation}: {n.n_weights} weights"
        )
    if entry.shape == ():
        return f"{flat[0]:g}"
    sizes = ", ".join(f"{dim}: {size}" for dim, size in zip(problem.dims[entry.name], entry.shape, strict=True))
    shown = np.array2string(flat, precision=3, threshold=4, edgeitems=2, max_line_width=60) if flat.size <= 4 else "..."
    return f"({sizes})  {shown}"
