# Sundials takes its steps in C, where an interrupt isn't heard, and where NaN can make a step that never ends (CVODE halves
# and retries it forever). Its right-hand side is the one place that is passed on the way.

"Evaluations of a right-hand side since the last step; several solves at once only make it smaller."
const SINCE_STEP = Ref(0)

"A step that does not end."
struct NoProgress <: Exception
    t::Float64
    evaluations::Int
end

Base.showerror(io::IO, e::NoProgress) =
    print(io, "a step from t = ", e.t, " did not end within ", e.evaluations, " evaluations of the right-hand side")

"The most evaluations in a step, its retries and a Jacobian by differences included."
most_evaluations(n) = 100_000 + 100 * n

function check_progress(t, limit)
    is_interrupted() && throw(InterruptException())
    SINCE_STEP[] += 1
    SINCE_STEP[] > limit && throw(NoProgress(t, limit))
    return nothing
end

"The problem, its right-hand side watched if the algorithm's own loop can't be."
guard(problem, ::OrdinaryAlgorithm) = problem
function guard(problem, algorithm)
    f, limit = problem.f.f, most_evaluations(length(problem.u0))
    watched = RightHandSide((du, u, p, t) -> (check_progress(t, limit); f(du, u, p, t)), f.derivatives, f.pullback)
    SINCE_STEP[] = 0
    return remake(problem; f = remake(problem.f; f = watched))
end

"The return code of a solve that threw an error, or nothing if the error says nothing about the model."
thrown_code(error) = is_numerical(error) ? ReturnCode.Failure : nothing
thrown_code(::NoProgress) = ReturnCode.Unstable
thrown_code(::InterruptException) = is_interrupted() ? ReturnCode.Terminated : nothing

error_text(error) = sprint(showerror, error)
error_text(::InterruptException) = ""

"Times and states that a solve had saved when it threw an error."
saved_rows(::Nothing, t0, u0) = [Float64(t0)], [u0]
saved_rows(integrator, t0, u0) = integrator.sol.t, integrator.sol.u
function saved_rows(integrator::OrdinaryDiffEqCore.ODEIntegrator, t0, u0)
    n = integrator.saveiter
    return integrator.sol.t[1:n], integrator.sol.u[1:n]
end
