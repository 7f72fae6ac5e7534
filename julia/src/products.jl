# Products of matrices in C order, for generated functions: BLAS where they are large, else loops over vectors of eight numbers,
# which the compiler maps to the machine's.

const LARGE = 20_000 # multiplications from which a product with a vector is BLAS's
const LARGE_OF_MATRICES = 2_000 # and one of two matrices, by one thread

"""
    np_matmul!(y, before_y, a, before_a, b, before_b, m, k, n, a_turned, b_turned)

The product of an (m, k) and a (k, n) matrix, all in C order behind the given offsets, or the transposed one of a or b is.
"""
@noinline function np_matmul!(
        y::Vector64, before_y::Int, a::Vector64, before_a::Int, b::Vector64, before_b::Int, m::Int, k::Int, n::Int,
        a_turned::Bool, b_turned::Bool
    )
    if m * k * n >= (min(m, k, n) > 1 ? LARGE_OF_MATRICES : LARGE)
        blas_product!(y, before_y, a, before_a, b, before_b, m, k, n, a_turned, b_turned)
    elseif n == 1
        a_turned ? add_rows!(y, before_y, b, before_b, 1, a, before_a, k, m) : dot_rows!(y, before_y, a, before_a, b, before_b, m, k)
    elseif !b_turned
        along, down = a_turned ? (m, 1) : (1, k)
        for i in 0:(m - 1)
            add_rows!(y, before_y + i * n, a, before_a + i * down, along, b, before_b, k, n)
        end
    elseif !a_turned || m == 1
        for i in 0:(m - 1)
            dot_rows!(y, before_y + i * n, b, before_b, a, before_a + i * k, n, k)
        end
    else
        plain_product!(y, before_y, a, before_a, b, before_b, m, k, n, a_turned, b_turned)
    end
    return nothing
end

np_matmul!(y, before_y, a, before_a, b, before_b, m, k, n, a_turned, b_turned) =
    plain_product!(y, before_y, a, before_a, b, before_b, m, k, n, a_turned, b_turned)

function blas_product!(y, before_y, a, before_a, b, before_b, m, k, n, a_turned, b_turned)
    # in column-major terms y' = b' a'
    left = b_turned ? transpose(part(b, before_b, k, n)) : part(b, before_b, n, k)
    right = a_turned ? transpose(part(a, before_a, m, k)) : part(a, before_a, k, m)
    if m == 1
        mul!(part(y, before_y, n), left, part(a, before_a, k))
    elseif n == 1
        mul!(part(y, before_y, m), transpose(right), part(b, before_b, k))
    else
        mul!(part(y, before_y, n, m), left, right)
    end
    return nothing
end

const ONE = [1.0]

"`y = sum(rows)` of a matrix of k rows of n numbers, in C order behind the given offset."
@noinline function np_sum_rows!(y::Vector64, before_y::Int, a::Vector64, before_a::Int, k::Int, n::Int)
    add_rows!(y, before_y, ONE, 0, 0, a, before_a, k, n)
    return nothing
end

function np_sum_rows!(y, before_y, a, before_a, k, n)
    @inbounds for j in 1:n
        y[before_y + j] = sum(l -> a[before_a + (l - 1) * n + j], 1:k; init = zero(eltype(a)))
    end
    return nothing
end

part(x, before, n) = view(x, (before + 1):(before + n))
part(x, before, rows, columns) = reshape(part(x, before, rows * columns), rows, columns)

"For numbers of any type."
function plain_product!(y, before_y, a, before_a, b, before_b, m, k, n, a_turned, b_turned)
    @inbounds for i in 1:m, j in 1:n
        total = zero(eltype(y))
        for l in 1:k
            x = a[before_a + (a_turned ? (l - 1) * m + i : (i - 1) * k + l)]
            total = muladd(x, b[before_b + (b_turned ? (j - 1) * k + l : (l - 1) * n + j)], total)
        end
        y[before_y + (i - 1) * n + j] = total
    end
    return nothing
end

# ---- vectors of numbers

const Packed{N} = NTuple{N, VecElement{Float64}}

for N in (4, 8)
    name = "llvm.fmuladd.v$(N)f64"
    @eval @inline muladd_packed(a::Packed{$N}, b::Packed{$N}, c::Packed{$N}) =
        ccall($name, llvmcall, Packed{$N}, (Packed{$N}, Packed{$N}, Packed{$N}), a, b, c)
    text = """
    declare double @llvm.vector.reduce.fadd.v$(N)f64(double, <$N x double>)
    define double @entry(<$N x double> %x) alwaysinline {
        %s = call reassoc double @llvm.vector.reduce.fadd.v$(N)f64(double 0.0, <$N x double> %x)
        ret double %s
    }
    """
    @eval @inline sum_packed(x::Packed{$N}) = Base.llvmcall(($text, "entry"), Float64, Tuple{Packed{$N}}, x)
end

@inline fill_packed(::Val{N}, x) where {N} = ntuple(_ -> VecElement(x), Val(N))
@inline load_packed(::Val{N}, x, before) where {N} = unsafe_load(Ptr{Packed{N}}(pointer(x, before + 1)))
@inline store_packed!(x, before, lanes::Packed) = unsafe_store!(Ptr{typeof(lanes)}(pointer(x, before + 1)), lanes)

"""
    add_rows!(y, before_y, x, before_x, step, a, before_a, k, n)

`y = x' a` for a matrix a of k rows of n numbers, and k numbers of x that are `step` apart.
"""
@inline function add_rows!(y, before_y, x, before_x, step, a, before_a, k, n)
    n >= 8 && return add_wide_rows!(Val(8), y, before_y, x, before_x, step, a, before_a, k, n)
    n >= 4 && return add_wide_rows!(Val(4), y, before_y, x, before_x, step, a, before_a, k, n)
    n == 3 && return add_narrow_rows!(Val(3), y, before_y, x, before_x, step, a, before_a, k)
    n == 2 && return add_narrow_rows!(Val(2), y, before_y, x, before_x, step, a, before_a, k)
    n == 1 && return add_narrow_rows!(Val(1), y, before_y, x, before_x, step, a, before_a, k)
    return nothing
end

"With all sums in registers."
@inline function add_narrow_rows!(::Val{N}, y, before_y, x, before_x, step, a, before_a, k) where {N}
    sums, columns = ntuple(_ -> 0.0, Val(N)), ntuple(j -> before_a + j, Val(N))
    if step == 1
        @inbounds @simd for l in 1:k
            sums = add_numbers(sums, x[before_x + l], a, (l - 1) * N, columns)
        end
    else
        @inbounds for l in 1:k
            sums = add_numbers(sums, x[before_x + 1 + (l - 1) * step], a, (l - 1) * N, columns)
        end
    end
    @inbounds for j in 1:N
        y[before_y + j] = sums[j]
    end
    return nothing
end

"In pieces of N columns, up to four at a time; the last ends with the row, whatever of it was done before."
@inline function add_wide_rows!(::Val{N}, y, before_y, x, before_x, step, a, before_a, k, n) where {N}
    j, left = 0, cld(n, N)
    while left > 0
        arguments = (y, before_y, x, before_x, step, a, before_a, k, n, j)
        taken = left > 6 || left == 4 ? 4 : min(left, 3)
        taken == 4 ? add_pieces!(Val(N), Val(4), arguments...) :
            taken == 3 ? add_pieces!(Val(N), Val(3), arguments...) :
            taken == 2 ? add_pieces!(Val(N), Val(2), arguments...) : add_pieces!(Val(N), Val(1), arguments...)
        j += taken * N
        left -= taken
    end
    return nothing
end

@inline function add_pieces!(::Val{N}, ::Val{B}, y, before_y, x, before_x, step, a, before_a, k, n, j) where {N, B}
    starts = ntuple(b -> min(j + N * (b - 1), n - N), Val(B))
    even = odd = ntuple(_ -> fill_packed(Val(N), 0.0), Val(B)) # two sums, each waits for itself only
    GC.@preserve y x a begin
        row, place = before_a, before_x + 1
        @inbounds for _ in 1:(k >> 1)
            even = add_products(even, fill_packed(Val(N), x[place]), a, row, starts)
            odd = add_products(odd, fill_packed(Val(N), x[place + step]), a, row + n, starts)
            row += 2 * n
            place += 2 * step
        end
        isodd(k) && (even = add_products(even, fill_packed(Val(N), @inbounds x[place]), a, row, starts))
        one = fill_packed(Val(N), 1.0)
        map((s, t, start) -> store_packed!(y, before_y + start, muladd_packed(one, s, t)), even, odd, starts)
    end
    return nothing
end

"To each sum x times the numbers of a behind its start."
@inline add_products(sums::NTuple{B, Packed{N}}, x::Packed{N}, a, before, starts) where {B, N} =
    map((s, start) -> muladd_packed(x, load_packed(Val(N), a, before + start), s), sums, starts)

"""
    dot_rows!(y, before_y, a, before_a, x, before_x, m, k)

`y = a x` for a matrix a of m rows of k numbers.
"""
@inline function dot_rows!(y, before_y, a, before_a, x, before_x, m, k)
    if m < 4
        for i in 0:(m - 1)
            dot_pieces!(Val(1), y, before_y, a, before_a, x, before_x, k, i)
        end
    else
        for i in 0:4:(m - 1)
            dot_pieces!(Val(4), y, before_y, a, before_a, x, before_x, k, min(i, m - 4))
        end
    end
    return nothing
end

"B rows at a time, from row i."
@inline function dot_pieces!(::Val{B}, y, before_y, a, before_a, x, before_x, k, i) where {B}
    rows = ntuple(b -> before_a + (i + b - 1) * k, Val(B))
    wide, narrow = ntuple(_ -> fill_packed(Val(8), 0.0), Val(B)), ntuple(_ -> fill_packed(Val(4), 0.0), Val(B))
    GC.@preserve a x begin
        l = 0
        while l + 8 <= k
            wide = add_products(wide, load_packed(Val(8), x, before_x + l), a, l, rows)
            l += 8
        end
        totals = map(sum_packed, wide)
        if l + 4 <= k
            narrow = add_products(narrow, load_packed(Val(4), x, before_x + l), a, l, rows)
            totals = map((total, s) -> total + sum_packed(s), totals, narrow)
            l += 4
        end
        @inbounds while l < k
            l += 1
            totals = add_numbers(totals, x[before_x + l], a, l, rows)
        end
        @inbounds for b in 1:B
            y[before_y + i + b] = totals[b]
        end
    end
    return nothing
end

@inline add_numbers(totals, x, a, place, rows) = map((total, row) -> muladd(x, @inbounds(a[row + place]), total), totals, rows)
