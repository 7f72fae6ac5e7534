# Firings of events for `discrete.jl`: what changes there is done again, and cotangents are taken back through it. A firing that the
# solution brings about moves with it: Galán, Feehery, Barton (1999), doi:10.1016/S0168-9274(98)00125-1.

step_of(jump::Jump) = jump.step
step_of(s::Int) = s

"The firings at the start of step s, in their order."
jumps_at(events, s) = searchsorted(events.jumps, s; by = step_of)

"Do a firing again: the state behind it goes to `u`, the parameters to `p`."
function fire_again!(u, p, events, jump, t)
    copyto!(u, jump.u)
    p[events.changed] = jump.p
    act!(events.list[jump.event], u, p, t, jump.count)
    return u
end

"Set the parameters that events change to what they are in step s."
function set_parameters!(p, events, t, s)
    (isempty(events.changed) || isempty(events.jumps)) && return nothing
    k = searchsortedlast(events.jumps, s; by = step_of)
    if k == 0
        p[events.changed] = events.jumps[1].p
    else
        jump = events.jumps[k]
        fire_again!(similar(jump.u), p, events, jump, t[jump.step])
    end
    return nothing
end

"The state that step s begins with, where it is `u` before what fires there; the parameters are set to those in the step."
function start_state(events, u, p, t, s)
    k = jumps_at(events, s)
    return isempty(k) ? u : fire_again!(copy(u), p, events, events.jumps[last(k)], t)
end

"The one of some firings before which a row at their time is taken, or nothing: it is taken behind them all."
first_before(events, jumps) = findfirst(jump -> events.list[jump.event].is_before, jumps)

"""
    cross!(u_slope, memory, o, u, p, t, s, row)

Go back over the start of step s: the cotangent of the state behind what fires there becomes that of the state `u` before it, and the
parameters become those before. The misfit of the data there, if `row` is theirs, and the last row before them.
"""
function cross!(u_slope, memory, o, u, p, t, s, row)
    events, has_row = o.options.events, row >= 1 && o.times[row] == t
    jumps = view(events.jumps, jumps_at(events, s))
    isempty(jumps) && return has_row ? (add_datum!(u_slope, memory, o, u, p, row), row - 1) : (0.0, row)
    before = first_before(events, jumps)
    state = fire_again!(copy(u), p, events, jumps[end], t)
    loss = has_row && before === nothing ? add_datum!(u_slope, memory, o, state, p, row) : 0.0
    pull_shared!(u_slope, memory, o.f, state, p, t)
    fill!(memory.shared, 0.0)
    condition = moving_condition(events, jumps, t)
    t_slope = condition === nothing ? 0.0 : -slope_along(o.f, u_slope, state, p, t)
    for k in reverse(eachindex(jumps))
        t_slope += reverse_jump!(u_slope, memory, events, jumps[k], p, t)
        k == 1 && condition !== nothing && reverse_moment!(u_slope, memory, o.f, condition, t_slope, jumps[1].u, p, t)
        has_row && k == before && (loss += add_datum!(u_slope, memory, o, jumps[k].u, p, row))
    end
    return loss, row - has_row
end

"Gradients that don't exist where a solve has gone."
struct NoDerivative <: Exception
    text::String
end

Base.showerror(io::IO, error::NoDerivative) = print(io, "NoDerivative: ", error.text)

"The condition that a moment at which something changes follows from; nothing if it is given."
function moving_condition(events, jumps, t)
    conditions = [event.condition for event in (events.list[jump.event] for jump in jumps) if event.effect !== nothing]
    isempty(conditions) && return nothing
    all(==(conditions[1]), conditions) && return conditions[1]
    throw(NoDerivative("events with different conditions, or with and without one, fire at the same moment, t = $t"))
end

"The product of a cotangent with the solution's slope."
slope_along(f, v, u, p, t) = (du = similar(u); f(du, u, p, t); sum(v .* du))

"""
    reverse_moment!(u_slope, memory, f, condition, t_slope, u, p, t)

Add to the cotangents of the state at a fixed time and of the parameters what comes of the moment t, at which the condition is zero:
`u_slope` is that of the state `u` there, `t_slope` that of the moment by all else.
"""
function reverse_moment!(u_slope, memory, f, condition, t_slope, u, p, t)
    slopes = [0.0], similar(u), similar(p)
    condition.pullback(slopes..., t, u, p, 1.0)
    rate = slopes[1][1] + slope_along(f, slopes[2], u, p, t)
    iszero(rate) && throw(NoDerivative("the condition of an event has no slope along the solution where it fires, at t = $t"))
    factor = (t_slope + slope_along(f, u_slope, u, p, t)) / rate
    u_slope .-= factor .* slopes[2]
    memory.total .-= factor .* slopes[3]
    return nothing
end

"Take the cotangents of the state and of the parameters back through an effect: the slope by its time."
function reverse_jump!(u_slope, memory, events, jump, p, t)
    event = events.list[jump.event]
    p[events.changed] = jump.p
    event.effect === nothing && return 0.0
    isempty(event.p_index) || add_factors!(memory.total, memory.factors)
    cotangents = take_out!(u_slope, event.u_index), take_out!(memory.total, event.p_index)
    t_found, u_found, p_found = [0.0], similar(u_slope), similar(p)
    row = isempty(event.rows) ? () : (event.rows[:, jump.count],)
    event.effect.pullback(t_found, u_found, p_found, t, jump.u, p, row..., filter(!isempty, cotangents)...)
    u_slope .+= u_found
    memory.total .+= p_found
    return t_found[1]
end

"Some elements of x, which become 0."
function take_out!(x, index)
    values = x[index]
    x[index] .= 0.0
    return values
end

"Go over the start of step s: what fires there changes the state and the parameters; the misfit of the data there, and the next row."
function cross_again!(u, p, o, t, s, row)
    events, has_row, loss = o.options.events, row <= o.rows && o.times[row] == t, 0.0
    jumps = view(events.jumps, jumps_at(events, s))
    before = first_before(events, jumps)
    for (k, jump) in enumerate(jumps)
        has_row && k == before && (loss += misfit(o, u, p, row))
        act!(events.list[jump.event], u, p, t, jump.count)
    end
    has_row && before === nothing && (loss += misfit(o, u, p, row))
    return loss, row + has_row
end

"`solve_values` with events, which write to the state and the parameters: at each time those of the side that rows there hold."
function solve_through_events(o, u0, p)
    events, start, times = o.options.events, copy(p), o.times[1:(o.rows)]
    if last_time(o) == o.t0
        forget!(events)
        start!(events, u0, p, (o.t0, o.t0))
        rows = [u0]
    else
        rows = solve_rows(o, make_problem(o.f, u0, p, (o.t0, last_time(o))))
        rows === nothing && return nothing
    end
    states = put_samples!(reduce(hcat, rows), times, events)
    rows = collect.(eachcol(states))
    return rows, isempty(events.changed) ? start : [parameters_at!(copy(p), events, t, start) for t in times]
end
