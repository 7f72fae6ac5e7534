# Matrices of several systems side by side that have nothing to do with each other: Jacobians of lanes. Loops over lanes are the inner
# ones, so that they fill a processor's vectors.

"""
The matrix of a system of several lanes, whose state has all lanes of the first element first: zero but for the elements of one lane.
`blocks` is `(lane, row, column)`; the number of lanes is a power of two.
"""
struct LaneMatrix <: AbstractMatrix{Float64}
    blocks::Array{Float64, 3}
    shift::Int
end

function make_lane_matrix(n, n_lanes)
    ispow2(n_lanes) || throw(ArgumentError("the number of lanes must be a power of two, got $n_lanes"))
    return LaneMatrix(zeros(n_lanes, n, n), trailing_zeros(n_lanes))
end

Base.size(A::LaneMatrix) = (size(A.blocks, 1) * size(A.blocks, 2), size(A.blocks, 1) * size(A.blocks, 3))
Base.similar(A::LaneMatrix) = LaneMatrix(zero(A.blocks), A.shift)
Base.similar(A::LaneMatrix, ::Type{Float64}) = similar(A)
Base.copyto!(A::LaneMatrix, B::LaneMatrix) = (copyto!(A.blocks, B.blocks); A)
Base.fill!(A::LaneMatrix, x) = (fill!(A.blocks, x); A)

"Lane and place in it of an element of the state."
@inline split_lane(A, i) = ((i - 1) & (size(A.blocks, 1) - 1)) + 1, ((i - 1) >> A.shift) + 1

Base.@propagate_inbounds function Base.getindex(A::LaneMatrix, i::Int, j::Int)
    (lane, row), (other, column) = split_lane(A, i), split_lane(A, j)
    return lane == other ? A.blocks[lane, row, column] : 0.0
end

Base.@propagate_inbounds function Base.setindex!(A::LaneMatrix, x, i::Int, j::Int)
    (lane, row), (other, column) = split_lane(A, i), split_lane(A, j)
    lane == other || throw(ArgumentError("elements of several lanes are zero"))
    return A.blocks[lane, row, column] = x
end

"The Jacobian of lanes: generated entries, each for all lanes."
function (jacobian::Jacobian)(J::LaneMatrix, u, p, t)
    (; entries, rows, columns, values) = jacobian.f.derivatives
    entries(values, u, p, t)
    n_lanes = size(J.blocks, 1)
    fill!(J, 0.0)
    for k in eachindex(rows)
        copyto!(J.blocks, ((columns[k] - 1) * size(J.blocks, 2) + rows[k] - 1) * n_lanes + 1, values, (k - 1) * n_lanes + 1, n_lanes)
    end
    return nothing
end

"The factors of all lanes, those of `factor_by_loops!` for each; `order[lane, k]` is the row exchanged with the k-th."
struct LaneFactors
    blocks::Array{Float64, 3}
    order::Matrix{Int}
    is_moved::Vector{Bool} # whether some lane exchanges the k-th row
    largest::Vector64
end

function LaneFactors(A::LaneMatrix)
    n_lanes, n, _ = size(A.blocks)
    return LaneFactors(zero(A.blocks), zeros(Int, n_lanes, n), zeros(Bool, n), zeros(n_lanes))
end

function factor!(factors::LaneFactors, A::LaneMatrix)
    A = copyto!(factors.blocks, A.blocks)
    n_lanes, n, _ = size(A)
    @inbounds for k in 1:n
        find_pivots!(factors, k)
        factors.is_moved[k] && exchange_rows!(factors, k)
        @simd ivdep for lane in 1:n_lanes
            A[lane, k, k] = inv(A[lane, k, k])
        end
        for i in (k + 1):n
            @simd ivdep for lane in 1:n_lanes
                A[lane, i, k] *= A[lane, k, k]
            end
        end
        for j in (k + 1):n, i in (k + 1):n
            @simd ivdep for lane in 1:n_lanes
                A[lane, i, j] -= A[lane, i, k] * A[lane, k, j]
            end
        end
    end
    return factors
end

"The largest elements of the k-th column, from the diagonal down."
function find_pivots!(factors, k)
    (; blocks, order, largest) = factors
    n_lanes, n, _ = size(blocks)
    @inbounds begin
        @simd ivdep for lane in 1:n_lanes
            largest[lane] = abs(blocks[lane, k, k])
            order[lane, k] = k
        end
        is_moved = false
        for i in (k + 1):n
            @simd ivdep for lane in 1:n_lanes
                size = abs(blocks[lane, i, k])
                is_larger = size > largest[lane]
                is_moved |= is_larger
                largest[lane] = ifelse(is_larger, size, largest[lane])
                order[lane, k] = ifelse(is_larger, i, order[lane, k])
            end
        end
        factors.is_moved[k] = is_moved
    end
    return nothing
end

function exchange_rows!(factors, k)
    (; blocks, order) = factors
    n_lanes, n, _ = size(blocks)
    @inbounds for j in 1:n, lane in 1:n_lanes
        i = order[lane, k]
        blocks[lane, k, j], blocks[lane, i, j] = blocks[lane, i, j], blocks[lane, k, j]
    end
    return nothing
end

function solve_factored!(x, factors::LaneFactors, b)
    A = factors.blocks
    n_lanes, n, _ = size(A)
    x === b || copyto!(x, b)
    foreach(k -> exchange_rows!(x, factors, k), 1:n)
    for k in 1:n, i in (k + 1):n
        subtract_lanes!(x, i, A, i, k, k)
    end
    @inbounds for k in n:-1:1
        start = (k - 1) * n_lanes
        @simd ivdep for lane in 1:n_lanes
            x[start + lane] *= A[lane, k, k]
        end
        for i in 1:(k - 1)
            subtract_lanes!(x, i, A, i, k, k)
        end
    end
    return x
end

LinearAlgebra.ldiv!(factors::LaneFactors, x::AbstractVector) = solve_factored!(x, factors, x)

"Solve with the transposed matrix of each lane."
function solve_transposed!(factors::LaneFactors, x)
    A = factors.blocks
    n_lanes, n, _ = size(A)
    @inbounds for k in 1:n
        for i in 1:(k - 1)
            subtract_lanes!(x, k, A, i, k, i)
        end
        start = (k - 1) * n_lanes
        @simd ivdep for lane in 1:n_lanes
            x[start + lane] *= A[lane, k, k]
        end
    end
    for k in n:-1:1, i in (k + 1):n
        subtract_lanes!(x, k, A, i, k, i)
    end
    foreach(k -> exchange_rows!(x, factors, k), n:-1:1)
    return x
end

"Of a vector the k-th rows and those that they were exchanged with."
function exchange_rows!(x, factors, k)
    factors.is_moved[k] || return nothing
    n_lanes = size(factors.order, 1)
    @inbounds for lane in 1:n_lanes
        here, there = (k - 1) * n_lanes + lane, (factors.order[lane, k] - 1) * n_lanes + lane
        x[here], x[there] = x[there], x[here]
    end
    return nothing
end

"`x[to] -= A[i, k] * x[from]` in each lane."
@inline function subtract_lanes!(x, to, A, i, k, from)
    n_lanes = size(A, 1)
    to, from = (to - 1) * n_lanes, (from - 1) * n_lanes
    @inbounds @simd ivdep for lane in 1:n_lanes
        x[to + lane] -= A[lane, i, k] * x[from + lane]
    end
    return nothing
end

lanes_of(prototype::LaneMatrix) = size(prototype.blocks, 1)

make_factors(A) = FullFactors(convert(AbstractMatrix, A))
make_factors(A::LaneMatrix) = LaneFactors(A)
