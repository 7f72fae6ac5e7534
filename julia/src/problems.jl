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

"Any right-hand side `f(du, u, p, t)`: called directly for floats, by dynamic dispatch for other numbers."
struct RightHandSide
    float::FunctionWrapper{Nothing, Tuple{Vector64, Vector64, Vector64, Float64}}
    generic::Any
end

function RightHandSide(f)
    return RightHandSide(FunctionWrapper{Nothing, Tuple{Vector64, Vector64, Vector64, Float64}}(f), f)
end

function RightHandSide(program::Program)
    function!, work = program.function!, program.work
    return RightHandSide((du, u, p, t) -> (function!(du, t, u, p, work); nothing))
end

(f::RightHandSide)(du::Vector64, u::Vector64, p::Vector64, t::Float64) = f.float(du, u, p, t)
(f::RightHandSide)(du, u, p, t) = (f.generic(du, u, p, t); nothing)

const CHUNKS = (1, 2, 4, 8)
chunk_size(n) = CHUNKS[min(searchsortedfirst(collect(CHUNKS), n), length(CHUNKS))]

"The Jacobian of a right-hand side by dual numbers, in chunks of few fixed sizes."
struct Jacobian
    f::RightHandSide
    memory::IdDict{Any, Any}
end
Jacobian(f) = Jacobian(f, IdDict{Any, Any}())

(jacobian::Jacobian)(J, u, p, t) = differentiate!(J, jacobian, u, p, t, Val(chunk_size(length(u))))

"Two vectors of dual numbers for a state."
function dual_pair(memory, ::Type{D}, n) where {D}
    return get!(() -> (Vector{D}(undef, n), Vector{D}(undef, n)), memory, D)::Tuple{Vector{D}, Vector{D}}
end

function differentiate!(J, jacobian, u::AbstractVector{V}, p, t, ::Val{N}) where {V, N}
    D = Dual{JacobianTag, V, N}
    n = length(u)
    x, dx = dual_pair(jacobian.memory, D, n)
    for first in 1:N:n
        for i in 1:n
            x[i] = D(u[i], Partials(ntuple(k -> V(i == first + k - 1), Val(N))))
        end
        jacobian.f(dx, x, p, t)
        for k in 1:min(N, n - first + 1), i in 1:n
            J[i, first + k - 1] = partials(dx[i], k)
        end
    end
    return nothing
end

"The derivative of a right-hand side with respect to time."
struct TimeGradient
    f::RightHandSide
    memory::IdDict{Any, Any}
end
TimeGradient(f) = TimeGradient(f, IdDict{Any, Any}())

function (gradient::TimeGradient)(dT, u::AbstractVector{V}, p, t) where {V}
    D = Dual{JacobianTag, V, 1}
    x, dx = dual_pair(gradient.memory, D, length(u))
    copyto!(x, u)
    gradient.f(dx, x, p, Dual{JacobianTag}(V(t), one(V)))
    for i in eachindex(dx)
        dT[i] = partials(dx[i], 1)
    end
    return nothing
end

const LARGEST_JACOBIAN = 500

"An ODE problem of a right-hand side, with its Jacobian where a dense one is of use."
function make_problem(f::RightHandSide, u0, p, t_span)
    tgrad = TimeGradient(f)
    fun = if length(u0) <= LARGEST_JACOBIAN
        ODEFunction{true, SciMLBase.FullSpecialize}(f; jac = Jacobian(f), tgrad)
    else
        ODEFunction{true, SciMLBase.FullSpecialize}(f; tgrad)
    end
    return ODEProblem{true, SciMLBase.FullSpecialize}(fun, u0, t_span, p)
end
