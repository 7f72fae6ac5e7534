"""
Gradients by the adjoint equation. SciMLSensitivity takes longer to load than all the rest together, so that it waits for the
first adjoint (`load_adjoints` of `sensitivities.jl`). No workload here: what adjoints compile holds types of recorded tapes, and Julia
1.10 crashes when it loads an image with those (`hidden`).
"""
module PySciMLAdjointsExt

using PySciML: PySciML, try_solve
using QuadGK: quadgk
using SciMLSensitivity: AdjointSensitivityIntegrand, BacksolveAdjoint, GaussAdjoint, InterpolatingAdjoint, ODEAdjointProblem,
    QuadratureAdjoint, adjoint_sensitivities
using SciMLSensitivity.SciMLBase: solve

"""
A function whose call is not inferred beforehand. Types of recorded tapes must stay out of the package's image: Julia
1.10 to 1.12 may crash when it loads one that holds such types (JuliaLang/julia#62047).
"""
hidden(f) = Base.inferencebarrier(f)

"SciMLSensitivity's method of a word. Products with Jacobians are the problem's own: no AD of its choice is asked for."
function make_sensitivity(word)
    word == "interpolating" && return InterpolatingAdjoint(autojacvec = false)
    word == "gauss" && return GaussAdjoint(autojacvec = false)
    word == "backsolve" && return BacksolveAdjoint(autojacvec = false)
    return QuadratureAdjoint(autojacvec = false)
end

function PySciML.solve_adjoint(word, algorithm, solution, times, slope!, stepping)
    return solve_backwards(make_sensitivity(word), algorithm, solution, times, slope!, stepping)
end

"The slopes by a method that integrates them while it solves the adjoint equation."
function solve_backwards(method, algorithm, solution, times, slope!, stepping)
    return hidden(adjoint_sensitivities)(
        solution, algorithm; t = times, dgdu_discrete = slope!, sensealg = method, stepping...
    )
end

"""
The slopes by the adjoint equation first, kept densely, and adaptive quadrature afterwards, step by step. (SciMLSensitivity's own
goes from one time of the data to the next and overlooks what is narrower than its first sample points: the layers before each
datum of a stiff problem, a pulse in the input.)
"""
function solve_backwards(method::QuadratureAdjoint, algorithm, solution, times, slope!, stepping)
    problem = ODEAdjointProblem(solution, method, algorithm, times, slope!)
    adjoint = try_solve(() -> solve(problem, algorithm; save_everystep = true, save_start = true, stepping...))
    adjoint === nothing && return nothing
    integrand = AdjointSensitivityIntegrand(solution, adjoint, method)
    steps = sort!(unique(adjoint.t))
    dp = zero(solution.prob.p)
    for k in 2:length(steps)
        dp .+= vec(quadgk(integrand, steps[k - 1], steps[k]; atol = stepping.abstol, rtol = stepping.reltol)[1])
    end
    return adjoint.u[end], dp
end

end
