# Right-hand sides, and the problems that are made of them.

"Tags of our own dual numbers; where two meet, a later one's numbers hold an earlier one's."
struct GradientTag end
struct JacobianTag end
struct ForwardTag end

const TAGS = (GradientTag, JacobianTag, ForwardTag)
for i in eachindex(TAGS), j in eachindex(TAGS)
    @eval ForwardDiff.:≺(::Type{$(TAGS[i])}, ::Type{$(TAGS[j])}) = $(i < j)
end

"""
Any right-hand side `f(du, u, p, t)` of `mass_matrix * du/dt = f`: called directly for floats, by dynamic dispatch for other numbers.

`pullback` is its generated product with cotangents, where there is one. The mass matrix is the identity `I`, or stored as the
Jacobian is, full or sparse.
"""
struct RightHandSide
    float::Float64Function
    generic::Any
    derivatives::Union{Nothing, Derivatives}
    pullback::Union{Nothing, GeneratedPullback}
    memory::IdDict{Any, Any}
    mass_matrix::Any
end

RightHandSide(f, derivatives = nothing, pullback = nothing) =
    RightHandSide(make_closure(close_function, f, nothing), f, derivatives, pullback, IdDict{Any, Any}(), LinearAlgebra.I)

function RightHandSide(program::Program, derivatives = nothing)
    pullback = program.pullback === nothing ? nothing : GeneratedPullback(program.pullback)
    f = make_closure(close_generated, program.function!, program.work)
    return RightHandSide(f, Generic(program), derivatives, pullback, IdDict{Any, Any}(), LinearAlgebra.I)
end

"A compiled right-hand side for numbers of any type."
struct Generic
    program::Program
end

(generic::Generic)(du, u, p, t) = generic.program.function!(du, t, u, p, generic.program.work)

RightHandSide(f::RightHandSide) = f

"A right-hand side with a mass matrix, given as a matrix or as its diagonal; nothing: the identity."
with_mass(f, ::Nothing) = f
function with_mass(f, mass_matrix)
    return with_stored_mass(f, store_mass(collect(Float64, mass_matrix), has_sparse_jacobian(f)))
end
with_stored_mass(f, stored) = RightHandSide(f.float, f.generic, f.derivatives, f.pullback, IdDict{Any, Any}(), stored)

has_mass(f::RightHandSide) = f.mass_matrix isa AbstractMatrix

(f::RightHandSide)(du::Vector64, u::Vector64, p::Vector64, t::Float64) = f.float(du, u, p, t)
(f::RightHandSide)(du, u, p, t) = (f.generic(du, u, p, t); nothing)

const CHUNKS = (1, 2, 4, 8)
chunk_size(n) = CHUNKS[min(searchsortedfirst(collect(CHUNKS), n), length(CHUNKS))]

"Two vectors of numbers of type `D`, kept for the next call."
function dual_pair(memory, ::Type{D}, n, m = n) where {D}
    return get!(() -> (Vector{D}(undef, n), Vector{D}(undef, m)), memory, (D, n, m))::Tuple{Vector{D}, Vector{D}}
end

# ---- products of a cotangent with the derivatives by state and by parameters, which adjoints are made of: generated, or by
# dual numbers where nothing was generated

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
    if f.pullback === nothing
        state_product!(out, f, v, u, p, t, Val(chunk_size(length(u))))
    else
        copyto!(out, pull(f, v, u, p, t)[1])
    end
    return nothing
end

function (product::ParameterProduct)(out, v, u, p, t)
    f = product.f
    if f.pullback === nothing
        parameter_product!(out, f, v, u, p, t, Val(chunk_size(length(p))))
    else
        copyto!(out, pull(f, v, u, p, t)[2])
    end
    return nothing
end

"Both products, from vectors of any kind: valid until the next call."
function pull(f, v, u, p, t)
    blocks = f.pullback.program.blocks
    make() = (Vector64[similar(x, Float64, length(x)) for x in (u, p, v, u, p)], Factors(blocks, 1), zeros(count_factors(blocks)))
    (u_out, p_out, kept...), factors, column = get!(make, f.memory, (:pull, length(v)))::Tuple{Vector{Vector64}, Factors, Vector64}
    foreach(copyto!, kept, (v, u, p))
    fill!(p_out, 0.0)
    f.pullback(u_out, isempty(blocks) ? p_out : column, kept..., Float64(t))
    isempty(blocks) || keep_factors!(p_out, factors, column)
    isempty(blocks) || add_factors!(p_out, factors)
    return u_out, p_out
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

# ---- problems

const LARGEST_JACOBIAN = 500

"""
An ODE problem of a right-hand side, with its Jacobian where one is of use: sparse or dense as its generated derivatives say,
dense by dual numbers for few states.
"""
function make_problem(f::RightHandSide, u0, p, t_span)
    fun = get!(() -> make_function(f, eltype(u0), length(u0), f.mass_matrix), f.memory, (eltype(u0), length(u0)))
    return ODEProblem{true}(fun, u0, t_span, p)
end

function make_function(f, T, n, mass_matrix)
    derivatives = (; tgrad = TimeGradient(f), jvp = StateTangent(f), vjp = StateProduct(f), vjp_p = ParameterProduct(f))
    if has_sparse_jacobian(f)
        jac_prototype = union_pattern(convert(SparseMatrixCSC{T, Int}, f.derivatives.prototype), mass_matrix)
        ODEFunction{true, SciMLBase.FullSpecialize}(f; jac = Jacobian(f), jac_prototype, derivatives..., mass_matrix)
    elseif has_lanes(f)
        jac_prototype = f.derivatives.prototype
        ODEFunction{true, SciMLBase.FullSpecialize}(f; jac = Jacobian(f), jac_prototype, sparsity = nothing, derivatives...)
    elseif n <= LARGEST_JACOBIAN
        ODEFunction{true, SciMLBase.FullSpecialize}(f; jac = Jacobian(f), derivatives..., mass_matrix)
    else
        ODEFunction{true, SciMLBase.FullSpecialize}(f; derivatives..., mass_matrix)
    end
end

"A mass matrix, stored as the Jacobian is: SciML's sums of both are of one kind."
store_mass(diagonal::Vector64, is_sparse) = store_mass(Diagonal(diagonal), is_sparse)
store_mass(M::AbstractMatrix, is_sparse) = is_sparse ? dropzeros!(sparse(M)) : Matrix(M)

union_pattern(prototype, mass_matrix) = prototype
union_pattern(prototype, mass_matrix::SparseMatrixCSC) = prototype .+ abs.(mass_matrix)

has_sparse_jacobian(f) = f.derivatives !== nothing && f.derivatives.prototype isa SparseMatrixCSC
has_lanes(f) = f.derivatives !== nothing && f.derivatives.prototype isa LaneMatrix
