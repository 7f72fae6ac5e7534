# Generated functions under the fixed types that solvers see, compiled at their first call.

const Vector64 = Vector{Float64}
const Float64Function = FunctionWrapper{Nothing, Tuple{Vector64, Vector64, Vector64, Float64}}

"A generated function of `(out, u, p, t)`."
mutable struct Generated
    const program::Program
    float::Float64Function
    Generated(program) = new(program)
end

function (generated::Generated)(out::Vector64, u::Vector64, p::Vector64, t::Float64)
    if !isdefined(generated, :float)
        function!, work = generated.program.function!, generated.program.work
        generated.float = Float64Function((out, u, p, t) -> (function!(out, t, u, p, work); nothing))
    end
    return generated.float(out, u, p, t)
end

(generated::Generated)(out, u, p, t) = (generated.program(out, t, u, p); nothing)

"The same for a product with a tangent, `(out, v, u, p, t)`."
mutable struct GeneratedProduct
    const program::Program
    float::FunctionWrapper{Nothing, Tuple{Vector64, Vector64, Vector64, Vector64, Float64}}
    GeneratedProduct(program) = new(program)
end

function (generated::GeneratedProduct)(out::Vector64, v::Vector64, u::Vector64, p::Vector64, t::Float64)
    if !isdefined(generated, :float)
        function!, work = generated.program.function!, generated.program.work
        generated.float = fieldtype(GeneratedProduct, :float)((out, v, u, p, t) -> (function!(out, t, u, p, v, work); nothing))
    end
    return generated.float(out, v, u, p, t)
end

(generated::GeneratedProduct)(out, v, u, p, t) = (generated.program(out, t, u, p, v); nothing)

"""
The same for a product of a cotangent v of `f(out, u, p, t)` with its derivatives, `(u_out, p_out, v, u, p, t)`: those by the state
and by the parameters, the latter as factors where the Program has `blocks`.
"""
mutable struct GeneratedPullback
    const program::Program
    float::FunctionWrapper{Nothing, Tuple{Vector64, Vector64, Vector64, Vector64, Vector64, Float64}}
    GeneratedPullback(program) = new(program)
end

function (generated::GeneratedPullback)(u_out::Vector64, p_out::Vector64, v::Vector64, u::Vector64, p::Vector64, t::Float64)
    if !isdefined(generated, :float)
        function!, work = generated.program.function!, generated.program.work
        generated.float = fieldtype(GeneratedPullback, :float)(
            (u_out, p_out, v, u, p, t) -> (function!(u_out, p_out, t, u, p, v, work); nothing)
        )
    end
    return generated.float(u_out, p_out, v, u, p, t)
end

"""
The same for the slopes of `v' (J k + dT s)`, J and dT being derivatives by state and by time: `(u_out, p_out, v, k, s, u, p, t)`.
"""
mutable struct GeneratedSecond
    const program::Program
    float::FunctionWrapper{Nothing, Tuple{Vector64, Vector64, Vector64, Vector64, Float64, Vector64, Vector64, Float64}}
    GeneratedSecond(program) = new(program)
end

function (generated::GeneratedSecond)(u_out::Vector64, p_out::Vector64, v::Vector64, k::Vector64, s, u::Vector64, p::Vector64, t)
    if !isdefined(generated, :float)
        function!, work = generated.program.function!, generated.program.work
        generated.float = fieldtype(GeneratedSecond, :float)(
            (u_out, p_out, v, k, s, u, p, t) -> (function!(u_out, p_out, t, u, p, s, k, v, work); nothing)
        )
    end
    return generated.float(u_out, p_out, v, k, s, u, p, t)
end

"""
    Derivatives(entries, rows, columns, prototype, time, product, second)

Generated derivatives of a right-hand side. `entries` writes the Jacobian's elements at `(rows, columns)`, sorted by
column, then by row (nothing: there is no Jacobian to be had at a price); `prototype` is its sparse pattern, or nothing
if it is dense; `factorisation` names the quicker way to factor that.
"""
struct Derivatives
    entries::Union{Nothing, Generated}
    rows::Vector{Int}
    columns::Vector{Int}
    values::Vector64
    prototype::Union{Nothing, SparseMatrixCSC{Float64, Int}}
    time::Generated
    product::GeneratedProduct
    second::Union{Nothing, GeneratedSecond}
    factorisation::String
end

function Derivatives(entries, rows, columns, prototype, time, product, second)
    values, factorisation = Vector64(undef, length(rows)), prototype === nothing ? "" : choose_factorisation(prototype)
    return Derivatives(entries, rows, columns, values, prototype, time, product, second, factorisation)
end
