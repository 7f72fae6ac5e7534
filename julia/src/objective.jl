# A loss of a solution's distance to data as a function of a flat vector x.

"""
    Objective

`value = factor * sum(weights .* (u .- values).^2)` over the first `rows` times. `parametrization(u0, p, x)` gives the
initial value and the parameters. `values` and `weights` are `(state, time)`; where there is `observe(y, u, p, t)`, its `y`
takes the place of the state `u`, and they are `(observable, time)`.

Other losses: if `sees_data`, `observe` is given the state with the time's `values` behind it, and its `y` are losses, of which
`factor * sum(weights .* y)` is the value. If there is `whole(l, z, p, t)`, the value is its one output, for `z` all measured
quantities, time by time, and then all `values`; `weights` then hold its slopes at the last x. The last `n_path` measured
quantities are penalties of the path.
"""
mutable struct Objective
    const f::RightHandSide
    const parametrization::Program
    const t0::Float64
    const times::Vector{Float64}
    const values::Matrix{Float64}
    const weights::Matrix{Float64}
    const n_parameters::Int
    const options::Options
    word::String
    sensitivity::String
    rows::Int
    factor::Float64
    const picks_sensitivity::Bool
    const n_states::Int
    const observe::Union{Nothing, RightHandSide}
    const sees_data::Bool
    const whole::Union{Nothing, RightHandSide}
    const n_path::Int
end

n_states(o::Objective) = o.n_states
n_measured(o::Objective) = size(o.weights, 1)

"Initial value and parameters at x, of x's number type."
function parametrize(o::Objective, x::Vector{T}) where {T}
    u0, p = Vector{T}(undef, n_states(o)), Vector{T}(undef, o.n_parameters)
    o.parametrization(u0, p, x)
    return u0, p
end

"What the data of one time are compared with, or losses."
function measured(o::Objective, u, p, row)
    z = o.sees_data ? vcat(u, view(o.values, :, row)) : u
    return measured(o.observe, z, p, o.times[row], n_measured(o))
end

is_linear(o) = o.sees_data || o.whole !== nothing

"What weights are multiplied by; those of a whole solution's loss are its slopes already."
factor(o) = o.whole === nothing ? o.factor : 1.0

"What one time adds to the value."
function misfit(o, u, p, row)
    y = measured(o, u, p, row)
    total = zero(eltype(y))
    for i in eachindex(y) # an observable may be NaN where there is no datum
        iszero(o.weights[i, row]) && continue
        total += o.weights[i, row] * (is_linear(o) ? y[i] : (y[i] - o.values[i, row])^2)
    end
    return factor(o) * total
end

"""
    misfit_slopes!(slope, p_slope, o, u, p, row)

The slope of what one time adds by the state there; its slope by the parameters that observables see is added to `p_slope`.
"""
function misfit_slopes!(slope, p_slope, o, u, p, row)
    o.observe === nothing && !is_linear(o) && return square_slopes!(slope, o, u, row)
    if is_linear(o)
        v = factor(o) .* view(o.weights, :, row)
    else
        v = square_slopes!(zeros(n_measured(o)), o, measured(o, u, p, row), row)
    end
    o.observe === nothing && return copyto!(slope, v)
    o.sees_data || return pull_back_observables!(slope, p_slope, o.observe, v, u, p, o.times[row])
    z = vcat(u, view(o.values, :, row))
    pulled = pull_back_observables!(similar(z), p_slope, o.observe, v, z, p, o.times[row])
    return copyto!(slope, 1, pulled, 1, length(slope))
end

"The slopes of weighted squares, 0 where there is no datum."
function square_slopes!(slope, o, y, row)
    for i in eachindex(y)
        w = o.weights[i, row]
        slope[i] = iszero(w) ? 0.0 : 2 * o.factor * w * (y[i] - o.values[i, row])
    end
    return slope
end

"The value, given the states at all times, and the parameters `there` where events change them."
function total_misfit(o::Objective, rows, p, there = p)
    o.whole === nothing || return whole_loss(o, whole_input(o, rows, there), p)
    return sum(misfit(o, rows[k], at_row(there, k), k) for k in 1:(o.rows); init = 0.0)
end

"What each penalty of the path adds at x."
function path_values(o::Objective, x)
    o.n_path == 0 && return Float64[]
    u0, p = parametrize(o, x)
    found = all(isfinite, u0) && all(isfinite, p) ? solve_values(o, u0, p) : nothing
    found === nothing && return fill(NaN, o.n_path)
    rows, there = found
    last_ones = (n_measured(o) - o.n_path + 1):n_measured(o)
    return sum(1:(o.rows)) do k
        @views factor(o) .* o.weights[last_ones, k] .* measured(o, rows[k], at_row(there, k), k)[last_ones]
    end
end

"The parameters at a row: one vector serves all, or each has its own."
at_row(p::Vector{<:Number}, k) = p
at_row(p::Vector{<:Vector}, k) = p[k]

# ---- a loss of the whole solution

"All measured quantities and all values, one after the other; values beyond the rows in use are missing."
function whole_input(o, rows, p)
    seen = [measured(o, rows[k], at_row(p, k), k) for k in min.(eachindex(o.times), o.rows)]
    values = copy(o.values)
    values[:, (o.rows + 1):end] .= NaN
    return vcat(seen..., vec(values))
end

function whole_loss(o, z, p)
    out = Vector{promote_type(eltype(z), eltype(p))}(undef, 1)
    o.whole(out, z, p, o.t0)
    return out[1]
end

"Put the slopes of a whole solution's loss into the weights: its value and slopes by the parameters that it sees, () if a solve fails."
function linearise!(o::Objective, u0, p)
    found = solve_values(o, u0, p)
    found === nothing && return ()
    z, p_slope = whole_input(o, found...), zero(p)
    slopes = pull_back_observables!(similar(z), p_slope, o.whole, [1.0], z, p, o.t0)
    fill!(o.weights, 0.0)
    m = n_measured(o)
    for k in eachindex(o.times) # rows beyond those in use repeat the last
        @views o.weights[:, min(k, o.rows)] .+= slopes[((k - 1) * m + 1):(k * m)]
    end
    return whole_loss(o, z, p), p_slope
end
