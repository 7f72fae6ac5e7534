# Steps of small systems. OrdinaryDiffEq writes a step as sweeps over vectors, each of which takes longer to begin than to compute where
# there are a few states: for three of them a step of Rodas5P is eighty sweeps. Here sums are made in registers.

"""
Marks methods whose steps are taken here: as the one who limits stages (it limits nothing) of a Rosenbrock method, as the way of
threading (there is none) of an explicit one.
"""
struct Tight <: Function end

(::Tight)(u, integrator, p, t) = nothing

# ---- explicit methods: their sweeps, over vectors that are known to be as long

FastBroadcast.fast_materialize!(::Tight, out, x) = FastBroadcast.fast_materialize!(FastBroadcast.Serial(), out, x)

@inline function FastBroadcast.fast_materialize!(::Tight, out::Vector64, sweep::Broadcasted)
    @inbounds @simd ivdep for i in eachindex(out)
        out[i] = FastBroadcast._fastindex(sweep, i)
    end
    return out
end

@inline function DiffEqBase.calculate_residuals!(out, change, before, after, atol, rtol, norm::F, t, ::Tight) where {F}
    @inbounds @simd ivdep for i in eachindex(out)
        out[i] = DiffEqBase.calculate_residuals(change[i], before[i], after[i], atol, rtol, norm, t)
    end
    return nothing
end

# ---- Rosenbrock methods with full matrices

const RosenbrockCache = OrdinaryDiffEqRosenbrock.RosenbrockCache

const TightRosenbrock = RosenbrockCache{
    Vector64, Vector64, Float64, Vector64, Matrix{Float64}, Matrix{Float64}, Tab, TF, UF, F, JC, GC, R, A, S, Tight, JR,
} where {Tab, TF, UF, F <: LinearSolve.LinearCache, JC, GC, R, A, S, JR}

function OrdinaryDiffEqCore.perform_step!(integrator, cache::TightRosenbrock, repeat_step = false)
    (; uprev, u, f, opts) = integrator
    is_known = f.mass_matrix isa LinearAlgebra.UniformScaling && cache.linsolve.cacheval isa FullFactors && opts.abstol isa Float64
    n = length(u)
    if is_known && 0 < n <= UNROLLED_UNKNOWNS
        Base.Cartesian.@nif 8 k -> n == k k -> take_rosenbrock_step!(integrator, cache, repeat_step, Val(k))
    elseif is_known && UNROLLED_UNKNOWNS < n <= FEW_UNKNOWNS
        take_rosenbrock_step!(integrator, cache, repeat_step, n)
    else
        invoke(OrdinaryDiffEqCore.perform_step!, Tuple{Any, RosenbrockCache, Any}, integrator, cache, repeat_step)
    end
    return nothing
end

function take_rosenbrock_step!(integrator, cache, repeat_step, size)
    (; t, dt, uprev, u, f, p, opts, stats) = integrator
    (; ks, tab, atmp) = cache
    factors = cache.linsolve.cacheval
    f(cache.fsalfirst, uprev, p, t)
    is_new = OrdinaryDiffEqDifferentiation.calc_rosenbrock_differentiation!(
        integrator, cache, dt * tab.d[1], dt * tab.gamma, repeat_step
    )
    is_new && factor!(factors, cache.W)
    memory = (; cache.du, cache.dT, side = cache.linsolve_tmp)
    stats.nf += 1 + take_stages!(u, ks, uprev, f.f, p, t, dt, tab.A, tab.C, tab.c, tab.d, factors, memory, size)
    stats.nsolve += length(ks)
    end_step!(u, uprev, tab.b, ks, size)
    if opts.adaptive && tab.btilde !== nothing
        end_step!(cache.du, nothing, tab.btilde, ks, size)
        DiffEqBase.calculate_residuals!(atmp, cache.du, uprev, u, opts.abstol, opts.reltol, opts.internalnorm, t, Tight())
        integrator.EEst = opts.internalnorm(atmp, t)
    end
    opts.calck && has_values(opts, t + 1.5 * dt) && write_interpolant!(integrator.k, tab.H, ks, size)
    return nothing
end

"May values within a step be asked for that ends before a time? SciML makes what gives them wherever there is a callback."
has_values(opts, time) = opts.dense || !isempty(opts.saveat) || is_looked_into(opts.callback.discrete_callbacks, time)
is_looked_into(::Tuple{}, time) = true
is_looked_into(callbacks::Tuple, time) = is_looked_into(callbacks[1].condition, time)
is_looked_into(condition, time) = true

@inline read_tuple(x, ::Val{N}) where {N} = ntuple(i -> @inbounds(x[i]), Val(N))
@inline add_times(sum::NTuple{N}, weight, k) where {N} = ntuple(i -> @inbounds(sum[i] + weight * k[i]), Val(N))

@inline add_slopes(sum::NTuple{N}, slope, h, time_slope) where {N} =
    ntuple(i -> @inbounds(muladd(h, time_slope[i], slope[i] + sum[i])), Val(N))

@inline function write_tuple!(x, values::NTuple{N}) where {N}
    ntuple(i -> (@inbounds x[i] = values[i]; nothing), Val(N))
    return nothing
end

"Stages of a Rosenbrock step, the first with the side that is there, and how often the right-hand side was called."
function take_stages!(u, ks, uprev, f, p, t, dt, A, C, c, d, factors, memory, size::Val{N}) where {N}
    (; du, dT, side) = memory
    start, zeros, rate, n_calls = read_tuple(uprev, size), ntuple(i -> 0.0, size), inv(dt), 0
    time_slope = read_tuple(dT, size)
    solve_negated!(ks[1], factors, side, size)
    @inbounds for stage in 2:length(ks)
        state, others = start, zeros
        for j in 1:(stage - 1)
            k = read_tuple(ks[j], size)
            state, others = add_times(state, A[stage, j], k), add_times(others, C[stage, j] * rate, k)
        end
        if !is_same_place(A, c, stage)
            write_tuple!(u, state)
            f(du, u, p, t + c[stage] * dt)
            n_calls += 1
        end
        write_tuple!(side, add_slopes(others, read_tuple(du, size), dt * d[stage], time_slope))
        solve_negated!(ks[stage], factors, side, size)
    end
    return n_calls
end

"As the stage before, so that its slope serves again."
is_same_place(A, c, stage) =
    stage > 2 && c[stage] == c[stage - 1] && all(j -> A[stage, j] == A[stage - 1, j], 1:(stage - 1))

@inline function solve_negated!(k, factors, b, size)
    if factors.large === nothing
        write_tuple!(k, map(-, solve_unrolled(factors.matrix, factors.rows, b, size)))
    else
        solve_factored!(k, factors, b)
        write_tuple!(k, map(-, read_tuple(k, size)))
    end
    return nothing
end

"`out = u + sum(weights[j] * k_j)`, u being nothing for zero."
function end_step!(out, u, weights, ks, size)
    sum = u === nothing ? ntuple(i -> 0.0, size) : read_tuple(u, size)
    @inbounds for j in eachindex(ks)
        iszero(weights[j]) || (sum = add_times(sum, weights[j], read_tuple(ks[j], size)))
    end
    write_tuple!(out, sum)
    return nothing
end

"What values between a step's ends are made of."
function write_interpolant!(out, H, ks, size)
    @inbounds for row in eachindex(out)
        sum = ntuple(i -> 0.0, size)
        for j in eachindex(ks)
            sum = add_times(sum, H[row, j], read_tuple(ks[j], size))
        end
        write_tuple!(out[row], sum)
    end
    return nothing
end

# ---- the same for more states: sums of eight elements at a time in registers

"`out = start + factor * sum(weights[j] * ks[j])` of the first m of ks, `start` being nothing for zero; of eight elements or more."
@inline function sum_stages!(out, start, factor, weights, ks, m)
    n = length(out)
    GC.@preserve out start ks for first in 0:8:(n - 1)
        before = min(first, n - 8) # the last eight end with the vector, whatever of them was done before
        sum = start === nothing ? fill_packed(Val(8), 0.0) : load_packed(Val(8), start, before)
        @inbounds for j in 1:m
            sum = muladd_packed(fill_packed(Val(8), factor * weights[j]), load_packed(Val(8), ks[j], before), sum)
        end
        store_packed!(out, before, sum)
    end
    return out
end

end_step!(out, u, weights, ks, ::Int) = sum_stages!(out, u, 1.0, weights, ks, length(ks))

function write_interpolant!(out, H, ks, ::Int)
    for row in eachindex(out)
        sum_stages!(out[row], nothing, 1.0, view(H, row, :), ks, length(ks))
    end
    return nothing
end

function take_stages!(u, ks, uprev, f, p, t, dt, A, C, c, d, factors, memory, size::Int)
    (; du, dT, side) = memory
    n_calls = 0
    solve_negated!(ks[1], factors, side, size)
    for stage in 2:length(ks)
        if !is_same_place(A, c, stage)
            sum_stages!(u, uprev, 1.0, view(A, stage, :), ks, stage - 1)
            f(du, u, p, t + c[stage] * dt)
            n_calls += 1
        end
        sum_stages!(side, du, inv(dt), view(C, stage, :), ks, stage - 1)
        iszero(d[stage]) || (side .+= (dt * d[stage]) .* dT)
        solve_negated!(ks[stage], factors, side, size)
    end
    return n_calls
end

function solve_negated!(k, factors, b, ::Int)
    solve_factored!(k, factors, b)
    k .= .-k
    return nothing
end
