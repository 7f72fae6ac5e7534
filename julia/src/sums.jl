# Several objectives of one x, and penalties of x, as one.

"""
    ObjectiveSum

The sum of objectives, each a function of the elements `picks` of x, and of penalties: Programs of x with one output.
"""
struct ObjectiveSum
    parts::Vector{Objective}
    picks::Vector{Vector{Int}}
    penalties::Vector{Program}
end

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
    for (part, picks) in zip(o.parts, o.picks)
        part.rows > 0 || continue
        value, part_gradient = objective_gradient(part, x[picks])
        isfinite(value) || return NaN, fill!(gradient, NaN)
        total += value
        for (i, k) in enumerate(picks)
            gradient[k] += part_gradient[i]
        end
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
