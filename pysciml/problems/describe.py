"""A problem as text: states, parameters, span, equations."""

import numpy as np

from ..ir.format import format_equations
from .events import Every
from .schedule import Schedule


def describe_problem(problem) -> str:
    """What ``repr`` shows."""
    title = f"ODEProblem {problem.name!r}" if problem.name else "ODEProblem"
    unit = problem.units.get("time")
    lines = [f"<{title}>", f"t from {problem.t_span[0]} to {problem.t_span[1]}" + (f" {unit}" if unit else "")]
    if problem.calendar is not None:
        lines[-1] = f"from {problem.t_span[0]} to {problem.t_span[1]}, t in {unit} since then"
    lines += ["States"] + _rows(problem, problem.u_layout, problem.u0_values)
    if problem.p_layout.entries:
        lines += ["Parameters"] + _rows(problem, problem.p_layout, problem.p_values)
    if problem.y_layout.entries:
        lines += ["Observables"] + _rows(problem, problem.y_layout, None)
    labels = {"u": element_labels(problem.u_layout), "p": element_labels(problem.p_layout)}
    rates = {"du": element_labels(problem.u_layout, "'")}
    lines += ["Equations"] + [f"    {line}" for line in format_equations(problem.program, labels, rates)]
    for program, name, layout in (
        (problem.initial, "u0", problem.u_layout),
        (problem.observe, "y", problem.y_layout),
    ):
        if program is not None:
            names = element_labels(layout, "(0)" if name == "u0" else "")
            lines += [f"    {line}" for line in format_equations(program, labels, {name: names})]
    lines += ["Events"] * bool(problem.events) + [line for e in problem.events for line in _event_lines(problem, e)]
    return "\n".join(lines)


def _event_lines(problem, event):
    """When an event fires, and what it changes."""
    if isinstance(event, Schedule):
        n, states = len(event.state), ", ".join(dict.fromkeys(event.state))
        return [f"    {event.name}: {n} dose{'s' if n > 1 else ''} to {states}"]
    labels = {"u": element_labels(problem.u_layout), "p": element_labels(problem.p_layout)}
    end = ", where the solve ends" * event.terminal
    lines = [f"    {event.name}: {_event_moment(event, labels)}{end}"]
    if event.effect is not None:
        new = {key: [w for w in words if w.split("[")[0] in event.changed] for key, words in labels.items()}
        lines += [f"        {line}" for line in format_equations(event.effect, labels, new)]
    return lines


def _event_moment(event, labels):
    if event.condition is not None:
        (line,) = format_equations(event.condition, labels)
        word = {0: "crosses", 1: "rises through", -1: "falls through"}[event.direction]
        return f"{line.removeprefix('value = ')} {word} 0"
    if isinstance(event.times, Every):
        start = "" if event.times.start is None else f" from {event.times.start:g}"
        return f"every {event.times.dt:g}{start}"
    shown = ", ".join(map(str, event.times[:4]))
    return f"at {shown}" + ", ..." * (len(event.times) > 4)


def element_labels(layout, mark=""):
    """What each element of a flat vector is called: ``hare``, or ``hare[0, 1]`` in an array."""
    labels = []
    for entry in layout.entries:
        if entry.table is not None:
            n, m = entry.table.n_times, entry.table.n_values
            labels += [f"{entry.name}_time[{k}]" for k in range(n)] + [f"{entry.name}[{k}]" for k in range(m)]
            labels += [f"{entry.name}_slope[{k}]" for k in range(entry.size - n - m)]
            continue
        places = [f"[{', '.join(map(str, index))}]" if index else "" for index in np.ndindex(entry.shape)]
        labels += [f"{entry.name}{mark}{place}" for place in places]
    return labels


def _rows(problem, layout, flat):
    """One line an entry: name, dims or value, unit."""
    width = max(len(entry.name) for entry in layout.entries)
    lines = []
    for entry in layout.entries:
        unit = problem.units.get(entry.name, "")
        value = _sizes(problem, entry) if flat is None else _value(problem, entry, flat[entry.slice])
        lines.append(f"    {entry.name:<{width}}  {value}  {unit}".rstrip())
    return lines


def _value(problem, entry, flat):
    if entry.network is not None:
        n = entry.network
        return (
            f"MLP {n.in_size} -> {n.out_size}, width {n.width}, depth {n.depth}, {n.activation}: {n.n_weights} weights"
        )
    if entry.table is not None:
        t, values = entry.table.times(flat), entry.table.values(flat)
        size = f"{entry.table.method} input, {t.size} times from {t[0]:g} to {t[-1]:g}"
        return f"{size}, values from {values.min():g} to {values.max():g}"
    if entry.shape == ():
        return f"{flat[0]:g}"
    sizes = _sizes(problem, entry)
    if flat.size > 4:
        return f"{sizes}  from {flat.min():g} to {flat.max():g}"
    return f"{sizes}  {np.array2string(flat, precision=4)}"


def _sizes(problem, entry):
    dims = problem.dims[entry.name]
    return f"({', '.join(f'{d}: {n}' for d, n in zip(dims, entry.shape, strict=True))})" if dims else ""
