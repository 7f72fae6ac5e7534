# Integrators that are kept for the next solve of the same right-hand side by the same method. To make one takes as long as some ten
# steps of a small system; to begin anew with it takes one. What it then computes is what a new one would, to the last bit.

"""
An integrator for solves that differ in initial values and parameters only, once there is one, and the numbers and flags that it
began with.
"""
mutable struct Kept
    integrator::Any
    start::Any
end

Kept() = Kept(nothing, nothing)

"What `make` gave last by this name for the same right-hand side, if the same was asked; else what it gives now."
function keep_alike(make, f, name, asked)
    last = get(f.memory, name, nothing)
    last !== nothing && isequal(last[1], asked) && return last[2]
    made = make()
    f.memory[name] = (asked, made)
    return made
end

"Packages of methods whose steps depend on nothing that their memory held before, but for what `holders` lists."
const KEPT = (OrdinaryDiffEqTsit5, OrdinaryDiffEqVerner, OrdinaryDiffEqRosenbrock)

"""
Whether an integrator may be kept. Not where sparse matrices are factored, since their factors keep the pivots of the first one,
not where there is a mass matrix, to which initial values are fitted, and not where a pair hands over to another solve.
"""
can_keep(problem, algorithm) = !(problem.f.jac_prototype isa SparseMatrixCSC) && !(problem.f.mass_matrix isa AbstractMatrix) &&
    is_kept(algorithm, problem)
is_kept(algorithm, problem) = parentmodule(typeof(algorithm)) in KEPT &&
    (!hasproperty(algorithm, :linsolve) || algorithm.linsolve isa FullSolver && problem.f.jac !== nothing)
is_kept(pair::OrdinaryDiffEqCore.OrdinaryDiffEqCompositeAlgorithm, problem) =
    length(problem.u0) <= SMALL && all(member -> is_kept(member, problem), pair.algs)

"What `solve` gives, by an integrator that is then kept."
function solve_first!(kept, problem, algorithm, keywords)
    integrator = SciMLBase.init(problem, algorithm; keywords...)
    kept.start = map(plain_values, holders(integrator))
    solution = SciMLBase.solve!(integrator)
    kept.integrator = integrator
    return solution
end

"Whether there is one that is kept."
is_warm(kept) = kept !== nothing && kept.integrator !== nothing

"The same for other initial values and parameters, by the integrator that was kept: what throws is not used again."
function solve_next!(kept, spec, options, u0, p)
    start_solve!(spec, options, length(u0))
    integrator, kept.integrator = kept.integrator, nothing
    solution = solve_renewed!(integrator, kept.start, u0, p, options)
    kept.integrator = integrator
    return solution
end

function solve_renewed!(integrator, start, u0, p, options)
    isempty(options.events) || start!(options.events, u0, p, integrator.sol.prob.tspan)
    renew!(integrator, start, u0, p)
    return SciMLBase.solve!(integrator)
end

"All that changes on the way, beside vectors that each solve writes before it reads them."
function holders(integrator)
    (; opts, stats, alg, cache) = integrator
    return (integrator, opts, opts.controller, stats, choice_of(alg), reuse_of(cache)...)
end

choice_of(algorithm) = nothing
choice_of(pair::OrdinaryDiffEqCore.OrdinaryDiffEqCompositeAlgorithm) = pair.choice_function

"How old the Jacobian of a Rosenbrock method is that may use it for several steps."
reuse_of(cache) = hasfield(typeof(cache), :jac_reuse) ? (cache.jac_reuse,) : ()
reuse_of(cache::CompositeCache) = (reuse_of(cache.caches[1])..., reuse_of(cache.caches[2])...)

"Fields of a mutable struct that hold numbers and flags."
plain_fields(T) = [name for (name, type) in zip(fieldnames(T), fieldtypes(T)) if isbitstype(type)]

@generated plain_values(holder) = Expr(:tuple, (:(getfield(holder, $(QuoteNode(name)))) for name in plain_fields(holder))...)

@generated function set_plain!(holder, values)
    lines = (:(setfield!(holder, $(QuoteNode(name)), values[$k])) for (k, name) in enumerate(plain_fields(holder)))
    return Expr(:block, lines..., :(return nothing))
end

"Begin with other values as SciML's `init` ends; its `reinit!` leaves some of what the last solve did."
function renew!(integrator, start, u0, p)
    map(set_plain!, holders(integrator), start) # which is unrolled, as `foreach` is not
    set_plain!(integrator.stats, NO_STEPS)
    restart!(choice_of(integrator.alg))
    integrator.dt = integrator.dtpropose = integrator.dtcache
    copyto!(integrator.p, p)
    note_rewritten!()
    foreach(u -> copyto!(u, u0), (integrator.u, integrator.uprev, integrator.uprev2))
    integrator.sol = SciMLBase.solution_new_retcode(integrator.sol, ReturnCode.Default)
    (; tstops, tstops_cache, d_discontinuities_cache) = integrator.opts
    OrdinaryDiffEqCore.reinit_tstops!(Float64, tstops, tstops_cache, d_discontinuities_cache, integrator.sol.prob.tspan)
    OrdinaryDiffEqCore.initialize_callbacks!(integrator, true)
    OrdinaryDiffEqCore.initialize!(integrator, integrator.cache)
    OrdinaryDiffEqCore.handle_dt!(integrator)
    return nothing
end

const NO_STEPS = plain_values(SciMLBase.DEStats(0))

"A pair that has not chosen yet."
restart!(::Nothing) = nothing
function restart!(choice)
    choice.count = choice.successive_switches = choice.current = 0
    choice.is_stiffalg = choice.stiffalgfirst
    return nothing
end
