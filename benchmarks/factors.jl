# At which sparse patterns is KLU quicker than UMFPACK at factoring a matrix again and solving twice with the factors?
#
# `julia benchmarks/factors.jl` needs LinearSolve and SparseArrays, nothing of ours. A row a pattern: states, floating-point
# operations an entry of the factors as KLU's analysis foretells them, milliseconds of KLU and of UMFPACK, their ratio.

using LinearAlgebra, LinearSolve, Printf, Random, SparseArrays, Statistics

const KLU = Base.get_extension(LinearSolve, :LinearSolveSparseArraysExt).KLU
identity_matrix(n) = sparse(1.0I, n, n)
band(n, width) = spdiagm((k => ones(n - abs(k)) for k in -width:width)...)
ring(n) = (A = band(n, 1); A[1, n] = A[n, 1] = 1; A)
square(n, row = ring(n)) = kron(row, identity_matrix(n)) + kron(identity_matrix(n), row)
pair(A) = [A identity_matrix(size(A, 1)); identity_matrix(size(A, 1)) A]
cube(n, row = band(n, 1), one = identity_matrix(n)) = kron(row, one, one) + kron(one, row, one) + kron(one, one, row)

const PATTERNS = (
    ("line", band(10^3, 1)), ("line", band(10^4, 1)), ("line", band(10^5, 1)), ("two on a line", pair(band(10^4, 1))),
    ("band of 41", band(10^4, 20)), ("band of 81", band(10^4, 40)), ("open square", square(64, band(64, 1))),
    ("open square", square(128, band(128, 1))), ("square", square(32)), ("square", square(128)), ("two on a square", pair(square(16))),
    ("two on a square", pair(square(32))), ("two on a square", pair(square(64))), ("two on a square", pair(square(128))),
    ("cube", cube(10)), ("cube", cube(16)), ("random", sprand(Xoshiro(1), 2000, 2000, 0.0015)),
)

function median_time(f)
    f()
    times = Float64[]
    while sum(times; init = 0.0) < 0.3 && length(times) < 50
        push!(times, @elapsed f())
    end
    return median(times)
end

function main()
    for (name, pattern) in PATTERNS
        A = 11I - 0.1pattern
        b, x = ones(size(A, 1)), zeros(size(A, 1))
        klu, umfpack = KLU.klu(A), lu(A)
        (; est_flops, lnz, unz) = klu.symbolic
        again_klu() = (KLU.klu!(klu, nonzeros(A)); ldiv!(klu, copyto!(x, b)); ldiv!(klu, copyto!(x, b)))
        again_umfpack() = (lu!(umfpack, A; reuse_symbolic = true); ldiv!(x, umfpack, b); ldiv!(x, umfpack, b))
        times = 1.0e3 .* (median_time(again_klu), median_time(again_umfpack))
        @printf(
            "%-16s %7d states  %6.1f operations an entry  KLU %9.3f  UMFPACK %9.3f  ratio %6.2f\n",
            name, size(A, 1), est_flops / (lnz + unz), times..., times[2] / times[1]
        )
    end
end

main()
