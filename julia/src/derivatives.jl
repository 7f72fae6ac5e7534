# What solvers ask of a right-hand side beside its value: its Jacobian, its slope in time, its product with a tangent.
# Generated functions where Python gave some, dual numbers for any other right-hand side.

"The Jacobian of a right-hand side."
struct Jacobian
    f::RightHandSide
end

function (jacobian::Jacobian)(J::AbstractMatrix, u, p, t)
    derivatives = jacobian.f.derivatives
    if derivatives === nothing || derivatives.entries === nothing
        differentiate!(J, jacobian.f, u, p, t, Val(chunk_size(length(u))))
    else
        scatter!(J, derivatives, u, p, t)
    end
    return nothing
end

function (jacobian::Jacobian)(J::SparseMatrixCSC, u, p, t)
    derivatives = jacobian.f.derivatives
    if has_pattern(J, derivatives)
        derivatives.entries(nonzeros(J), u, p, t)
    else
        invoke(jacobian, Tuple{AbstractMatrix, Any, Any, Any}, J, u, p, t)
    end
    return nothing
end

"Is a sparse matrix of the generated pattern? A solver that factors nothing else is given a full one for a dense model."
has_pattern(J, derivatives) = derivatives !== nothing && derivatives.prototype !== nothing &&
    length(nonzeros(J)) == length(derivatives.rows)

entry_memory(derivatives, ::Type{Float64}) = derivatives.values
entry_memory(derivatives, ::Type{T}) where {T} = Vector{T}(undef, length(derivatives.rows))

function scatter!(J, derivatives, u, p, t)
    values = entry_memory(derivatives, eltype(J))
    derivatives.entries(values, u, p, t)
    fill!(J isa SparseMatrixCSC ? nonzeros(J) : J, zero(eltype(J)))
    for k in eachindex(values)
        J[derivatives.rows[k], derivatives.columns[k]] = values[k]
    end
    return J
end

"Set x to u with the unit tangents of elements first, first + 1, ..."
function seed!(x::Vector{Dual{T, V, N}}, u, first) where {T, V, N}
    for i in eachindex(u)
        x[i] = Dual{T, V, N}(u[i], Partials(ntuple(k -> V(i == first + k - 1), Val(N))))
    end
    return x
end

"A dense Jacobian by dual numbers, in chunks of few fixed sizes."
function differentiate!(J, f, u::AbstractVector{V}, p, t, ::Val{N}) where {V, N}
    n = length(u)
    x, dx = dual_pair(f.memory, Dual{JacobianTag, V, N}, n)
    for first in 1:N:n
        f(dx, seed!(x, u, first), p, t)
        for k in 1:min(N, n - first + 1), i in 1:n
            J[i, first + k - 1] = partials(dx[i], k)
        end
    end
    return nothing
end

"The derivative of a right-hand side with respect to time."
struct TimeGradient
    f::RightHandSide
end

function (gradient::TimeGradient)(dT, u::AbstractVector{V}, p, t) where {V}
    f = gradient.f
    f.derivatives === nothing || return f.derivatives.time(dT, u, p, t)
    x, dx = dual_pair(f.memory, Dual{JacobianTag, V, 1}, length(u))
    copyto!(x, u)
    f(dx, x, p, Dual{JacobianTag}(V(t), one(V)))
    for i in eachindex(dx)
        dT[i] = partials(dx[i], 1)
    end
    return nothing
end

"`out = (df/du) v`."
struct StateTangent
    f::RightHandSide
end

function (tangent::StateTangent)(out, v, u::AbstractVector{V}, p, t) where {V}
    f = tangent.f
    f.derivatives === nothing || return f.derivatives.product(out, v, u, p, t)
    x, dx = dual_pair(f.memory, Dual{JacobianTag, V, 1}, length(u))
    for i in eachindex(u)
        x[i] = Dual{JacobianTag}(u[i], V(v[i]))
    end
    f(dx, x, p, t)
    for i in eachindex(dx)
        out[i] = partials(dx[i], 1)
    end
    return nothing
end

"""
    color_columns(starts, rows)

Colours of a square sparse pattern's columns, from 0, such that columns of one colour have no row in common; `starts`
and `rows` are the pattern by columns, from 0.
"""
function color_columns(starts, rows)
    n = length(starts) - 1
    pattern = SparseMatrixCSC(n, n, starts .+ 1, rows .+ 1, ones(Bool, length(rows)))
    problem = ColoringProblem(; structure = :nonsymmetric, partition = :column)
    return fast_coloring(pattern, problem, GreedyColoringAlgorithm()) .- 1
end
