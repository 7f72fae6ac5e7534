"""
Gradients by the adjoint equation. SciMLSensitivity takes longer to load than all the rest together, so that it waits for the
first adjoint (`load_adjoints` of `sensitivities.jl`). No workload here: what adjoints compile holds types of recorded tapes, and Julia
1.10 crashes when it loads an image with those (`hidden`).
"""
module PySciMLAdjointsExt

using PySciML: PySciML, try_solve
using QuadGK: quadgk
using ReverseDiff: ReverseDiff
using SciMLSensitivity: AdjointSensitivityIntegrand, BacksolveAdjoint, GaussAdjoint, InterpolatingAdjoint, ODEAdjointProblem,
    QuadratureAdjoint, adjoint_sensitivities
using SciMLSensitivity.SciMLBase: solve

"""
A function whose call is not inferred beforehand. Types of recorded tapes must stay out of the package's image: Julia
1.10 to 1.12 may crash when it loads one that holds such types (JuliaLang/julia#62047).
"""
hidden(f) = Base.inferencebarrier(f)

"""
The product of a cotangent with a printed function's derivatives, that by the parameters added, by a tape of the function itself,
recorded at each call, or once. A tape holds the branches that were taken when it was recorded: only that of a function without any may be kept.
"""
struct Tape
    function!::Any
    work::Any
    is_kept::Bool
    kept::Ref{Any}
end

PySciML.make_tape(function!, work, is_kept) = Tape(function!, work, is_kept, Ref{Any}(nothing))

function (tape::Tape)(u_out, p_out, t, u, p, v, _)
    function product(u, p, t, v)
        du = similar(u)
        tape.function!(du, t[1], u, p, tape.work)
        total = zero(eltype(u))
        for i in eachindex(du)
            total += v[i] * du[i]
        end
        return total
    end
    point = (u, p, [t], v)
    if tape.is_kept && tape.kept[] === nothing
        tape.kept[] = hidden(ReverseDiff.compile)(hidden(ReverseDiff.GradientTape)(product, map(copy, point)))
    end
    p_found = similar(p)
    hidden(ReverseDiff.gradient!)((u_out, p_found, [0.0], similar(v)), tape.is_kept ? tape.kept[] : product, point)
    p_out .+= p_found
    return nothing
end

"""
SciMLSensitivity's method of a word. Products with Jacobians are the problem's own: no AD of its choice is asked for, and the dual
numbers that it makes room for nevertheless are of one size, whatever that of the model, so that a new model compiles nothing.
"""
function make_sensitivity(word)
    words = (autojacvec = false, chunk_size = 1)
    word == "interpolating" && return InterpolatingAdjoint(; words...)
    word == "gauss" && return GaussAdjoint(; words...)
    word == "backsolve" && return BacksolveAdjoint(; words...)
    return QuadratureAdjoint(; words...)
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
