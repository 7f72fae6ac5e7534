# Generated functions under the fixed types that solvers see: the right-hand side, its Jacobian, its slope in time.

const Vector64 = Vector{Float64}

"Tags of our own dual numbers; where two meet, a later one's numbers hold an earlier one's."
struct GradientTag end
struct JacobianTag end
struct ForwardTag end

const TAGS = (GradientTag, JacobianTag, ForwardTag)
for i in eachindex(TAGS), j in eachindex(TAGS)
    @eval ForwardDiff.:≺(::Type{$(TAGS[i])}, ::Type{$(TAGS[j])}) = $(i < j)
end

"""
Any right-hand side `f(du, u, p, t)`: called directly for floats, by dynamic dispatch for other numbers.

`is_branching`: a value depends on a comparison, so that a recorded tape would be valid at one point only.
"""
struct RightHandSide
    float::FunctionWrapper{Nothing, Tuple{Vector64, Vector64, Vector64, Float64}}
    generic::Any
    is_branching::Bool
    memory::IdDict{Any, Any}
end

function RightHandSide(f, is_branching = true)
    float = FunctionWrapper{Nothing, Tuple{Vector64, Vector64, Vector64, Float64}}(f)
    return RightHandSide(float, f, is_branching, IdDict{Any, Any}())
end

function RightHandSide(program::Program)
    function!, work = program.function!, program.work
    return RightHandSide((du, u, p, t) -> (function!(du, t, u, p, work); nothing), program.is_branching)
end

(f::RightHandSide)(du::Vector64, u::Vector64, p::Vector64, t::Float64) = f.float(du, u, p, t)
(f::RightHandSide)(du, u, p, t) = (f.generic(du, u, p, t); nothing)

const CHUNKS = (1, 2, 4, 8)
chunk_size(n) = CHUNKS[min(searchsortedfirst(collect(CHUNKS), n), length(CHUNKS))]

"The Jacobian of a right-hand side by dual numbers, in chunks of few fixed sizes."
struct Jacobian
    f::RightHandSide
end

(jacobian::Jacobian)(J, u, p, t) = differentiate!(J, jacobian.f, u, p, t, Val(chunk_size(length(u))))

"Two vectors of numbers of type `D`, kept for the next call."
function dual_pair(memory, ::Type{D}, n, m = n) where {D}
    return get!(() -> (Vector{D}(undef, n), Vector{D}(undef, m)), memory, (D, n, m))::Tuple{Vector{D}, Vector{D}}
end

"Set x to u with the unit tangents of elements first, first + 1, ..."
function seed!(x::Vector{Dual{T, V, N}}, u, first) where {T, V, N}
    for i in eachindex(u)
        x[i] = Dual{T, V, N}(u[i], Partials(ntuple(k -> V(i == first + k - 1), Val(N))))
    end
    return x
end

function differentiate!(J, f, u::AbstractVector{V}, p, t, ::Val{N}) where {V, N}
    n = length(u)
    x, dx = dual_pair(f.memory, Dual{JacobianTag, V, N}, n)
    for first in 1:N:n
        f(dx, seed!(x, u, first), p, t)
        for k in 1:min(N, n - first + 1), i in 1:n
            J[i, first + k - 1] = partials(dx[i], k)
        end
    end
    return nothing
end

"The derivative of a right-hand side with respect to time."
struct TimeGradient
    f::RightHandSide
end

function (gradient::TimeGradient)(dT, u::AbstractVector{V}, p, t) where {V}
    x, dx = dual_pair(gradient.f.memory, Dual{JacobianTag, V, 1}, length(u))
    copyto!(x, u)
    gradient.f(dx, x, p, Dual{JacobianTag}(V(t), one(V)))
    for i in eachindex(dx)
        dT[i] = partials(dx[i], 1)
    end
    return nothing
end

# ---- products of a cotangent with the derivatives by state and by parameters, which adjoints are made of

const FEW_STATES = 64
const FEW_PARAMETERS = 16

"""
A function whose call is not inferred beforehand. Types of recorded tapes must stay out of the package's image: Julia
1.10 to 1.12 may crash when it loads one that holds such types (JuliaLang/julia#62047).
"""
hidden(f) = Base.inferencebarrier(f)

"`out = (df/du)' v`."
struct StateProduct
    f::RightHandSide
end

"`out = (df/dp)' v`."
struct ParameterProduct
    f::RightHandSide
end

function (product::StateProduct)(out, v, u, p, t)
    f = product.f
    if length(u) > FEW_STATES && !f.is_branching
        copyto!(out, hidden(replay!)(f, v, u, p, t)[1]::Vector64)
    else
        state_product!(out, f, v, u, p, t, Val(chunk_size(length(u))))
    end
    return nothing
end

function (product::ParameterProduct)(out, v, u, p, t)
    f = product.f
    if length(p) > FEW_PARAMETERS && !f.is_branching
        copyto!(out, hidden(replay!)(f, v, u, p, t)[2]::Vector64)
    else
        parameter_product!(out, f, v, u, p, t, Val(chunk_size(length(p))))
    end
    return nothing
end

function state_product!(out, f, v, u::AbstractVector{V}, p, t, ::Val{N}) where {V, N}
    x, dx = dual_pair(f.memory, Dual{JacobianTag, V, N}, length(u))
    for first in 1:N:length(u)
        f(dx, seed!(x, u, first), p, t)
        contract!(out, v, dx, first)
    end
    return nothing
end

function parameter_product!(out, f, v, u, p::AbstractVector{V}, t, ::Val{N}) where {V, N}
    x, dx = dual_pair(f.memory, Dual{JacobianTag, V, N}, length(p), length(u))
    for first in 1:N:length(p)
        f(dx, u, seed!(x, p, first), t)
        contract!(out, v, dx, first)
    end
    return nothing
end

"out[first + k - 1] = the k-th tangents of dx times v."
function contract!(out, v, dx::Vector{<:Dual{T, V, N}}, first) where {T, V, N}
    for k in 1:min(N, length(out) - first + 1)
        total = zero(V)
        for i in eachindex(dx)
            total += v[i] * partials(dx[i], k)
        end
        out[first + k - 1] = total
    end
    return out
end

"Both products from a tape recorded once: cotangents of the state and of the parameters."
function replay!(f, v, u, p, t)
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
        du = Vector{stored_type(eltype(u))}(undef, length(u))
        f(du, u, p, first(t))
        return du
    end
    return ReverseDiff.compile(ReverseDiff.GradientTape(run, (copy(u), copy(p), [t])))
end

# ---- problems

const LARGEST_JACOBIAN = 500

"An ODE problem `mass_matrix * du/dt = f` of a right-hand side, with its Jacobian where a dense one is of use."
function make_problem(f::RightHandSide, u0, p, t_span; mass_matrix = LinearAlgebra.I)
    tgrad, vjp, vjp_p = TimeGradient(f), StateProduct(f), ParameterProduct(f)
    fun = if length(u0) <= LARGEST_JACOBIAN
        ODEFunction{true, SciMLBase.FullSpecialize}(f; jac = Jacobian(f), tgrad, vjp, vjp_p, mass_matrix)
    else
        ODEFunction{true, SciMLBase.FullSpecialize}(f; tgrad, vjp, vjp_p, mass_matrix)
    end
    return ODEProblem{true, SciMLBase.FullSpecialize}(fun, u0, t_span, p)
end
