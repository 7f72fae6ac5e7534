"""
Gradients by the adjoint equation. SciMLSensitivity and ReverseDiff take longer to load than all the rest together, so
that they wait for the first adjoint (`load_adjoints` of `sensitivities.jl`). No workload here: what adjoints compile holds types of
recorded tapes, and Julia 1.10 crashes when it loads an image with those (`hidden` in `problems.jl`).
"""
module PySciMLAdjointsExt

using PySciML: PySciML, Objective, RightHandSide, hidden, try_solve
using QuadGK: quadgk
using ReverseDiff: ReverseDiff, TrackedReal
using SciMLSensitivity: AdjointSensitivityIntegrand, BacksolveAdjoint, GaussAdjoint, InterpolatingAdjoint, ODEAdjointProblem,
    QuadratureAdjoint, adjoint_sensitivities
using SciMLSensitivity.SciMLBase: solve

# ---- tracked numbers

PySciML.stored_type(::Type{<:TrackedReal{V, D}}) where {V, D} = TrackedReal{V, D, Nothing}

for name in keys(PySciML.SLOPES)
    @eval PySciML.$name(x::TrackedReal) = ReverseDiff.ForwardOptimize(PySciML.$name)(x)
end

for name in keys(PySciML.PARTIALS)
    @eval begin
        PySciML.$name(x::TrackedReal, y::TrackedReal) = ReverseDiff.ForwardOptimize(PySciML.$name)(x, y)
        PySciML.$name(x::TrackedReal, y::AbstractFloat) = ReverseDiff.ForwardOptimize(PySciML.$name)(x, y)
        PySciML.$name(x::AbstractFloat, y::TrackedReal) = ReverseDiff.ForwardOptimize(PySciML.$name)(x, y)
    end
end

# ---- recorded tapes

function PySciML.replay!(f::RightHandSide, v, u, p, t)
    tape = get!(() -> record_tape(f, u, p, t), f.memory, :tape)
    tu, tp, tt = ReverseDiff.input_hook(tape)
    output = ReverseDiff.output_hook(tape)
    foreach(ReverseDiff.unseed!, (tu, tp, tt))
    ReverseDiff.value!(tu, u)
    ReverseDiff.value!(tp, p)
    ReverseDiff.value!(tt, [t])
    ReverseDiff.forward_pass!(tape)
    ReverseDiff.increment_deriv!(output, v)
    ReverseDiff.reverse_pass!(tape)
    return ReverseDiff.deriv(tu), ReverseDiff.deriv(tp)
end

function record_tape(f, u, p, t)
    function run(u, p, t)
        du = Vector{PySciML.stored_type(eltype(u))}(undef, length(u))
        f(du, u, p, first(t))
        return du
    end
    return ReverseDiff.compile(ReverseDiff.GradientTape(run, (copy(u), copy(p), [t])))
end

function PySciML.replay_pullback!(gradient, o::Objective, x, u_slope, p_slope)
    o.pullback === nothing && (o.pullback = record_pullback(o, x, u_slope, p_slope))
    ReverseDiff.gradient!((gradient, similar(u_slope), similar(p_slope)), o.pullback, (x, u_slope, p_slope))
    return nothing
end

function record_pullback(o, x, u_slope, p_slope)
    function product(x, a, b)
        T = PySciML.stored_type(eltype(x))
        u0, p = Vector{T}(undef, length(a)), Vector{T}(undef, length(b))
        o.parametrization(u0, p, x)
        return sum(u0[i] * a[i] for i in eachindex(a)) + sum(p[i] * b[i] for i in eachindex(b); init = zero(T))
    end
    return ReverseDiff.compile(ReverseDiff.GradientTape(product, (x, u_slope, p_slope)))
end

# ---- the adjoint equation

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
