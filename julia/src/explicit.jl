# Explicit Runge-Kutta methods, whose coefficients depend on nothing, for `discrete.jl`: what they are as numbers, and their steps
# reversed. Hager (2000), doi:10.1007/s002110000178; Sanz-Serna (2016), doi:10.1137/151002769.

const EXPLICIT = split("Tsit5 Vern6 Vern7 Vern8 Vern9 BS3 BS5 DP5 RK4 OwrenZen3 OwrenZen4 OwrenZen5 Euler Heun Ralston Midpoint
    DP8 TsitPap8 TanYam7")

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
    options = Options(1.0, 1.0, 1.0, 0.0, 10, Inf, Float64[], false, NO_EVENTS, Norm())
    solution = solve_problem(problem, spec, options; dense = true, everystep = true)
    length(solution.t) == 2 || error("a step of size 1 was not taken by $spec")
    nodes, factors = interpolation_nodes(NODES)
    values = reduce(hcat, (solution(node) for node in nodes))
    n = n_calls # of the further stages too, which values between ask for
    a, b = reduce(hcat, places)[1:n, :], solution.u[2][1:n]
    inner = depends_on(a, findall(!iszero, b))
    between = setdiff(depends_on(a, findall(i -> any(!iszero, @view values[i, :]), 1:n)), inner)
    at_end = filter(i -> a[:, i] == b && c[i] == 1, between)
    slots = [something(findlast(k -> k[i] == 1 && count(!iszero, k) == 1, solution.k[2]), 0) for i in 1:n]
    last = isempty(at_end) ? 0 : at_end[1]
    tableau = Tableau(a, b, c, nodes, values[1:n, :], factors, inner, between, last, slots)
    for m in 2:(NODES - 1) # as few nodes as give the same polynomials
        nodes, factors = interpolation_nodes(m)
        fewer = Tableau(a, b, c, nodes, weights_at(tableau, nodes), factors, inner, between, last, slots)
        maximum(abs, weights_at(fewer, tableau.nodes) - tableau.values) <= 1.0e-14 * maximum(abs, tableau.values) && return fewer
    end
    return tableau
end

"Chebyshev's nodes for shares of a step, and their factors of barycentric interpolation."
function interpolation_nodes(m)
    angles = [(2 * i - 1) * pi / (2 * m) for i in 1:m]
    return (1 .- cos.(angles)) ./ 2, [isodd(i) ? 1.0 : -1.0 for i in 1:m] .* sin.(angles)
end

weights_at(tableau, shares) = reduce(hcat, (weigh_stages!(zero(tableau.b), tableau, share) for share in shares))

"The stages that some stages depend on, those included."
function depends_on(a, stages)
    found = falses(size(a, 1))
    found[stages] .= true
    for i in reverse(axes(a, 2))
        found[i] && (found .|= .!iszero.(@view a[:, i]))
    end
    return findall(found)
end

"The weights of stages in a state at a share of a step of size h."
function interpolation_weights!(w, tableau::Tableau, share, h)
    weigh_stages!(w, tableau, share)
    w .*= h
    return w
end

function weigh_stages!(w, tableau, share)
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

"The state that a stage is computed at."
stage_state!(memory, tableau, i, u, h) =
    add_stages!(copyto!(memory.state, u), h, view(tableau.a, :, i), memory.k, 1:(i - 1))

"The stages of a step, those that only values between depend on too if asked: kept by the solution, or computed again."
function find_stages!(memory, f, tableau::Tableau, step, p, is_between)
    (; t, h, u, kept) = step
    for stages in (tableau.inner, tableau.between), i in stages
        stages === tableau.between && !is_between && break
        take_stage!(memory.k[i], kept, tableau.slots[i]) && continue
        f(memory.k[i], stage_state!(memory, tableau, i, u, h), p, t + tableau.c[i] * h)
    end
    return nothing
end

"Does a solve have what is worth keeping of its steps?"
is_kept(::Tableau) = true

"What a stage counts in the state at a step's end."
end_factor(::Tableau, h) = h

"Reverse stages: cotangents of theirs become ones of earlier stages, and of the state at the start, to which they are added."
function reverse_stages!(u_slope, memory, f, tableau, stages, step, p)
    (; t, h, u) = step
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
The cotangent of the state at a step's end, `after`, and those of its stages become the one at its start, `before`. That of f at the
end, where the next step begins, is in `memory.shared`, and that of f at the start is left there.
"""
function reverse_step!(before, after, memory, f, tableau::Tableau, step, p, is_between)
    is_between && reverse_stages!(before, memory, f, tableau, tableau.between, step, p)
    tableau.last > 0 && (memory.shared .+= memory.cotangents[tableau.last])
    pull_shared!(after, memory, f, step.u_next, p, step.t_next)
    before .+= after
    spread!(memory.cotangents, step.h, tableau.b, after, tableau.inner)
    reverse_stages!(before, memory, f, tableau, @view(tableau.inner[2:end]), step, p)
    copyto!(memory.shared, memory.cotangents[tableau.inner[1]])
    return nothing
end
