# The gradient of what an explicit Runge-Kutta method computes: its own accepted steps, reversed one by one. Their sizes are held
# fixed, and values between them are the method's own interpolation.
#
# Hager (2000), doi:10.1007/s002110000178; Sanz-Serna (2016), doi:10.1137/151002769.

"Methods that are reversed: explicit Runge-Kutta methods whose coefficients depend on nothing."
const REVERSED = split("Tsit5 Vern6 Vern7 Vern8 Vern9 BS3 BS5 DP5 RK4 OwrenZen3 OwrenZen4 OwrenZen5 Euler Heun Ralston Midpoint
    DP8 TsitPap8 TanYam7")

is_reversed(word) = word in REVERSED

"""
A step of size h as numbers: stage i is f at `t + c[i] h` and `u + h sum(a[j, i] k_j)`, the step ends at `u + h sum(b[j] k_j)`, and
a state between is `u + h sum(w[j] k_j)`, the w being polynomials of the share of the step that are given by their `values` at
`nodes`.
"""
struct Tableau
    a::Matrix{Float64}
    b::Vector64
    c::Vector64
    nodes::Vector64
    values::Matrix{Float64}
    factors::Vector64 # of barycentric interpolation
    inner::Vector{Int} # stages that the end depends on, the first at the start of the step
    between::Vector{Int} # further ones that states between depend on
    last::Int # one of those: at the end of the step, as is the first stage of the next; 0: there is none
    slots::Vector{Int} # where a dense solution keeps a stage; 0: nowhere
end

const MOST_STAGES = 64
const NODES = 14 # more than the degree of any of the polynomials
const TABLEAUS = Dict{String, Tableau}()

tableau_of(spec) = get!(() -> read_tableau(spec), TABLEAUS, spec)

"""
The tableau of a method, as a step of it says: of size 1 from 0 with a right-hand side whose i-th call gives the i-th unit vector,
so that the states it is called with are columns of `a`.
"""
function read_tableau(spec)
    n_calls, places, c = 0, Vector64[], Float64[]
    function basis!(du, u, p, t)
        n_calls += 1
        push!(places, copy(u))
        push!(c, t)
        fill!(du, 0.0)
        du[n_calls] = 1.0
        return nothing
    end
    problem = make_problem(RightHandSide(basis!), zeros(MOST_STAGES), Float64[], (0.0, 1.0))
    options = Options(1.0, 1.0, 1.0, 0.0, 10, Float64[], false, NO_EVENTS)
    solution = solve_problem(problem, spec, options; dense = true, everystep = true)
    length(solution.t) == 2 || error("a step of size 1 was not taken by $spec")
    angles = [(2 * i - 1) * pi / (2 * NODES) for i in 1:NODES]
    nodes = (1 .- cos.(angles)) ./ 2
    values = reduce(hcat, (solution(node) for node in nodes))
    n = n_calls
    a, b = reduce(hcat, places)[1:n, :], solution.u[2][1:n]
    inner = depends_on(a, findall(!iszero, b))
    between = setdiff(depends_on(a, findall(i -> any(!iszero, @view values[i, :]), 1:n)), inner)
    at_end = filter(i -> a[:, i] == b && c[i] == 1, between)
    slots = [something(findlast(k -> k[i] == 1 && count(!iszero, k) == 1, solution.k[2]), 0) for i in 1:n]
    signs = [isodd(i) ? 1.0 : -1.0 for i in 1:NODES]
    last = isempty(at_end) ? 0 : at_end[1]
    return Tableau(a, b, c, nodes, values[1:n, :], signs .* sin.(angles), inner, between, last, slots)
end

"The stages that some stages depend on, those included."
function depends_on(a, stages)
    found = falses(size(a, 1))
    found[stages] .= true
    for i in reverse(axes(a, 2))
        found[i] && (found .|= .!iszero.(@view a[:, i]))
    end
    return findall(found)
end

"The weights of stages in a state at a share of the step."
function interpolation_weights!(w, tableau, share)
    fill!(w, 0.0)
    total = 0.0
    for (k, node) in enumerate(tableau.nodes)
        share == node && return copyto!(w, @view tableau.values[:, k])
        factor = tableau.factors[k] / (share - node)
        total += factor
        for i in eachindex(w)
            w[i] += factor * tableau.values[i, k]
        end
    end
    w ./= total
    return w
end

"What reversing a step works with: values and cotangents of its stages, weights, and a few states and parameters."
struct StepMemory
    k::Vector{Vector64}
    own::Vector{Vector64}
    cotangents::Vector{Vector64}
    weights::Vector64
    state::Vector64
    slope::Vector64
    state_slope::Vector64
    parameter_slope::Vector64
    total::Vector64
end

function StepMemory(tableau, n, m)
    stages() = [zeros(n) for _ in tableau.b]
    own = stages()
    return StepMemory(copy(own), own, stages(), zero(tableau.b), (zeros(n) for _ in 1:3)..., zeros(m), zeros(m))
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

"The state that a stage is computed at."
stage_state!(memory, tableau, i, u, h) =
    add_stages!(copyto!(memory.state, u), h, view(tableau.a, :, i), memory.k, 1:(i - 1))

"The stages of a step: as the solution has kept them, computed again where it has not."
function find_stages!(memory, f, tableau, stages, t, h, u, p, kept)
    for i in stages
        slot = tableau.slots[i]
        if 0 < slot <= length(kept)
            memory.k[i] = kept[slot]
        else
            memory.k[i] = memory.own[i]
            f(memory.own[i], stage_state!(memory, tableau, i, u, h), p, t + tableau.c[i] * h)
        end
    end
    return nothing
end

"Cotangents of the state and of the parameters, from one of f: the first is returned, the second added to the total."
function pull_step!(memory, f, v, u, p, t)
    f.pullback(memory.state_slope, memory.parameter_slope, v, u, p, t)
    memory.total .+= memory.parameter_slope
    return memory.state_slope
end

"Reverse stages: cotangents of theirs become ones of earlier stages, and of the state at the start, to which they are added."
function reverse_stages!(u_slope, memory, f, tableau, stages, t, h, u, p)
    for i in Iterators.reverse(stages)
        v = memory.cotangents[i]
        (i == tableau.last || all(iszero, v)) && continue
        state = stage_state!(memory, tableau, i, u, h)
        found = pull_step!(memory, f, v, state, p, t + tableau.c[i] * h)
        u_slope .+= found
        spread!(memory.cotangents, h, view(tableau.a, :, i), found, 1:(i - 1))
    end
    return nothing
end

"""
    reverse_solution(o, tableau, t, u, k, p)

The sum of all misfits and its slopes by the initial value and the parameters, from a solution's steps; nothing if interrupted.
"""
function reverse_solution(o, tableau, t, u, k, p)
    n, row, total = length(u[1]), o.rows, 0.0
    memory = StepMemory(tableau, n, length(p))
    after, before = zeros(n), zeros(n) # cotangents of the states at a step's end and at its start
    shared = zeros(n) # and of f at its end, where the next step begins
    first = tableau.inner[1]
    for s in (length(t) - 1):-1:1
        is_interrupted() && return nothing
        h = t[s + 1] - t[s]
        foreach(v -> fill!(v, 0.0), memory.cotangents)
        fill!(before, 0.0)
        if row >= 1 && o.times[row] == t[s + 1]
            total += add_datum!(after, memory, o, u[s + 1], p, row)
            row -= 1
        end
        find_stages!(memory, o.f, tableau, tableau.inner, t[s], h, u[s], p, k[s + 1])
        if row >= 1 && o.times[row] > t[s]
            find_stages!(memory, o.f, tableau, tableau.between, t[s], h, u[s], p, k[s + 1])
            while row >= 1 && o.times[row] > t[s]
                total += add_datum_between!(before, memory, o, tableau, t[s], h, u[s], p, row)
                row -= 1
            end
            reverse_stages!(before, memory, o.f, tableau, tableau.between, t[s], h, u[s], p)
            tableau.last > 0 && (shared .+= memory.cotangents[tableau.last])
        end
        all(iszero, shared) || (after .+= pull_step!(memory, o.f, shared, u[s + 1], p, t[s + 1]))
        before .+= after
        spread!(memory.cotangents, h, tableau.b, after, tableau.inner)
        reverse_stages!(before, memory, o.f, tableau, @view(tableau.inner[2:end]), t[s], h, u[s], p)
        copyto!(shared, memory.cotangents[first])
        copyto!(after, before)
    end
    all(iszero, shared) || (after .+= pull_step!(memory, o.f, shared, u[1], p, t[1]))
    row == 1 && (total += add_datum!(after, memory, o, u[1], p, 1))
    return total, after, memory.total
end

"A datum at the end of a step: its misfit, and the slope of that added to the state's."
function add_datum!(u_slope, memory, o, u, p, row)
    u_slope .+= misfit_slopes!(memory.slope, memory.total, o, u, p, row)
    return misfit(o, u, p, row)
end

"A datum within a step."
function add_datum_between!(u_slope, memory, o, tableau, t, h, u, p, row)
    w = interpolation_weights!(memory.weights, tableau, (o.times[row] - t) / h)
    state = add_stages!(copyto!(memory.state, u), h, w, memory.k, eachindex(w))
    loss = add_datum!(u_slope, memory, o, state, p, row)
    spread!(memory.cotangents, h, w, memory.slope, eachindex(w))
    return loss
end

const MOST_KEPT = 200 # states up to which stages are kept, and not computed again

"Value and slopes by the initial value and the parameters, or nothing if the solve fails."
function discrete_slopes(o::Objective, u0, p)
    problem = make_problem(o.f, u0, p, (o.t0, last_time(o)))
    keeps = length(u0) <= MOST_KEPT
    solution = try_solve(() -> solve_problem(problem, o.word, o.options; dense = keeps, everystep = true))
    solution === nothing && return nothing
    kept = keeps ? solution.k : [Vector64[] for _ in solution.t]
    return reverse_solution(o, tableau_of(o.word), solution.t, solution.u, kept, p)
end
