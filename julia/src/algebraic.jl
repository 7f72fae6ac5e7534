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

"""
    find_algebraic(problem)

The start of a problem with its algebraic states where their equations hold, by Newton's method with halved steps from
the values given; nothing if that finds none.
"""
function find_algebraic(problem)
    (; f, u0, p) = problem
    f.jac === nothing && return nothing
    t, du = problem.tspan[1], similar(u0)
    is_differential = f.mass_matrix .!= 0
    equations, states = findall(.!vec(any(is_differential; dims = 2))), findall(.!vec(any(is_differential; dims = 1)))
    J = f.jac_prototype === nothing ? zeros(length(u0), length(u0)) : similar(f.jac_prototype)
    residual(u) = (f(du, u, p, t); du[equations])
    u = copy(u0)
    r = residual(u)
    for _ in 1:MOST_ITERATIONS
        norm(r, Inf) <= ALGEBRAIC_TOLERANCE && return u
        f.jac(J, u, p, t)
        factors = lu(J[equations, states]; check = false)
        LinearAlgebra.issuccess(factors) || return nothing
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
