# "auto": a non-stiff method that watches its own stability and hands over to a stiff one, as SciML's default algorithm does
# (OrdinaryDiffEqDefault). That one holds six methods in one type, and loads all their packages first; and for few states it takes
# Rosenbrock23 down to tolerances of 1e-6, where Rodas5P needs a quarter of the time for a tenth of the error
# (`benchmarks/stiff_partner.py`).

const TIGHT = 1.0e-6 # tolerances below ask for methods of higher order
const SMALL = 50 # states up to which Rosenbrock methods are the stiff ones, multistep methods beyond
# States up to which systems without a sparse pattern are factored. FBDF at 1e-6, dense LU against GMRES without a
# preconditioner (benchmarks/linear_solvers.py): 0.17 and 1.9 s (kernel 600), 1.0 and 5.1 (kernel 1000), 0.5 and 0.9 (full 600),
# 1.2 and 3.7 (full 1000), 12 and 26 (full 2000). A doubling costs LU 10 times as much, GMRES 7: they meet about here.
const MEDIUM = 4000

automatic_words(rtol, n) = (rtol < TIGHT ? "Vern7" : "Tsit5", n > SMALL ? "FBDF" : "Rodas5P")

"""
    automatic_algorithm(rtol, n)

The pair for `n` states. FBDF can't take over on the way: it would begin without the history that its formulas and error
estimate rest on. There the second member only stands for it: reaching it ends the solve, and FBDF solves from the start.
"""
function automatic_algorithm(rtol, n)
    high, low = make_algorithm("Vern7"), make_algorithm("Tsit5")
    first_one, other = rtol < TIGHT ? (high, low) : (low, high)
    return AutoAlgSwitch(first_one, n > SMALL ? other : make_algorithm("Rodas5P"))
end

"What is noted of the present solve of a thread."
mutable struct Notes
    const members::Vector{Bool} # of an automatic pair: which have taken a step
    is_automatic::Bool # the solve is one of "auto": other pairs switch on their own
    fastest_decay::Float64 # at the last look, 0 if there was none
    end_by::UInt64 # by `time_ns`
    is_overdue::Bool # it was not over by then
    is_zeno::Bool # firings of an event pile up
    integrator::Any # once it has begun
end

"Of Julia's own threads; those of others make one call at a time, and share the last."
const NOTES = [Notes(zeros(Bool, 2), false, 0.0, typemax(UInt64), false, false, nothing) for _ in 1:1024]
notes() = NOTES[min(Threads.threadid(), end)]

"Let the solve that begins take some seconds, or any if these are infinite."
function start_limit!(seconds)
    own = notes()
    own.end_by = isfinite(seconds) ? time_ns() + round(UInt64, 1.0e9 * min(seconds, 1.0e9)) : typemax(UInt64)
    own.is_overdue = false
    return nothing
end

function is_overdue()
    own = notes()
    own.is_overdue = own.end_by != typemax(UInt64) && time_ns() > own.end_by
    return own.is_overdue
end

note_member(integrator) = nothing # Sundials'
note_member(integrator::OrdinaryDiffEqCore.ODEIntegrator) = note_cache(integrator.cache, integrator)
note_cache(cache, integrator) = nothing
function note_cache(cache::CompositeCache, integrator)
    own = notes()
    own.members[cache.current] = true
    own.is_automatic && cache.current == 1 && correct_stiffness!(integrator, own)
    return nothing
end

const MANY_STEPS = 10_000 # still to go: only then is it worth looking at eigenvalues
const FIRST_LOOK = 128 # steps before the first look; each further one comes after twice as many
const MOST_STATES = 200 # whose eigenvalues are looked at

"""
A non-stiff member guesses the largest eigenvalue from two of its stages, as the ratio of their norms. A species that is a
billion times scarcer than the others, as radicals are, is not in these norms: such a system crawls to its end by steps that
its fastest decay allows, unnoticed (POLLU: 4e11 a minute). So where the end is far, the Jacobian itself is asked.
"""
function correct_stiffness!(integrator, own)
    steps = integrator.iter
    steps == 1 && (own.fastest_decay = 0.0)
    if steps >= FIRST_LOOK && ispow2(steps)
        left = abs(last(integrator.sol.prob.tspan) - integrator.t)
        own.fastest_decay = left > MANY_STEPS * abs(integrator.dt) ? fastest_decay(integrator) : 0.0
    end
    integrator.eigen_est = max(integrator.eigen_est, own.fastest_decay)
    return nothing
end

function fastest_decay(integrator)
    (; f, u, p, t) = integrator
    n = length(u)
    (f.jac === nothing || n > MOST_STATES) && return 0.0
    jacobian = zeros(n, n)
    f.jac(jacobian, u, p, t)
    return all(isfinite, jacobian) ? max(0.0, -minimum(real, LinearAlgebra.eigvals!(jacobian))) : 0.0
end

"Whether a pair has found a problem stiff that a multistep method is to solve."
is_multistep_due(n) = n > SMALL && notes().is_automatic && notes().members[2]

"A sparse Jacobian is factored: GMRES without a preconditioner takes the more iterations the finer a grid is."
function multistep_algorithm(problem)
    reason = load_algorithm("FBDF")
    reason == "" || error(reason)
    is_krylov = length(problem.u0) > MEDIUM && problem.f.jac_prototype === nothing
    spec = is_krylov ? "FBDF;linear_solver=GMRES" : complete_spec("FBDF", problem)
    return Base.invokelatest(make_algorithm, spec)
end

"The words that took steps in the last solve of `n` states."
function members_used(spec, rtol, n)
    spec == "auto" || return method_of(spec)
    is_multistep_due(n) && return "FBDF"
    return join((member for (member, is_used) in zip(automatic_words(rtol, n), notes().members) if is_used), ", ")
end
