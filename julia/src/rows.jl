# What a solve keeps at its save times: columns of one matrix, written as its steps go by. SciML makes a vector for each, and makes
# the stages that values within a step depend on anew at each step; for small systems that takes longer than the steps.

"The states at `times` (increasing), of which the first `n` have been reached."
mutable struct Rows
    const times::Vector64
    const u::Matrix{Float64}
    const state::Vector64
    stages::Vector{Vector64} # further ones that values within a step depend on, behind the first `n_kept` of an integrator
    n_kept::Int
    n::Int
    next::Float64 # the time of the one after these, or infinity
    is_used::Bool # not by Sundials, whose own rows are taken
end

function Rows(times, n_states)
    u, state = Matrix{Float64}(undef, n_states, length(times)), Vector64(undef, n_states)
    return Rows(times, u, state, Vector64[], 0, 0, Inf, false)
end

"The times that were reached, and the states there."
function reached_rows(rows::Rows)
    rows.n == length(rows.times) && return rows.times, rows.u
    return rows.times[1:(rows.n)], rows.u[:, 1:(rows.n)]
end

"Begin, or begin again."
function start_rows!(rows::Rows, u, t)
    rows.n = 0
    rows.next = isempty(rows.times) ? Inf : rows.times[1]
    rows.next == t && save_row!(rows, u)
    return nothing
end

"Save what the step that has just been taken reaches."
function add_step!(rows::Rows, integrator, is_cut = false)
    is_within = false
    while rows.n < length(rows.times) && rows.next <= integrator.t
        if rows.next == integrator.t
            save_row!(rows, integrator.u)
        else
            is_within || reuse_stages!(rows, integrator)
            is_within = true
            interpolate!(rows.state, integrator, integrator.cache, rows.next)
            save_row!(rows, rows.state)
        end
    end
    is_within && keep_stages!(rows, integrator)
    return nothing
end

"The state at a time within the step that has just been taken."
interpolate!(state, integrator, cache, t) = integrator(state, t)

"The same for a pair of methods; SciML looks up at run time which one interpolates, which takes longer than to interpolate."
function interpolate!(state, integrator, cache::CompositeCache, t)
    OrdinaryDiffEqCore.ode_addsteps!(integrator)
    place = (t - integrator.tprev) / integrator.dt
    step = integrator.dt, integrator.uprev, integrator.u, integrator.k
    at(member) = OrdinaryDiffEqCore.ode_interpolant!(state, place, step..., member, nothing, Val{0}, integrator.differential_vars)
    return cache.current == 1 ? at(cache.caches[1]) : at(cache.caches[2])
end

function save_row!(rows, u)
    copyto!(rows.u, rows.n * length(u) + 1, u, 1, length(u))
    rows.n += 1
    rows.next = rows.n < length(rows.times) ? rows.times[rows.n + 1] : Inf
    return nothing
end

"""
Keep the vectors of stages that SciML has added for this step, and is about to drop. Not where it interpolates by the slopes at the
step's ends (one or two are kept): asked for stages, it takes a second slope that is there for this step's.
"""
function keep_stages!(rows, integrator)
    (; k, kshortsize) = integrator
    length(k) > kshortsize > 2 && rows.n_kept != kshortsize || return nothing
    rows.stages, rows.n_kept = k[(kshortsize + 1):end], kshortsize
    return nothing
end

"Compute such stages into the vectors that are there."
function reuse_stages!(rows, integrator)
    (; k, kshortsize) = integrator
    length(k) == kshortsize == rows.n_kept || return nothing
    append!(k, rows.stages)
    OrdinaryDiffEqCore.ode_addsteps!(integrator, integrator.f, false, true, true)
    return nothing
end
