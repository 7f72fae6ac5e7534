# Observables: a Program of time, state and parameters, whose values results hold and losses compare with data.

"The observables `(observable, time)` at the times `t` and states `(state, time)`; parameters are one column, or one a time."
function observe_rows(program, n, t, u, p)
    observe, t, u, p = RightHandSide(program), floats(t), collect(Float64, u), collect(Float64, p)
    y = Matrix{Float64}(undef, Int(n), length(t))
    values, state, parameters = Vector{Float64}(undef, Int(n)), Vector{Float64}(undef, size(u, 1)), p[:, 1]
    for k in eachindex(t)
        copyto!(state, @view u[:, k])
        size(p, 2) > 1 && copyto!(parameters, @view p[:, k])
        observe(values, state, parameters, t[k])
        y[:, k] = values
    end
    return y
end

"What data measure: the state itself, or the observables of a state, parameters and time."
measured(::Nothing, u, p, t, n) = u
function measured(observe::RightHandSide, u, p, t, n)
    y = Vector{promote_type(eltype(u), eltype(p))}(undef, n)
    observe(y, u, p, t)
    return y
end

"`slope = (dy/du)' v`, and `(dy/dp)' v` added to `p_slope` if that is there."
function pull_back_observables!(slope, p_slope, observe::RightHandSide, v, u, p, t)
    if observe.pullback !== nothing
        found, p_found = pull(observe, v, u, p, t)
        p_slope === nothing || (p_slope .+= p_found)
        return copyto!(slope, found)
    end
    observed_product!(slope, v, u, Val(chunk_size(length(u)))) do y, x
        observe(y, x, p, t)
    end
    p_slope === nothing || isempty(p) || observed_product!(p_slope, v, p, Val(chunk_size(length(p))); adds = true) do y, x
        observe(y, u, x, t)
    end
    return slope
end

function observed_product!(f, out, v, x, ::Val{N}; adds = false) where {N}
    D = Dual{GradientTag, Float64, N}
    seeded, y = Vector{D}(undef, length(x)), Vector{D}(undef, length(v))
    product, is_used = zeros(length(x)), findall(!iszero, v)
    for first in 1:N:length(x)
        f(y, seed!(seeded, x, first))
        contract!(product, v[is_used], y[is_used], first)
    end
    adds ? (out .+= product) : copyto!(out, product)
    return out
end
