# Linear systems with full matrices: loops for few unknowns, where calling LAPACK takes longer than the arithmetic.

"""
Unknowns up to which loops are quicker than LAPACK for a factorisation and eight solves, as in a step of Rodas5P.
"""
const FEW_UNKNOWNS = 24

"Unknowns up to which the loops of a solve are written out, so that all of them stay in registers."
const UNROLLED_UNKNOWNS = 8

"""
The linear solver of methods for stiff problems whose Jacobian is full: an LU decomposition with partial pivoting; by QR with
column pivoting where that meets a zero, as LinearSolve's default does. One type for all sizes, so that solvers are compiled once.
"""
struct FullSolver <: LinearSolve.AbstractDenseFactorization end

"The factors of a matrix: those of the loops, with the diagonal inverted, or those of LAPACK."
mutable struct FullFactors{T}
    const matrix::Matrix{T}
    const order::Vector{Int} # the row exchanged with each
    const rows::Vector{Int} # where each row was, if there are few
    large::Any
end

function FullFactors(A::AbstractMatrix{T}) where {T}
    n = size(A, 1)
    return FullFactors{T}(zeros(T, n, n), zeros(Int, n), collect(1:(n <= UNROLLED_UNKNOWNS ? n : 0)), nothing)
end

function factor!(factors::FullFactors, A)
    copyto!(factors.matrix, A)
    factors.large = nothing
    if size(A, 1) <= FEW_UNKNOWNS
        factor_by_loops!(factors.matrix, factors.order) || (factors.large = LinearAlgebra.qr(A, LinearAlgebra.ColumnNorm()))
        factors.large === nothing && find_rows!(factors.rows, factors.order)
    else
        found = lu!(factors.matrix; check = false)
        factors.large = LinearAlgebra.issuccess(found) ? found : LinearAlgebra.qr(A, LinearAlgebra.ColumnNorm())
    end
    return factors
end

"Where each row was before the exchanges, if this is looked for."
function find_rows!(rows, order)
    for k in eachindex(rows)
        rows[k] = k
    end
    for k in eachindex(rows)
        rows[k], rows[order[k]] = rows[order[k]], rows[k]
    end
    return rows
end

"Whether no pivot is zero."
function factor_by_loops!(A, order)
    n = length(order)
    @inbounds for k in 1:n
        best, largest = k, abs(A[k, k])
        for i in (k + 1):n
            size = abs(A[i, k])
            size > largest && ((best, largest) = (i, size))
        end
        iszero(largest) && return false
        order[k] = best
        if best != k
            for j in 1:n
                A[k, j], A[best, j] = A[best, j], A[k, j]
            end
        end
        A[k, k] = inv(A[k, k])
        for i in (k + 1):n
            A[i, k] *= A[k, k]
        end
        for j in (k + 1):n
            factor = A[k, j]
            @simd for i in (k + 1):n
                A[i, j] = muladd(-A[i, k], factor, A[i, j])
            end
        end
    end
    return true
end

function solve_factored!(x, factors::FullFactors, b)
    if factors.large === nothing && !isempty(factors.rows)
        return solve_unrolled!(x, factors, b)
    end
    x === b || copyto!(x, b)
    factors.large === nothing ? solve_by_loops!(x, factors.matrix, factors.order) : ldiv!(factors.large, x)
    return x
end

function solve_unrolled!(x, factors, b)
    (; matrix, rows) = factors
    return Base.Cartesian.@nif 8 n -> length(rows) == n n -> solve_unrolled!(x, matrix, rows, b, Val(n))
end

solve_unrolled!(x, A, rows, b, size::Val) = (write_tuple!(x, solve_unrolled(A, rows, b, size)); x)

"What `solve_by_loops!` does, in the same order."
@generated function solve_unrolled(A, rows, b, ::Val{N}) where {N}
    y = [Symbol(:y, k) for k in 1:N]
    lines = Any[:($(y[k]) = b[rows[$k]]) for k in 1:N]
    append!(lines, (:($(y[i]) = muladd(-A[$i, $k], $(y[k]), $(y[i]))) for k in 1:N for i in (k + 1):N))
    for k in N:-1:1
        push!(lines, :($(y[k]) *= A[$k, $k]))
        append!(lines, (:($(y[i]) = muladd(-A[$i, $k], $(y[k]), $(y[i]))) for i in 1:(k - 1)))
    end
    return :(@inbounds begin $(lines...) end; return ($(y...),))
end

function solve_by_loops!(x, A, order)
    n = length(order)
    @inbounds for k in 1:n
        x[k], x[order[k]] = x[order[k]], x[k]
    end
    @inbounds for k in 1:n
        factor = x[k]
        @simd for i in (k + 1):n
            x[i] = muladd(-A[i, k], factor, x[i])
        end
    end
    @inbounds for k in n:-1:1
        factor = x[k] *= A[k, k]
        @simd for i in 1:(k - 1)
            x[i] = muladd(-A[i, k], factor, x[i])
        end
    end
    return x
end

LinearAlgebra.ldiv!(factors::FullFactors, x::AbstractVector) = solve_factored!(x, factors, x)

"Solve with the transposed matrix."
solve_transposed!(factors, x) = ldiv!(adjoint(factors), x)
function solve_transposed!(factors::FullFactors, x)
    if factors.large !== nothing
        ldiv!(adjoint(factors.large), x)
        return x
    end
    isempty(factors.rows) || return solve_transposed_unrolled!(x, factors)
    A, order = factors.matrix, factors.order
    n = length(order)
    @inbounds for k in 1:n
        total = x[k]
        for i in 1:(k - 1)
            total = muladd(-A[i, k], x[i], total)
        end
        x[k] = total * A[k, k]
    end
    @inbounds for k in n:-1:1
        total = x[k]
        for i in (k + 1):n
            total = muladd(-A[i, k], x[i], total)
        end
        x[k] = total
    end
    @inbounds for k in n:-1:1
        x[k], x[order[k]] = x[order[k]], x[k]
    end
    return x
end

function solve_transposed_unrolled!(x, factors)
    (; matrix, rows) = factors
    return Base.Cartesian.@nif 8 n -> length(rows) == n n -> solve_transposed_unrolled!(x, matrix, rows, Val(n))
end

@generated function solve_transposed_unrolled!(x, A, rows, ::Val{N}) where {N}
    y = [Symbol(:y, k) for k in 1:N]
    lines = Any[:($(y[k]) = x[$k]) for k in 1:N]
    for k in 1:N
        append!(lines, (:($(y[k]) = muladd(-A[$i, $k], $(y[i]), $(y[k]))) for i in 1:(k - 1)))
        push!(lines, :($(y[k]) *= A[$k, $k]))
    end
    append!(lines, (:($(y[k]) = muladd(-A[$i, $k], $(y[i]), $(y[k]))) for k in N:-1:1 for i in (k + 1):N))
    append!(lines, (:(x[rows[$k]] = $(y[k])) for k in 1:N))
    return :(@inbounds begin $(lines...) end; return x)
end

function LinearSolve.init_cacheval(
        ::FullSolver, A, b, u, Pl, Pr, maxiters::Int, abstol, reltol,
        verbose::Union{Bool, LinearSolve.LinearVerbosity}, assumptions::LinearSolve.OperatorAssumptions
    )
    return make_factors(A)
end

function SciMLBase.solve!(cache::LinearSolve.LinearCache, solver::FullSolver; kwargs...)
    if cache.isfresh
        factor!(cache.cacheval, convert(AbstractMatrix, cache.A))
        cache.isfresh = false
    end
    u = solve_factored!(cache.u, cache.cacheval, cache.b)
    return SciMLBase.build_linear_solution(solver, u, nothing, cache; retcode = ReturnCode.Success)
end
