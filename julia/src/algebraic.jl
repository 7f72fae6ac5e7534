# Algebraic states: those without a derivative in `mass_matrix * du/dt = f`, found from the equations without one.

"""
    begin_problem(problem)

A problem with its algebraic states where their equations hold, near those given, and what SciML is to do to that end.
That is nothing, but for equations that our iterations find no solution of. For plain problems it is nothing by name: what
it does else is compiled again once its nonlinear solvers are loaded.
"""
function begin_problem(problem)
    problem.f.mass_matrix isa AbstractMatrix || return problem, NoInit()
    u0 = find_algebraic(problem)
    u0 === nothing || return remake(problem; u0), NoInit()
    return problem, BrownFullBasicInit(ALGEBRAIC_TOLERANCE, search_algorithm())
end

"SciML's search for a root, by differences: left to itself it differentiates by whatever package happens to be loaded."
function search_algorithm()
    make = getproperty(nonlinear_package(), :FastShortcutNonlinearPolyalg)
    by = (; autodiff = DIFFERENCES, vjp_autodiff = DIFFERENCES, jvp_autodiff = DIFFERENCES)
    return Base.invokelatest(make; by...)
end

const MOST_ITERATIONS = 50
const FEW_HALVES = 20
const ALGEBRAIC_TOLERANCE = 1.0e-10 # of the equations' largest residual

"Numbers of the algebraic equations and of the algebraic states: rows and columns of zeros."
function algebraic_parts(mass_matrix)
    is_differential = mass_matrix .!= 0
    return findall(.!vec(any(is_differential; dims = 2))), findall(.!vec(any(is_differential; dims = 1)))
end

"""
    find_algebraic(problem; is_exact = false)

The start of a problem with its algebraic states where their equations hold, by Newton's method with halved steps from
the values given; nothing if that finds none. To rounding if it `is_exact`, so that differences of it are of use.
"""
function find_algebraic(problem; is_exact = false)
    (; f, u0, p) = problem
    f.jac === nothing && return nothing
    t, du = problem.tspan[1], similar(u0)
    equations, states = algebraic_parts(f.mass_matrix)
    J = f.jac_prototype === nothing ? zeros(length(u0), length(u0)) : similar(f.jac_prototype)
    residual(u) = (f(du, u, p, t); du[equations])
    u = copy(u0)
    r = residual(u)
    for _ in 1:MOST_ITERATIONS
        is_there = norm(r, Inf) <= ALGEBRAIC_TOLERANCE
        is_there && (!is_exact || iszero(r)) && return u
        f.jac(J, u, p, t)
        factors = lu(J[equations, states]; check = false)
        LinearAlgebra.issuccess(factors) || return nothing
        is_there && (u[states] .-= factors \ r; return u)
        r = halve_steps!(u, states, factors \ r, residual, r)
        r === nothing && return nothing
    end
    return nothing
end

"Take the part of a Newton step that lessens the residual: the new one, or nothing."
function halve_steps!(u, states, step, residual, r)
    old = u[states]
    for k in 0:FEW_HALVES
        @. u[states] = old - step / 2^k
        new = residual(u)
        norm(new) < norm(r) && return new
    end
    return nothing
end

"The start of an objective's solves, its algebraic states where their equations hold; nothing if no such is found."
find_start(o, u0, p) =
    has_mass(o.f) ? find_algebraic(make_problem(o.f, u0, p, (o.t0, o.t0 + 1)); is_exact = true) : u0

"""
    reverse_start!(u_slope, p_slope, f, u, p, t)

The cotangent of a consistent start `u` becomes that of the one given, whose algebraic states don't count: they follow from the
others and the parameters, by the implicit function theorem.
"""
function reverse_start!(u_slope, p_slope, f, u, p, t)
    equations, states = algebraic_parts(f.mass_matrix)
    J = f.mass_matrix isa SparseMatrixCSC ? similar(union_pattern(f.derivatives.prototype, f.mass_matrix)) : zeros(size(f.mass_matrix))
    Jacobian(f)(J, u, p, t)
    v = zero(u)
    v[equations] = J[equations, states]' \ u_slope[states]
    u_found, p_found = pull(f, v, u, p, t)
    u_slope .-= u_found
    u_slope[states] .= 0.0
    p_slope .-= p_found
    return nothing
end
