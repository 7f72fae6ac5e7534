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

"""
Parts that are solved as lanes of one problem, their data and weights, and, if these don't depend on x and are known by now, their
initial states and their parameters, of which those that are shared do.
"""
struct LaneGroup
    places::Vector{Int}
    values::Matrix{Float64}
    weights::Matrix{Float64}
    u0::Vector64
    p::Vector64
end

"""
The lanes of each task, and the order of parts in which neighbours are alike; whether initial states and varied parameters are the same
for all x; the groups of the last call.
"""
struct LaneSum
    tasks::Vector{LaneObjective}
    order::Vector{Int}
    is_fixed::Bool
    groups::Vector{LaneGroup}
end

"""
    add_lanes!(sum, f, observe, n, varied, is_fixed, order, stops)

Have parts of a sum solved as `n` lanes of `f`, where they can be; indices count from 0. If it `is_fixed`, initial states and `varied`
parameters don't depend on x. Parts get a parametrization of their own, since any task may take any of them.
"""
function add_lanes!(o, f, observe, n, varied, is_fixed, order, stops)
    (can_fork(f) && can_fork(observe)) || return nothing
    for (k, part) in enumerate(o.parts)
        fields = (name === :parametrization ? fork(part.parametrization) : getfield(part, name) for name in fieldnames(Objective))
        o.parts[k] = Objective(fields...)
    end
    n_tasks, varied = length(o.shares), collect(Int, varied) .+ 1
    observe = observe === nothing ? nothing : RightHandSide(observe)
    copies = zip(forks(f, n_tasks), observe === nothing ? fill(nothing, n_tasks) : forks(observe, n_tasks))
    tasks = [LaneObjective(o.parts[1], own, seen, Int(n), varied, floats(stops)) for (own, seen) in copies]
    o.lanes[] = LaneSum(tasks, collect(Int, order) .+ 1, is_fixed, LaneGroup[])
    return nothing
end

"The parts among some that can be lanes of one problem now, in their order."
function suiting_parts(o, lanes, places)
    is_used = falses(length(o.parts))
    is_used[places] .= true
    first = o.parts[lanes.order[findfirst(k -> is_used[k], lanes.order)]]
    key(part) = (part.word, part.sensitivity, part.rows, part.factor)
    is_known = first.word in EXPLICIT || first.word in ROSENBROCK && lanes.tasks[1].wide.f.derivatives !== nothing
    suits = is_known && first.sensitivity == "discrete" && last_time(first) > first.t0
    return suits ? filter(k -> is_used[k] && key(o.parts[k]) == key(first), lanes.order) : Int[]
end

"""
Call `run(lanes, group)` for groups of parts that it solves at once, and which says whether it could: the parts that are left.
Groups depend on the parts alone, so that results don't on the number of threads.
"""
function each_group(run, o, places, is_alone)
    lanes = o.lanes[]
    (lanes === nothing || isempty(places)) && return places
    n = lanes.tasks[1].n
    found = suiting_parts(o, lanes, places)
    2 * length(found) < n && return places
    groups = gather_groups!(lanes, o, found)
    is_done = fill(false, length(o.parts)) # no BitVector: threads would write the same word of it
    function solve_group(task, k)
        is_solved = run(lanes.tasks[task], groups[k])
        is_solved && (is_done[groups[k].places] .= true)
        return nothing
    end
    share_out(solve_group, is_alone ? 1 : length(lanes.tasks), length(groups))
    return filter(k -> !is_done[k], places)
end

"Groups as equal as can be; those of the last call that are the same ones again are kept."
function gather_groups!(lanes, o, found)
    (; groups, tasks) = lanes
    size = cld(length(found), cld(length(found), tasks[1].n))
    for (k, places) in enumerate(Iterators.partition(found, size))
        k <= length(groups) && groups[k].places == places && continue
        resize!(groups, k - 1)
        push!(groups, gather_group(tasks[1], o, collect(places)))
    end
    return resize!(groups, cld(length(found), size))
end

function gather_group((; n, wide), o, places)
    values, weights = zero(wide.values), zero(wide.weights)
    for lane in 1:n, row in axes(values, 2)
        part = o.parts[places[min(lane, end)]]
        put_lane!(view(values, :, row), 0, view(part.values, :, row), lane, n)
        lane <= length(places) || continue # repeats the last part, and counts for nothing
        put_lane!(view(weights, :, row), 0, view(part.weights, :, row), lane, n)
    end
    return LaneGroup(places, values, weights, Float64[], Float64[])
end

"The wide objective of a group at x: its initial state and parameters; nothing where one's aren't finite."
function widen!(lanes::LaneObjective, o, group, x)
    (; wide, n, shared, varied, u0, p) = lanes
    places, first = group.places, o.parts[group.places[1]]
    wide.rows, wide.factor, wide.word = first.rows, first.factor, first.word
    copyto!(wide.values, group.values)
    copyto!(wide.weights, group.weights)
    is_known = !isempty(group.p)
    is_known && (copyto!(u0, group.u0); copyto!(p, group.p))
    for lane in 1:(is_known ? 1 : n)
        part, picks = o.parts[places[min(lane, end)]], o.picks[places[min(lane, end)]]
        own_u0, own_p = parametrize(part, x[picks])
        all(isfinite, own_u0) && all(isfinite, own_p) || return nothing
        lane == 1 && copyto!(p, own_p[shared])
        put_lane!(u0, 0, own_u0, lane, n)
        put_lane!(p, length(shared), view(own_p, varied), lane, n)
    end
    o.lanes[].is_fixed && !is_known && (append!(group.u0, u0); append!(group.p, p))
    return u0, p
end

function put_lane!(wide, start, values, lane, n)
    @inbounds for (i, value) in enumerate(values)
        wide[start + (i - 1) * n + lane] = value
    end
    return nothing
end

take_lane(wide, start, count, lane, n) = wide[(start + lane):n:(start + (count - 1) * n + lane)]

"The value of a group's parts together; NaN if that can't be said."
function lanes_value(lanes::LaneObjective, o, group, x)
    found = widen!(lanes, o, group, x)
    found === nothing && return NaN
    u0, p = found
    solved = solve_values(lanes.wide, u0, p)
    return solved === nothing ? NaN : total_misfit(lanes.wide, solved[1], p)
end

"Put value and gradient of a group into `found`, the value as the first part's, with all of the gradient if that is by what is shared."
function lanes_gradient!(found, lanes::LaneObjective, o, group, x)
    (; wide, n, shared, varied) = lanes
    values = widen!(lanes, o, group, x)
    values === nothing && return false
    slopes = discrete_slopes(wide, values...)
    slopes === nothing && return false
    value, u_slope, p_slope = slopes
    isfinite(value) && all(isfinite, u_slope) && all(isfinite, p_slope) || return false
    part_slope = zeros(length(shared) + length(varied))
    for (lane, k) in enumerate(group.places)
        if lane > 1 && o.lanes[].is_fixed
            found[k] = (0.0, Float64[])
            continue
        end
        part, own_x = o.parts[k], x[o.picks[k]]
        part_slope[shared] .= lane == 1 ? view(p_slope, 1:length(shared)) : 0.0 # theirs is the same function of x in all
        part_slope[varied] = take_lane(p_slope, length(shared), length(varied), lane, n)
        gradient = similar(own_x)
        pull_back!(gradient, part, own_x, take_lane(u_slope, 0, n_states(part), lane, n), part_slope)
        found[k] = (lane == 1 ? value : 0.0, gradient)
    end
    return true
end
