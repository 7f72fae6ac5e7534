# Experiments of one model and one time axis as lanes of a wide problem: its steps, reversed, give the gradients of all.

"""
What a task solves several parts of a sum with: an objective of so many lanes, whose state, parameters, data and weights are
those of the parts that it is given. Parameters `varied` have lanes, those `shared` are the same for all and come first.
"""
struct LaneObjective
    wide::Objective
    n::Int
    shared::Vector{Int}
    varied::Vector{Int}
    u0::Vector64
    p::Vector64
end

function LaneObjective(o::Objective, f, observe, n, varied, stops)
    shared = setdiff(1:(o.n_parameters), varied)
    n_states, n_parameters = o.n_states * n, length(shared) + length(varied) * n
    (; rtol, atol, dt, dtmax, max_steps, max_seconds, adaptive) = o.options
    options = make_options(rtol, atol, dt, dtmax, max_steps, max_seconds, stops, adaptive, NO_EVENTS, Norm(zeros(n)))
    tall(x) = zeros(size(x, 1) * n, size(x, 2))
    wide = Objective(
        f, o.parametrization, o.t0, o.times, tall(o.values), tall(o.weights), n_parameters, options, o.word, "discrete",
        o.rows, o.factor, false, n_states, observe, o.sees_data, nothing, 0
    )
    return LaneObjective(wide, n, shared, varied, zeros(n_states), zeros(n_parameters))
end

"The lanes of each task, and the order of parts in which neighbours are alike."
struct LaneSum
    tasks::Vector{LaneObjective}
    order::Vector{Int}
end

"""
    add_lanes!(sum, f, observe, n, varied, order, stops)

Have parts of a sum solved as `n` lanes of `f`, where they can be; indices count from 0. Parts get a parametrization of their own,
since any task may take any of them.
"""
function add_lanes!(o, f, observe, n, varied, order, stops)
    (can_fork(f) && can_fork(observe)) || return nothing
    for (k, part) in enumerate(o.parts)
        fields = (name === :parametrization ? fork(part.parametrization) : getfield(part, name) for name in fieldnames(Objective))
        o.parts[k] = Objective(fields...)
    end
    n_tasks, varied = length(o.shares), collect(Int, varied) .+ 1
    observe = observe === nothing ? nothing : RightHandSide(observe)
    copies = zip(forks(f, n_tasks), observe === nothing ? fill(nothing, n_tasks) : forks(observe, n_tasks))
    tasks = [LaneObjective(o.parts[1], own, seen, Int(n), varied, floats(stops)) for (own, seen) in copies]
    o.lanes[] = LaneSum(tasks, collect(Int, order) .+ 1)
    return nothing
end

"The parts among some that can be lanes of one problem now, in their order."
function suiting_parts(o, lanes, places)
    is_used = falses(length(o.parts))
    is_used[places] .= true
    first = o.parts[lanes.order[findfirst(k -> is_used[k], lanes.order)]]
    key(part) = (part.word, part.sensitivity, part.rows, part.factor)
    suits = first.word in EXPLICIT && first.sensitivity == "discrete" && last_time(first) > first.t0
    return suits ? filter(k -> is_used[k] && key(o.parts[k]) == key(first), lanes.order) : Int[]
end

"""
Call `run(lanes, places)` for groups of parts that it solves at once, and which says whether it could: the parts that are left.
Groups depend on the parts alone, so that results don't on the number of threads.
"""
function each_group(run, o, places, is_alone)
    lanes = o.lanes[]
    (lanes === nothing || isempty(places)) && return places
    n = lanes.tasks[1].n
    found = suiting_parts(o, lanes, places)
    length(found) < n && return places
    groups = collect(Iterators.partition(found, cld(length(found), cld(length(found), n))))
    is_done = falses(length(o.parts))
    function solve_group(task, k)
        is_solved = run(lanes.tasks[task], groups[k])
        is_solved && (is_done[groups[k]] .= true)
        return nothing
    end
    share_out(solve_group, is_alone ? 1 : length(lanes.tasks), length(groups))
    return filter(k -> !is_done[k], places)
end

"The wide objective of some parts at x: its initial state and parameters; nothing where one's aren't finite."
function widen!(lanes::LaneObjective, o, places, x)
    (; wide, n, shared, varied, u0, p) = lanes
    first = o.parts[places[1]]
    wide.rows, wide.factor, wide.word = first.rows, first.factor, first.word
    for lane in 1:n
        part, picks = o.parts[places[min(lane, end)]], o.picks[places[min(lane, end)]]
        own_u0, own_p = parametrize(part, x[picks])
        all(isfinite, own_u0) && all(isfinite, own_p) || return nothing
        lane == 1 && copyto!(p, own_p[shared])
        put_lane!(u0, 0, own_u0, lane, n)
        put_lane!(p, length(shared), view(own_p, varied), lane, n)
        for row in 1:(first.rows)
            put_lane!(view(wide.values, :, row), 0, view(part.values, :, row), lane, n)
            put_lane!(view(wide.weights, :, row), 0, view(part.weights, :, row), lane, n)
        end
    end
    for lane in (length(places) + 1):n # repeats the last part, and counts for nothing
        wide.weights[lane:n:end, :] .= 0.0
    end
    return u0, p
end

function put_lane!(wide, start, values, lane, n)
    @inbounds for (i, value) in enumerate(values)
        wide[start + (i - 1) * n + lane] = value
    end
    return nothing
end

take_lane(wide, start, count, lane, n) = wide[(start + lane):n:(start + (count - 1) * n + lane)]

"The value of some parts together; NaN if that can't be said."
function lanes_value(lanes::LaneObjective, o, places, x)
    found = widen!(lanes, o, places, x)
    found === nothing && return NaN
    u0, p = found
    solved = solve_values(lanes.wide, u0, p)
    return solved === nothing ? NaN : total_misfit(lanes.wide, solved[1], p)
end

"Put value and gradient of some parts into `found`, the value as the first one's; whether they are finite."
function lanes_gradient!(found, lanes::LaneObjective, o, places, x)
    (; wide, n, shared, varied) = lanes
    values = widen!(lanes, o, places, x)
    values === nothing && return false
    slopes = discrete_slopes(wide, values...)
    slopes === nothing && return false
    value, u_slope, p_slope = slopes
    isfinite(value) && all(isfinite, u_slope) && all(isfinite, p_slope) || return false
    part_slope = zeros(length(shared) + length(varied))
    for (lane, k) in enumerate(places)
        part, own_x = o.parts[k], x[o.picks[k]]
        part_slope[shared] .= lane == 1 ? view(p_slope, 1:length(shared)) : 0.0 # theirs is the same function of x in all
        part_slope[varied] = take_lane(p_slope, length(shared), length(varied), lane, n)
        gradient = similar(own_x)
        pull_back!(gradient, part, own_x, take_lane(u_slope, 0, n_states(part), lane, n), part_slope)
        found[k] = (lane == 1 ? value : 0.0, gradient)
    end
    return true
end
