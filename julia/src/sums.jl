# Several objectives of one x, and penalties of x, as one.

"""
    ObjectiveSum

The sum of objectives, each a function of the elements `picks` of x, and of penalties: Programs of x with one output. If there
is a `batch`, places of parts, gradients are those of these in place of all.
"""
struct ObjectiveSum
    parts::Vector{Objective}
    picks::Vector{Vector{Int}}
    penalties::Vector{Program}
    batch::Vector{Int}
end

ObjectiveSum(parts, picks, penalties) = ObjectiveSum(parts, picks, penalties, Int[])

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
    total = sum(objective_value(part, x[picks]) for (part, picks) in zip(o.parts, o.picks) if part.rows > 0; init = 0.0)
    return total + sum(penalty_values(o, x))
end

function penalty_value(penalty, x)
    out = Vector{eltype(x)}(undef, 1)
    penalty(out, x)
    return out[1]
end

"Value and gradient; NaN everywhere if a solve fails."
function objective_gradient(o::ObjectiveSum, x::Vector{Float64})
    total, gradient, slope = 0.0, zero(x), similar(x)
    for k in (is_whole(o) ? eachindex(o.parts) : o.batch)
        part, picks = o.parts[k], o.picks[k]
        part.rows > 0 || continue
        value, part_gradient = objective_gradient(part, x[picks])
        isfinite(value) || return NaN, fill!(gradient, NaN)
        total += value
        for (i, place) in enumerate(picks)
            gradient[place] += part_gradient[i]
        end
    end
    if !is_whole(o) # it stands for all
        share = count(part -> part.rows > 0, o.parts) / length(o.batch)
        total, gradient = share * total, share .* gradient
    end
    for penalty in o.penalties
        penalty.pullback(slope, x, ONE)
        gradient .+= slope
    end
    value = total + sum(penalty_values(o, x))
    isfinite(value) && all(isfinite, gradient) || return NaN, fill!(gradient, NaN)
    return value, gradient
end

const ONE = [1.0]

look_again!(o::ObjectiveSum, x) = foreach((part, picks) -> look_again!(part, x[picks]), o.parts, o.picks)
