# Events: what happens to the state and the parameters at moments that are given, or that the solution brings about.

"""
One event of a problem: it has either a `condition` or `times` (increasing). `effect` writes what the elements `u_index`
of the state and `p_index` of the parameters become; where there are `rows`, it is also given the column of its time.
"""
struct Event
    condition::Union{Program, Nothing}
    effect::Union{Program, Nothing}
    times::Vector64
    rows::Matrix{Float64}
    u_index::Vector{Int}
    p_index::Vector{Int}
    is_terminal::Bool
    direction::Int
    is_before::Bool # a row at its time holds the state before it
end

"""
One firing of an event, its `count`-th: at the start of a solve's `step`-th step, with the state and the parameters that events
change, as they were before it.
"""
struct Jump
    step::Int
    event::Int
    count::Int
    u::Vector64
    p::Vector64
end

"The events of a problem in their order, where a solve stands with them, and what they have done."
mutable struct Events
    list::Vector{Event}
    changed::Vector{Int} # parameters that some effect changes
    next::Vector{Int} # of the times of each event
    before::Vector64 # conditions at the start of the step
    is_fresh::Vector{Bool} # zero there but for rounding: the sign is the one a little later, after `quiet`
    quiet::Float64
    span::Float64
    fires::Vector{Bool}
    is_over::Bool
    u0::Vector64 # as the solve was given them
    p0::Vector64
    value::Vector64
    state::Vector64
    times::Vector64 # of each firing, with the event and the changed parameters after it
    fired::Vector{Int}
    parameters::Vector64
    moments::Vector64 # each time at which something fired, with the state that a row there holds
    samples::Vector{Vector64}
    keeps_jumps::Bool
    jumps::Vector{Jump}
    steps::Int
    is_cut::Bool # the present step, to end where something fires
end

function Events(list = Event[])
    n = length(list)
    changed = sort!(unique(reduce(vcat, (event.p_index for event in list); init = Int[])))
    return Events(
        list, changed, ones(Int, n), zeros(n), zeros(Bool, n), 0.0, 0.0, zeros(Bool, n), false, Float64[], Float64[],
        [0.0], Float64[], Float64[], Int[], Float64[], Float64[], Vector64[], false, Jump[], 0, false
    )
end

Base.isempty(events::Events) = isempty(events.list)

"Times at which the solver must stop."
stop_times(events::Events) = reduce(vcat, (event.times for event in events.list); init = Float64[])

"Fractions of a step at which conditions are looked at; the sign of one that has just fired counts from the first."
const LOOKS = (0.01, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 1.0)

"Part of the span: so long after an event its condition is zero but for rounding."
const QUIET = 1.0e-12

evaluate_condition(events, event, t, u, p) = (event.condition(events.value, t, u, p); events.value[1])

"Forget the solve before: the next one begins with its own state and parameters."
function forget!(events::Events)
    empty!(events.u0)
    empty!(events.p0)
    return nothing
end

"Begin a solve, or begin it again: what fires at its start changes `u` and `p` at once."
function start!(events::Events, u, p, (t, t_end))
    isempty(events.u0) ? (events.u0 = copy(u); events.p0 = copy(p)) : (copyto!(u, events.u0); copyto!(p, events.p0))
    foreach(empty!, (events.times, events.fired, events.parameters, events.moments, events.samples, events.jumps))
    events.steps = 0
    events.is_cut = false
    fill!(events.next, 1)
    fill!(events.is_fresh, false)
    events.is_over = notes().is_zeno = false
    events.quiet, events.span = t, t_end - t
    resize!(events.state, length(u))
    mark_times!(events, t) && fire!(events, u, p, t)
    look!(events, u, p, t)
    return nothing
end

"Conditions at the start of a step, in which the events that `fires` marks have just fired."
function look!(events, u, p, t)
    for (k, event) in enumerate(events.list)
        event.condition === nothing && continue
        events.before[k] = evaluate_condition(events, event, t, u, p)
        is_still = events.is_fresh[k] && t <= events.quiet
        events.is_fresh[k] = events.fires[k] || events.before[k] == 0 || is_still
    end
    fill!(events.fires, false)
    return nothing
end

"Mark the events whose next time is `t`; whether there are any."
function mark_times!(events, t)
    for (k, event) in enumerate(events.list)
        i = events.next[k]
        event.condition === nothing && i <= length(event.times) && event.times[i] == t && (events.fires[k] = true)
    end
    return any(events.fires)
end

"The state at time `t` of the present step."
function state_at(events, integrator, t)
    t == integrator.t && return integrator.u
    integrator(events.state, t)
    return events.state
end

function condition_at(events, k, integrator, t)
    return evaluate_condition(events, events.list[k], t, state_at(events, integrator, t), integrator.p)
end

"After a step: whether there is something to do, be it only to stop where the first moment ended the solve."
must_act!(events::Events, integrator) = events.is_over || find_firing!(events, integrator)

"Move back to its first root and mark what fires there; whether anything does."
function find_firing!(events::Events, integrator)
    t0, t1 = integrator.tprev, integrator.t
    events.steps += 1
    integrator.dt = t1 - t0 # SciML has put the next step's size here where a step was cut at a stop time
    moment = t1
    roots = fill(Inf, length(events.list))
    for (k, event) in enumerate(events.list)
        event.condition === nothing && continue
        roots[k] = find_root(events, k, integrator, t0, t1)
        moment = min(moment, roots[k])
    end
    near = 16 * eps(max(abs(t0), abs(t1)))
    moment + near >= t1 && (moment = t1)
    for k in eachindex(roots)
        events.fires[k] = roots[k] <= moment + near
    end
    moment == t1 && mark_times!(events, t1)
    events.is_cut = moment < t1
    events.is_cut && SciMLBase.change_t_via_interpolation!(integrator, moment)
    any(events.fires) || look!(events, integrator.u, integrator.p, t1)
    return any(events.fires)
end

"The first time in a step at which a condition changes its sign as its event asks, or infinity."
function find_root(events, k, integrator, t0, t1)
    direction = events.list[k].direction
    left, value = t0, events.before[k]
    for fraction in LOOKS
        right = fraction == 1 ? t1 : t0 + fraction * (t1 - t0)
        next = condition_at(events, k, integrator, right)
        if events.is_fresh[k] && (fraction == LOOKS[1] || right <= events.quiet)
            left, value = right, next
            continue
        end
        if is_crossing(value, next) && (direction == 0 || (direction > 0) == (value < 0))
            return bisect(events, k, integrator, left, right, value)
        end
        left, value = right, next
    end
    return Inf
end

is_crossing(a, b) = (a < 0 && b >= 0) || (a > 0 && b <= 0)

"The last time before a change of sign, to the last bit; where the condition is zero exactly, that time."
function bisect(events, k, integrator, left, right, value)
    while true
        middle = left + (right - left) / 2
        left < middle < right || break
        if is_crossing(value, condition_at(events, k, integrator, middle))
            right = middle
        else
            left = middle
        end
    end
    return condition_at(events, k, integrator, right) == 0 ? right : left
end

"Let the marked events act, in their order, and keep what a row at this time holds."
function fire!(events::Events, u, p, t)
    sample = nothing
    for (k, event) in enumerate(events.list)
        events.fires[k] || continue
        event.is_before && sample === nothing && (sample = copy(u))
        events.keeps_jumps && push!(events.jumps, Jump(events.steps + 1, k, events.next[k], copy(u), p[events.changed]))
        act!(event, u, p, t, events.next[k])
        events.next[k] += 1
        events.is_over |= event.is_terminal
        push!(events.times, t)
        push!(events.fired, k)
        append!(events.parameters, @view p[events.changed])
        if event.condition !== nothing && piles_up(events, k)
            events.is_over = notes().is_zeno = true
        end
    end
    events.quiet = t + QUIET * events.span
    push!(events.moments, t)
    push!(events.samples, sample === nothing ? copy(u) : sample)
    return nothing
end

const PILE = 5 # firings of an event, each interval shorter than the one before, the last shorter than
const SHORTEST = 1.0e-9 # so much of the span: as Zeno's steps they have no end

"Whether the last `PILE` firings of the k-th event approach a moment that they never reach."
function piles_up(events, k)
    n, later, gap = 0, NaN, SHORTEST * events.span
    for i in reverse(eachindex(events.times))
        events.fired[i] == k || continue
        n += 1
        if n > 1
            next = later - events.times[i]
            (n == 2 ? next < gap : gap < 0.999 * next) || return false
            gap = next
        end
        n == PILE && return true
        later = events.times[i]
    end
    return false
end

function act!(event::Event, u, p, t, i)
    event.effect === nothing && return nothing
    new_u, new_p = Vector64(undef, length(event.u_index)), Vector64(undef, length(event.p_index))
    outputs = isempty(new_p) ? (new_u,) : isempty(new_u) ? (new_p,) : (new_u, new_p)
    row = isempty(event.rows) ? () : (event.rows[:, i],)
    event.effect(outputs..., t, u, p, row...)
    u[event.u_index] = new_u
    p[event.p_index] = new_p
    return nothing
end

"What the solver does where events fire."
function apply_events!(events::Events, integrator)
    fire!(events, integrator.u, integrator.p, integrator.t)
    look!(events, integrator.u, integrator.p, integrator.t)
    events.is_over && return terminate!(integrator)
    integrator.opts.adaptive && integrator.t < integrator.sol.prob.tspan[2] && shorten_step!(integrator)
    return nothing
end

"""
The next step is the shorter one of what the step control proposes and of what a solve that begins here would take: the
first says nothing beyond a jump (FBDF is then wrong by 1000 tolerances).
"""
function shorten_step!(integrator)
    proposed = integrator.dtpropose
    SciMLBase.auto_dt_reset!(integrator)
    integrator.dtpropose = min(proposed, integrator.dtpropose)
    return nothing
end

"Set the parameters to those that go with a row at time t, for a solve that began with those of `start`."
function parameters_at!(p, events::Events, t, start)
    isempty(events.changed) && return p
    n = searchsortedlast(events.times, t)
    at_once = searchsortedfirst(events.times, t):n
    before = findfirst(k -> events.list[events.fired[k]].is_before, at_once)
    before === nothing || (n = at_once[before] - 1)
    n_changed = length(events.changed)
    p[events.changed] = n == 0 ? start[events.changed] : events.parameters[((n - 1) * n_changed + 1):(n * n_changed)]
    return p
end

"Put the states that rows at events hold into a solution's rows."
function put_samples!(u, t, events::Events)
    i = 1
    for (moment, sample) in zip(events.moments, events.samples)
        while i <= length(t) && t[i] < moment
            i += 1
        end
        i <= length(t) && t[i] == moment && (u[:, i] = sample)
    end
    return u
end
