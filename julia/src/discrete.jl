# The gradient of what a method computes: its own accepted steps, reversed one by one. Their sizes are held fixed, and values
# between them are the method's own interpolation.

# SDIRK methods are left out: with a factorisation for each stage in place of each step they would take three times as long as
# Rodas5P at equal errors of the gradient (`benchmarks/sdirk.py`).

"Are the steps of an objective's method known? Those of a Rosenbrock method have the very Jacobian that is known."
function has_known_steps(o::Objective)
    word = method_of(o.word)
    has_jacobian = n_states(o) <= LARGEST_JACOBIAN || has_sparse_jacobian(o.f)
    is_fresh = !occursin("jacobian_age", o.word)
    return word in EXPLICIT || (word in ROSENBROCK && has_jacobian && is_fresh && o.f.derivatives !== nothing)
end

"Can they be taken again from elsewhere? Not where steps end at moments that move with the solution."
is_replayed(o::Objective) = has_known_steps(o) && all(event -> event.condition === nothing, o.options.events.list)

"Can they be reversed?"
is_reversed(o::Objective) = o.f.pullback !== nothing && has_known_steps(o) &&
    (method_of(o.word) in EXPLICIT || o.f.derivatives.second !== nothing)

const TABLEAUS = Dict{String, Union{Tableau, RosenbrockTableau}}()

tableau_of(spec) = get!(() -> method_of(spec) in ROSENBROCK ? read_rosenbrock(spec) : read_tableau(spec), TABLEAUS, spec)

"What reversing a step works with: values and cotangents of its stages, weights, and a few states and parameters."
struct StepMemory{J, F, M}
    k::Vector{Vector64}
    cotangents::Vector{Vector64}
    weights::Vector64
    state::Vector64
    slope::Vector64
    state_slope::Vector64
    shared::Vector64
    total::Vector64
    factors::Factors
    column::Vector64
    jacobian::J # the matrix of an implicit step: full, sparse or of lanes
    full::F # its factors, if it is not sparse
    sparse::Ref{Any} # and if it is
    mass_matrix::M
end

function StepMemory(f, tableau, n, m, blocks)
    jacobian = tableau isa Tableau ? zeros(0, 0) : step_matrix(f, n)
    stages() = [zeros(n) for _ in tableau.b]
    column = zeros(count_factors(blocks))
    return StepMemory(
        stages(), stages(), zero(tableau.b), (zeros(n) for _ in 1:4)..., zeros(m), Factors(blocks), column, jacobian,
        jacobian isa SparseMatrixCSC ? nothing : make_factors(jacobian), Ref{Any}(), f.mass_matrix
    )
end

"Memory to reverse a path with, kept with it. Not where sparse matrices are factored, since their factors keep the pivots of the first."
function step_memory(o, tableau, path, m)
    if path.memory === nothing || has_sparse_jacobian(o.f)
        path.memory = StepMemory(o.f, tableau, length(path.states[1]), m, o.f.pullback.program.blocks)
    end
    forget_slopes!(o.f.pullback.program.function!)
    return begin_again!(path.memory)
end

function begin_again!(memory)
    foreach(x -> fill!(x, 0.0), (memory.shared, memory.total))
    memory.factors.n = 0
    return memory
end

function step_matrix(f, n)
    has_sparse_jacobian(f) && return similar(union_pattern(f.derivatives.prototype, f.mass_matrix))
    return has_lanes(f) ? similar(f.derivatives.prototype) : zeros(n, n)
end

"One step of a solution: where it begins and ends, and the stages and factors that the solution has kept."
struct Step
    t::Float64
    h::Float64
    t_next::Float64
    u::Vector64
    u_next::Vector64
    kept::Vector64
    factors::typeof(NO_FACTORS)
end

"Take a stage that was kept at a slot; whether it was."
function take_stage!(k, kept, slot)
    n = length(k)
    0 < slot && slot * n <= length(kept) || return false
    copyto!(k, 1, kept, (slot - 1) * n + 1, n)
    return true
end

"x += h * sum(weights[j] * k[j])"
function add_stages!(x, h, weights, k, stages)
    for j in stages
        weight = h * weights[j]
        iszero(weight) && continue
        k_j = k[j]
        @inbounds @simd for i in eachindex(x)
            x[i] += weight * k_j[i]
        end
    end
    return x
end

"The state at the start of a step becomes the one at its end."
end_step!(u, memory, tableau, h) =
    add_stages!(u, end_factor(tableau, h), tableau.b, memory.k, eachindex(memory.k))

"Add weights[j] * h * v to the cotangents of stages."
function spread!(cotangents, h, weights, v, stages)
    for j in stages
        weight = h * weights[j]
        iszero(weight) && continue
        cotangent = cotangents[j]
        @inbounds @simd for i in eachindex(v)
            cotangent[i] += weight * v[i]
        end
    end
    return nothing
end

"Cotangents of the state and of the parameters, from one of f: the first is returned, the second added to the total."
function pull_step!(memory, f, v, u, p, t)
    if isempty(memory.column)
        f.pullback(memory.state_slope, memory.total, v, u, p, t)
    else
        f.pullback(memory.state_slope, memory.column, v, u, p, t)
        keep_factors!(memory.total, memory.factors, memory.column)
    end
    return memory.state_slope
end

"Add to the cotangent of a state what comes of f there."
pull_shared!(u_slope, memory, f, u, p, t) =
    all(iszero, memory.shared) ? u_slope : (u_slope .+= pull_step!(memory, f, memory.shared, u, p, t))

"""
    reverse_path(o, tableau, path, p)

The sum of all misfits and its slopes by the initial value and the parameters, from a solve's steps; nothing if interrupted. `p` is
written to if events change parameters.
"""
function reverse_path(o, tableau, path, p)
    return reverse_steps(o, tableau, path, p, step_memory(o, tableau, path, length(p)))
end

function reverse_steps(o, tableau, path, p, memory)
    (; t, stages, keeps_stages) = path
    events = o.options.events
    u = Retraced(path, o.f, tableau, events, isempty(events.jumps) ? p : copy(p))
    set_parameters!(p, events, t, length(t))
    n, row, total = length(u[1]), o.rows, 0.0
    after, before = zeros(n), zeros(n) # cotangents of the states at a step's end and at its start
    for s in (length(t) - 1):-1:1
        is_interrupted() && return nothing
        u_next, u_start = u[s + 1], u[s]
        (u_next === nothing || u_start === nothing) && return nothing
        loss, row = cross!(after, memory, o, u_next, p, t[s + 1], s + 1, row)
        total += loss
        u_start = start_state(events, u_start, p, t[s], s)
        kept = keeps_stages ? stages[s] : NOT_KEPT, kept_factors(path, s, n)
        step = Step(t[s], t[s + 1] - t[s], t[s + 1], u_start, u_next, kept...)
        foreach(v -> fill!(v, 0.0), memory.cotangents)
        fill!(before, 0.0)
        is_between = row >= 1 && o.times[row] > step.t
        find_stages!(memory, o.f, tableau, step, p, is_between)
        while row >= 1 && o.times[row] > step.t
            total += add_datum_between!(before, memory, o, tableau, step, p, row)
            row -= 1
        end
        reverse_step!(before, after, memory, o.f, tableau, step, p, is_between)
        copyto!(after, before)
    end
    loss, _ = cross!(after, memory, o, u[1], p, t[1], 1, row)
    pull_shared!(after, memory, o.f, u[1], p, t[1])
    fetch_slopes!(memory.total, o.f.pullback.program.function!)
    return total + loss, after, add_factors!(memory.total, memory.factors)
end

"A datum at the end of a step: its misfit, and the slope of that added to the state's."
function add_datum!(u_slope, memory, o, u, p, row)
    u_slope .+= misfit_slopes!(memory.slope, memory.total, o, u, p, row)
    return misfit(o, u, p, row)
end

"A datum within a step."
function add_datum_between!(u_slope, memory, o, tableau, step, p, row)
    w = interpolation_weights!(memory.weights, tableau, (o.times[row] - step.t) / step.h, step.h)
    state = add_stages!(copyto!(memory.state, step.u), 1.0, w, memory.k, eachindex(w))
    loss = add_datum!(u_slope, memory, o, state, p, row)
    spread!(memory.cotangents, 1.0, w, memory.slope, eachindex(w))
    return loss
end

"Value and slopes by the initial value and the parameters, which the next call may write to, or nothing if the solve fails."
function discrete_slopes(o::Objective, u0, p)
    tableau = tableau_of(o.word)
    path = record_path(o, u0, p, is_kept(tableau))
    path === nothing && return nothing
    found = try_numerics(() -> reverse_path(o, tableau, path, p))
    found === nothing || !has_mass(o.f) || reverse_start!(found[2], found[3], o.f, path.states[1], p, o.t0)
    forget_steps!(path)
    return found
end

"The steps of a solve, with what fires on the way; nothing if it fails."
function record_path(o::Objective, u0, p, keeps_stages)
    u0 = find_start(o, u0, p)
    u0 === nothing && return nothing
    events = o.options.events
    path, kept = recorder(o, u0)
    begin_path!(path, u0, keeps_stages)
    isempty(events) || (u0 = copy(u0); p = copy(p); events.keeps_jumps = true) # what fires at the start writes to them
    if last_time(o) == o.t0
        forget!(events)
        isempty(events) || start!(events, u0, p, (o.t0, o.t0))
        return path
    end
    solution = try_solve(() -> solve_into!(path, kept, o, u0, p))
    return solution === nothing ? nothing : path
end

"The solve whose steps go to a path, by the integrator of the last one if that was kept."
function solve_into!(path, kept, o, u0, p)
    is_warm(kept) && return solve_next!(kept, o.word, o.options, u0, p)
    problem = make_problem(o.f, u0, p, (o.t0, last_time(o)))
    return solve_problem(problem, o.word, o.options; everystep = false, record = path, kept)
end

"A path, and the integrator that writes to it if one is kept: those of the last solve with the same right-hand side, if it was alike."
function recorder(o::Objective, u0)
    isempty(o.options.events) && length(u0) < MANY_STATES || return Path(o.t0), nothing
    return keep_alike(() -> (Path(o.t0), Kept()), o.f, :recorder, what_is_asked(o))::Tuple{Path, Kept}
end
