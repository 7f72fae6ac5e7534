# Linear systems with full matrices: loops for few unknowns, where calling LAPACK takes longer than the arithmetic.

"""
Unknowns up to which loops are quicker than LAPACK for a factorisation and eight solves, as in a step of Rodas5P: 26 and 45 µs to
factor 100, 0.6 and 1.8 for 20, where a solve is 0.09 and 0.3.
"""
const FEW_UNKNOWNS = 100

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

"""
Whether no pivot is zero. Four columns at a time, so that the others are read and written once for all four; the order of the
arithmetic is that of one at a time.
"""
function factor_by_loops!(A, order)
    n, done = length(order), 0
    while done < n
        last = min(done + 4, n)
        factor_columns!(A, order, done + 1, last) || return false
        last < n && subtract_columns!(A, done, n)
        done = last
    end
    return true
end

"Columns from the first to the last, among themselves."
function factor_columns!(A, order, first, last)
    n = length(order)
    @inbounds for k in first:last
        best = order[k] = find_pivot(A, k, n)
        iszero(A[best, k]) && return false
        if best != k
            @simd ivdep for j in 1:n
                A[k, j], A[best, j] = A[best, j], A[k, j]
            end
        end
        pivot = A[k, k] = inv(A[k, k])
        @simd ivdep for i in (k + 1):n
            A[i, k] *= pivot
        end
        for j in (k + 1):last
            factor = A[k, j]
            @simd ivdep for i in (k + 1):n
                A[i, j] = muladd(-A[i, k], factor, A[i, j])
            end
        end
    end
    return true
end

"What four columns subtract from those behind them."
function subtract_columns!(A, k, n)
    @inbounds begin
        l21, l31, l32 = A[k + 2, k + 1], A[k + 3, k + 1], A[k + 3, k + 2]
        l41, l42, l43 = A[k + 4, k + 1], A[k + 4, k + 2], A[k + 4, k + 3]
        for j in (k + 5):n
            a = A[k + 1, j]
            b = muladd(-l21, a, A[k + 2, j])
            c = muladd(-l32, b, muladd(-l31, a, A[k + 3, j]))
            d = muladd(-l43, c, muladd(-l42, b, muladd(-l41, a, A[k + 4, j])))
            A[k + 2, j], A[k + 3, j], A[k + 4, j] = b, c, d
            @simd ivdep for i in (k + 5):n
                three = muladd(-A[i, k + 3], c, muladd(-A[i, k + 2], b, muladd(-A[i, k + 1], a, A[i, j])))
                A[i, j] = muladd(-A[i, k + 4], d, three)
            end
        end
    end
    return nothing
end

"The row of the largest element of the k-th column, from the diagonal down."
function find_pivot(A, k, n)
    best = k
    @inbounds for i in (k + 1):n
        abs(A[i, k]) > abs(A[best, k]) && (best = i)
    end
    return best
end

"By bits, which are ordered as sizes are, since the largest of integers is found by vectors."
function find_pivot(A::Matrix{Float64}, k, n)
    size(x) = reinterpret(Int64, abs(x))
    largest, best = 0, k
    @inbounds @simd for i in k:n
        largest = max(largest, size(A[i, k]))
    end
    @inbounds while size(A[best, k]) != largest
        best += 1
    end
    return best
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

"With four columns at a time, as they are factored."
function solve_by_loops!(x, A, order)
    n, k = length(order), 0
    @inbounds for k in 1:n
        x[k], x[order[k]] = x[order[k]], x[k]
    end
    @inbounds while k + 4 <= n
        a = x[k + 1]
        b = muladd(-A[k + 2, k + 1], a, x[k + 2])
        c = muladd(-A[k + 3, k + 2], b, muladd(-A[k + 3, k + 1], a, x[k + 3]))
        d = muladd(-A[k + 4, k + 3], c, muladd(-A[k + 4, k + 2], b, muladd(-A[k + 4, k + 1], a, x[k + 4])))
        x[k + 2], x[k + 3], x[k + 4] = b, c, d
        @simd ivdep for i in (k + 5):n
            three = muladd(-A[i, k + 3], c, muladd(-A[i, k + 2], b, muladd(-A[i, k + 1], a, x[i])))
            x[i] = muladd(-A[i, k + 4], d, three)
        end
        k += 4
    end
    @inbounds for k in (k + 1):n, i in (k + 1):n
        x[i] = muladd(-A[i, k], x[k], x[i])
    end
    k = n
    @inbounds while k >= 4
        d = x[k] * A[k, k]
        c = muladd(-A[k - 1, k], d, x[k - 1]) * A[k - 1, k - 1]
        b = muladd(-A[k - 2, k - 1], c, muladd(-A[k - 2, k], d, x[k - 2])) * A[k - 2, k - 2]
        a = muladd(-A[k - 3, k - 2], b, muladd(-A[k - 3, k - 1], c, muladd(-A[k - 3, k], d, x[k - 3]))) * A[k - 3, k - 3]
        x[k], x[k - 1], x[k - 2], x[k - 3] = d, c, b, a
        @simd ivdep for i in 1:(k - 4)
            three = muladd(-A[i, k - 2], b, muladd(-A[i, k - 1], c, muladd(-A[i, k], d, x[i])))
            x[i] = muladd(-A[i, k - 3], a, three)
        end
        k -= 4
    end
    @inbounds for k in k:-1:1
        factor = x[k] *= A[k, k]
        for i in 1:(k - 1)
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
    return solve_transposed_by_loops!(x, factors.matrix, factors.order)
end

"With the dot products of four columns at a time."
function solve_transposed_by_loops!(x, A, order)
    n, k = length(order), 0
    @inbounds while k + 4 <= n
        a, b, c, d = dot_columns(A, k, x, 1:k)
        a = (x[k + 1] - a) * A[k + 1, k + 1]
        b = muladd(-A[k + 1, k + 2], a, x[k + 2] - b) * A[k + 2, k + 2]
        c = muladd(-A[k + 2, k + 3], b, muladd(-A[k + 1, k + 3], a, x[k + 3] - c)) * A[k + 3, k + 3]
        d = muladd(-A[k + 3, k + 4], c, muladd(-A[k + 2, k + 4], b, muladd(-A[k + 1, k + 4], a, x[k + 4] - d))) * A[k + 4, k + 4]
        x[k + 1], x[k + 2], x[k + 3], x[k + 4] = a, b, c, d
        k += 4
    end
    @inbounds for k in (k + 1):n
        for i in 1:(k - 1)
            x[k] = muladd(-A[i, k], x[i], x[k])
        end
        x[k] *= A[k, k]
    end
    k = n - 4
    @inbounds while k >= 0
        a, b, c, d = dot_columns(A, k, x, (k + 5):n)
        d = x[k + 4] - d
        c = muladd(-A[k + 4, k + 3], d, x[k + 3] - c)
        b = muladd(-A[k + 3, k + 2], c, muladd(-A[k + 4, k + 2], d, x[k + 2] - b))
        a = muladd(-A[k + 2, k + 1], b, muladd(-A[k + 3, k + 1], c, muladd(-A[k + 4, k + 1], d, x[k + 1] - a)))
        x[k + 1], x[k + 2], x[k + 3], x[k + 4] = a, b, c, d
        k -= 4
    end
    @inbounds for k in (k + 4):-1:1, i in (k + 1):n
        x[k] = muladd(-A[i, k], x[i], x[k])
    end
    @inbounds for k in n:-1:1
        x[k], x[order[k]] = x[order[k]], x[k]
    end
    return x
end

"Of the four columns behind the k-th with x, both at some places only."
@inline function dot_columns(A, k, x, places)
    a = b = c = d = zero(eltype(x))
    @inbounds @simd for i in places
        a, b = muladd(A[i, k + 1], x[i], a), muladd(A[i, k + 2], x[i], b)
        c, d = muladd(A[i, k + 3], x[i], c), muladd(A[i, k + 4], x[i], d)
    end
    return a, b, c, d
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
