# Several objectives of one x, and penalties of x, as one.

"What runs of all parts in one thread have shown: their word, whose algorithm is made by it, and the seconds of the last two."
mutable struct LastRun
    word::String
    seconds::NTuple{2, Float64}
end

"""
    ObjectiveSum

The sum of objectives, each a function of the elements `picks` of x, and of penalties: Programs of x with one output. If there
is a `batch`, places of parts, gradients are those of these in place of all. Parts of different `shares` have memory of their own,
so that these can be solved side by side.
"""
struct ObjectiveSum
    parts::Vector{Objective}
    picks::Vector{Vector{Int}}
    penalties::Vector{Program}
    batch::Vector{Int}
    shares::Vector{Vector{Int}}
    last::LastRun
    lanes::Base.RefValue{Union{Nothing, LaneSum}}
end

function ObjectiveSum(parts, picks, penalties)
    n = all(can_fork, parts) ? min(Threads.nthreads(), length(parts)) : 1
    shares = [collect(k:n:length(parts)) for k in 1:n]
    for k in 2:n, place in shares[k]
        parts[place] = fork(parts[place], k)
    end
    return ObjectiveSum(parts, picks, penalties, Int[], shares, LastRun("", (0.0, 0.0)), Ref{Union{Nothing, LaneSum}}(nothing))
end

can_fork(o::Objective) = can_fork(o.options.events) && all(can_fork, (o.f, o.observe, o.whole))
can_fork(events::Events) = all(can_fork(program) for event in events.list for program in (event.condition, event.effect))
can_fork(::Nothing) = true
can_fork(f::RightHandSide) = f.generic isa Generic && can_fork(f.generic.program)
can_fork(program::Program) = program.function! isa RuntimeGeneratedFunction && can_fork(program.pullback) # a tape is not one

"The same with memory of the k-th of several tasks."
function fork(o::Objective, k)
    copies(f) = f === nothing ? nothing : forks(f, k)[k]
    return Objective(
        copies(o.f), fork(o.parametrization), o.t0, o.times, o.values, o.weights, o.n_parameters, fork(o.options), o.word, o.sensitivity,
        o.rows, o.factor, o.picks_sensitivity, o.n_states, copies(o.observe), o.sees_data, copies(o.whole),
        o.n_path
    )
end

const WORTH = 3.0e-4 # seconds of all parts: threads that sleep take some 50 microseconds to wake

"""
Call `run_group` for groups of parts that may be lanes, and `run(k)` for the others, side by side where that pays; where each is
solved, its result does not depend on it.
"""
function each_part(run, run_group, o::ObjectiveSum, places)
    word = o.parts[1].word
    is_alone = length(o.shares) == 1 || Threads.threadpool() != :default || any(part -> part.sensitivity != "discrete", o.parts)
    is_alone = is_alone || o.last.word != word || minimum(o.last.seconds) < WORTH # one run may have been held up
    start = time_ns()
    left = each_group(run_group, o, places, is_alone)
    if is_alone
        foreach(run, left)
        seconds = o.last.word == word ? (time_ns() - start) / 1.0e9 : 0.0 # the first run may have compiled, and says nothing
        o.last.word, o.last.seconds = word, (seconds, o.last.seconds[1])
    elseif !isempty(left)
        share_out((_, k) -> foreach(place -> place in left && run(place), o.shares[k]), length(o.shares), length(o.shares))
    end
    return nothing
end

"Look at some parts only, or at all if there are none."
use_batch!(o::ObjectiveSum, batch) = (copy!(o.batch, batch); nothing)
use_batch!(::Objective, batch) = nothing

is_whole(o::ObjectiveSum) = isempty(o.batch)
is_whole(::Objective) = true

"Use the first rows only, `rows[k]` of the k-th part (0: none), and multiply weights by a factor."
function use_rows!(o::Objective, rows, factor)
    o.rows, o.factor = Int(only(rows)), Float64(factor)
    return nothing
end

function use_rows!(o::ObjectiveSum, rows, factor)
    foreach((part, n) -> use_rows!(part, n, factor), o.parts, rows)
    return nothing
end

"What each penalty adds at x."
penalty_values(::Objective, x) = Float64[]
penalty_values(o::ObjectiveSum, x) = Float64[penalty_value(penalty, x) for penalty in o.penalties]

function objective_value(o::ObjectiveSum, x::Vector{Float64})
    values = fill(NaN, length(o.parts))
    places = used_parts(o)
    run(k) = (values[k] = objective_value(o.parts[k], x[o.picks[k]]))
    function run_group(lanes, group)
        value = lanes_value(lanes, o, group, x)
        isfinite(value) && (values[group.places] .= 0.0; values[group.places[1]] = value)
        return isfinite(value)
    end
    each_part(run, run_group, o, places)
    return sum(k -> values[k], places; init = 0.0) + sum(penalty_values(o, x))
end

used_parts(o) = filter(k -> o.parts[k].rows > 0, eachindex(o.parts))

function penalty_value(penalty, x)
    out = Vector{eltype(x)}(undef, 1)
    penalty(out, x)
    return out[1]
end

"What each penalty of the path adds at x; of a batch, which stands for all."
function path_values(o::ObjectiveSum, x)
    o.parts[1].n_path == 0 && return Float64[]
    places = looked_at(o)
    share = is_whole(o) ? 1.0 : length(used_parts(o)) / length(o.batch)
    return share .* sum(k -> path_values(o.parts[k], x[o.picks[k]]), places)
end

"The parts of a batch, or all that are used."
looked_at(o) = is_whole(o) ? used_parts(o) : filter(k -> o.parts[k].rows > 0, o.batch)

"What all penalties add at x, and how many there are."
added_values(o, x) = [penalty_values(o, x); path_values(o, x)]
n_added(o::Objective) = o.n_path
n_added(o::ObjectiveSum) = length(o.penalties) + o.parts[1].n_path

function objective_gradient!(gradient, o::ObjectiveSum, x::Vector64)
    total = 0.0
    fill!(gradient, 0.0)
    places = looked_at(o)
    found = fill((NaN, x), length(o.parts))
    run(k) = (found[k] = objective_gradient(o.parts[k], x[o.picks[k]]))
    each_part(run, (lanes, group) -> lanes_gradient!(found, lanes, o, group, x), o, places)
    for k in places
        value, part_gradient = found[k]
        isfinite(value) || (fill!(gradient, NaN); return NaN)
        total += value
        isempty(part_gradient) && continue # a lane whose gradient is in another's
        for (i, place) in enumerate(o.picks[k])
            gradient[place] += part_gradient[i]
        end
    end
    if !is_whole(o) # it stands for all
        share = length(used_parts(o)) / length(o.batch)
        total *= share
        gradient .*= share
    end
    for penalty in o.penalties
        slope = similar(x)
        penalty.pullback(slope, x, ONE)
        gradient .+= slope
    end
    value = total + sum(penalty_values(o, x))
    isfinite(value) && all(isfinite, gradient) || (value = NaN; fill!(gradient, NaN))
    return value
end

look_again!(o::ObjectiveSum, x) = foreach((part, picks) -> look_again!(part, x[picks]), o.parts, o.picks)
