# Rosenbrock methods for `discrete.jl`: their steps, done again and reversed. The matrix of a step holds the Jacobian, so that second
# derivatives come in: those of `v' (J k + dT d)`, generated. Daescu, Carmichael, Sandu (2000), doi:10.1006/jcph.2000.6622.

const ROSENBROCK = split("Rosenbrock23 Rodas4 Rodas42 Rodas4P Rodas4P2 Rodas5 Rodas5P Rodas5Pe Rodas6P")

"""
A step of size h as numbers: stage i solves `(M / (gamma h) - J) k_i = f(U_i, t + c_i h) + h d_i dT + M sum(C[i, j] k_j) / h` with
`U_i = u + sum(A[i, j] k_j)`; the step ends at `u + sum(b[j] k_j)`. Rows of H are the coefficients of the interpolation.
"""
struct RosenbrockTableau
    A::Matrix{Float64}
    C::Matrix{Float64}
    b::Vector64
    c::Vector64
    d::Vector64
    H::Matrix{Float64}
    gamma::Float64
end

function read_rosenbrock(spec)
    method_of(spec) == "Rosenbrock23" && return read_rosenbrock23()
    tableau = OrdinaryDiffEqRosenbrock.tabtype(make_algorithm(spec))(Float64, Float64)
    n = length(tableau.b)
    widen(x) = hcat(x, zeros(n, n - size(x, 2)))
    H = tableau.H[:, 1:n]
    return RosenbrockTableau(widen(tableau.A), widen(tableau.C), tableau.b, tableau.c, tableau.d, H, tableau.gamma)
end

"The formula of Shampine, Reichelt (1997), doi:10.1137/S1064827594276424, written with `k_1 / (gamma h)` and `(k_2 - k_1) / (gamma h)`."
function read_rosenbrock23()
    gamma = 1 / (2 + sqrt(2))
    A, C = [0 0; 1 / (2 * gamma) 0], [0 0; -1 / gamma 0]
    H = [0 -1 / (gamma * (1 - 2 * gamma))]
    return RosenbrockTableau(A, C, [1, 1] ./ gamma, [0, 1 / 2], [gamma, 0], H, gamma)
end

"`u(s) = (1 - s) u(0) + s (u(1) + (1 - s) (K_1 + s (K_2 + ...)))` with `K = H k`, at a share s of the step."
function interpolation_weights!(w, tableau::RosenbrockTableau, share, h)
    for i in eachindex(w)
        inner = 0.0
        for r in reverse(axes(tableau.H, 1))
            inner = tableau.H[r, i] + share * inner
        end
        w[i] = share * (tableau.b[i] + (1 - share) * inner)
    end
    return w
end

"Factor the matrix of a step, or take the factors that are kept."
function factor_step!(memory, f, tableau, step, p)
    J = memory.jacobian
    restore_factors!(memory.full, step.factors) && return nothing
    Jacobian(f)(J, step.u, p, step.t)
    subtract_from_mass!(J, memory.mass_matrix, 1 / (tableau.gamma * step.h))
    J isa SparseMatrixCSC ? factor_sparse!(memory.sparse, J) : factor!(memory.full, J)
    return nothing
end

"Its pattern stays the same, and is analysed once."
factor_sparse!(factors, J) = factors[] = isassigned(factors) ? lu!(factors[], J) : lu(J)

factors_of(memory) = memory.jacobian isa SparseMatrixCSC ? memory.sparse[] : memory.full

"`J = factor * M - J`; a sparse J has the places of M."
function subtract_from_mass!(J, M, factor)
    entries = entries_of(J)
    entries .= .-entries
    add_mass!(J, M, factor)
    return J
end

entries_of(J) = J
entries_of(J::SparseMatrixCSC) = nonzeros(J)
entries_of(J::LaneMatrix) = J.blocks

add_mass!(J, M, factor) = (J .+= factor .* M; nothing)
function add_mass!(J, ::LinearAlgebra.UniformScaling, factor)
    for i in axes(J, 1)
        J[i, i] += factor
    end
    return nothing
end
function add_mass!(J, M::SparseMatrixCSC, factor)
    for (i, j, value) in zip(findnz(M)...)
        J[i, j] += factor * value
    end
    return nothing
end

"`x += factor * M * sum(weights[j] * k[j])`, with a memory for the sum."
add_mass_times!(x, ::LinearAlgebra.UniformScaling, factor, weights, k, stages, memory) = add_stages!(x, factor, weights, k, stages)
add_mass_times!(x, M, factor, weights, k, stages, memory) =
    mul!(x, M, add_stages!(fill!(memory, 0.0), factor, weights, k, stages), 1.0, 1.0)

"`M' v`"
transposed_mass_times!(memory, ::LinearAlgebra.UniformScaling, v) = v
transposed_mass_times!(memory, M, v) = mul!(memory, M', v)

"The state that a stage is computed at."
stage_state!(memory, tableau::RosenbrockTableau, i, u) =
    length(u) < 8 ? add_stages!(copyto!(memory.state, u), 1.0, view(tableau.A, i, :), memory.k, 1:(i - 1)) :
    sum_stages!(memory.state, u, 1.0, view(tableau.A, i, :), memory.k, i - 1)

function find_stages!(memory, f, tableau::RosenbrockTableau, step, p, is_between)
    factor_step!(memory, f, tableau, step, p)
    all(i -> take_stage!(memory.k[i], step.kept, i), eachindex(memory.k)) && return nothing
    return replay_stages!(memory, f, tableau, step, p, factors_of(memory))
end

function replay_stages!(memory, f, tableau, step, p, matrix)
    (; t, h, u) = step
    slope = memory.state_slope
    f.derivatives.time(slope, u, p, t)
    for i in eachindex(memory.k)
        k = memory.k[i]
        f(k, stage_state!(memory, tableau, i, u), p, t + tableau.c[i] * h)
        k .+= (h * tableau.d[i]) .* slope
        add_mass_times!(k, memory.mass_matrix, 1 / h, view(tableau.C, i, :), memory.k, 1:(i - 1), memory.slope)
        ldiv!(matrix, k)
    end
    return nothing
end

end_factor(::RosenbrockTableau, h) = 1.0

"Add to the cotangents of earlier stages what comes of a stage's state and of its right-hand side."
function spread_both!(cotangents, tableau, i, by_state, by_side, factor)
    for j in 1:(i - 1)
        a, c, cotangent = tableau.A[i, j], factor * tableau.C[i, j], cotangents[j]
        @inbounds @simd for l in eachindex(by_state)
            cotangent[l] += a * by_state[l] + c * by_side[l]
        end
    end
    return nothing
end

"Rosenbrock23's are of another form."
is_kept(tableau::RosenbrockTableau) = length(tableau.b) > 2

function reverse_step!(before, after, memory, f, tableau::RosenbrockTableau, step, p, is_between)
    before .+= after
    spread!(memory.cotangents, 1.0, tableau.b, after, eachindex(memory.k))
    return reverse_stages!(before, memory, f, tableau, factors_of(memory), step, p)
end

function reverse_stages!(before, memory, f, tableau::RosenbrockTableau, matrix, step, p)
    is_tight(memory, matrix) && return reverse_tight_stages!(before, memory, f, tableau, matrix, step, p)
    (; t, h, u) = step
    for i in reverse(eachindex(memory.k))
        v = memory.cotangents[i]
        solve_transposed!(matrix, v)
        f.derivatives.second(memory.state_slope, memory.total, v, memory.k[i], h * tableau.d[i], u, p, t)
        before .+= memory.state_slope
        found = pull_step!(memory, f, v, stage_state!(memory, tableau, i, u), p, t + tableau.c[i] * h)
        before .+= found
        spread_both!(memory.cotangents, tableau, i, found, transposed_mass_times!(memory.slope, memory.mass_matrix, v), 1 / h)
    end
    return nothing
end

# ---- few states: the same in registers, as in `tight.jl`

"Are sums made in registers: few states, a full matrix with a pivot for each, no mass matrix?"
is_tight(memory, factors) = memory.mass_matrix isa LinearAlgebra.UniformScaling && factors isa FullFactors{Float64} &&
    factors.large === nothing && 0 < length(memory.state) <= UNROLLED_UNKNOWNS

"What `reverse_stages!` does."
function reverse_tight_stages!(before, memory, f, tableau, factors, step, p)
    Base.Cartesian.@nif 8 n -> length(before) == n n -> reverse_tight_stages!(before, memory, f, tableau, factors, step, p, Val(n))
    return nothing
end

function reverse_tight_stages!(before, memory, f, tableau, factors, step, p, size::Val)
    (; t, h) = step
    (; A, C, c, d) = tableau
    (; k, cotangents, state, state_slope, total) = memory
    second, rate = f.derivatives.second::GeneratedSecond, inv(h)
    start, sum = read_tuple(step.u, size), read_tuple(before, size)
    @inbounds for i in reverse(eachindex(k))
        v = cotangents[i]
        solve_transposed_unrolled!(v, factors.matrix, factors.rows, size)
        second(state_slope, total, v, k[i], h * d[i], step.u, p, t)
        sum, place = add_times(sum, 1.0, read_tuple(state_slope, size)), start
        for j in 1:(i - 1)
            place = add_times(place, A[i, j], read_tuple(k[j], size))
        end
        write_tuple!(state, place)
        by_side, by_state = read_tuple(v, size), read_tuple(pull_step!(memory, f, v, state, p, t + c[i] * h), size)
        sum = add_times(sum, 1.0, by_state)
        for j in 1:(i - 1)
            earlier = add_times(read_tuple(cotangents[j], size), A[i, j], by_state)
            write_tuple!(cotangents[j], add_times(earlier, C[i, j] * rate, by_side))
        end
    end
    write_tuple!(before, sum)
    return nothing
end
