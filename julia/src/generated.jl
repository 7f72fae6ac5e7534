# Generated functions under the fixed types that solvers see, compiled at their first call: opaque closures, which cost as much to
# call as a function known beforehand. Their arguments are plain vectors and numbers: static ones crash Julia 1.10's compiler.

const Vector64 = Vector{Float64}

"The arguments of a right-hand side, of a product with a tangent, of one with a cotangent, and of a second derivative."
const Arguments = Tuple{Vector64, Vector64, Vector64, Float64}
const ProductArguments = Tuple{Vector64, Vector64, Vector64, Vector64, Float64}
const PullbackArguments = Tuple{Vector64, Vector64, Vector64, Vector64, Vector64, Float64}
const SecondArguments = Tuple{Vector64, Vector64, Vector64, Vector64, Float64, Vector64, Vector64, Float64}

const Float64Function = OpaqueClosure{Arguments, Nothing}

"True, which the compiler doesn't know: a function that always throws has the type of the others behind it."
is_called() = Base.inferencebarrier(true)::Bool

close_function(f, ::Nothing) = @opaque Arguments (out, u, p, t) -> (is_called() && f(out, u, p, t); nothing)
close_generated(f, work) = @opaque Arguments (out, u, p, t) -> (is_called() && f(out, t, u, p, work); nothing)
close_product(f, work) = @opaque ProductArguments (out, v, u, p, t) -> (is_called() && f(out, t, u, p, v, work); nothing)
close_pullback(f, work) =
    @opaque PullbackArguments (u_out, p_out, v, u, p, t) -> (is_called() && f(u_out, p_out, t, u, p, v, work); nothing)
close_second(f, work) = @opaque SecondArguments (u_out, p_out, v, k, s, u, p, t) ->
    (is_called() && f(u_out, p_out, t, u, p, s, k, v, work); nothing)

"Held while a closure is made: Julia 1.10 crashes where two threads look up the same one's code."
const CLOSING = Threads.SpinLock()

"What one of these makes. The lock is not in them, since they are compiled anew for each f."
function make_closure(close, @nospecialize(f), work)
    lock(CLOSING)
    try
        return close(f, work)
    finally
        unlock(CLOSING)
    end
end

"A generated function of `(out, u, p, t)`."
mutable struct Generated
    const program::Program
    float::Float64Function
    Generated(program) = new(program)
end

function (generated::Generated)(out::Vector64, u::Vector64, p::Vector64, t::Float64)
    if !isdefined(generated, :float)
        generated.float = make_closure(close_generated, generated.program.function!, generated.program.work)
    end
    return generated.float(out, u, p, t)
end

(generated::Generated)(out, u, p, t) = (generated.program(out, t, u, p); nothing)

"The same for a product with a tangent, `(out, v, u, p, t)`."
mutable struct GeneratedProduct
    const program::Program
    float::OpaqueClosure{ProductArguments, Nothing}
    GeneratedProduct(program) = new(program)
end

function (generated::GeneratedProduct)(out::Vector64, v::Vector64, u::Vector64, p::Vector64, t::Float64)
    if !isdefined(generated, :float)
        generated.float = make_closure(close_product, generated.program.function!, generated.program.work)
    end
    return generated.float(out, v, u, p, t)
end

(generated::GeneratedProduct)(out, v, u, p, t) = (generated.program(out, t, u, p, v); nothing)

"""
The same for a product of a cotangent v of `f(out, u, p, t)` with its derivatives, `(u_out, p_out, v, u, p, t)`: those by the state
and, added, by the parameters; the latter are written as factors where the Program has `blocks`.
"""
mutable struct GeneratedPullback
    const program::Program
    float::OpaqueClosure{PullbackArguments, Nothing}
    GeneratedPullback(program) = new(program)
end

function (generated::GeneratedPullback)(u_out::Vector64, p_out::Vector64, v::Vector64, u::Vector64, p::Vector64, t::Float64)
    if !isdefined(generated, :float)
        generated.float = make_closure(close_pullback, generated.program.function!, generated.program.work)
    end
    return generated.float(u_out, p_out, v, u, p, t)
end

"""
The same for the slopes of `v' (J k + dT s)`, J and dT being derivatives by state and by time: `(u_out, p_out, v, k, s, u, p, t)`, those
by the parameters added.
"""
mutable struct GeneratedSecond
    const program::Program
    float::OpaqueClosure{SecondArguments, Nothing}
    GeneratedSecond(program) = new(program)
end

function (generated::GeneratedSecond)(u_out::Vector64, p_out::Vector64, v::Vector64, k::Vector64, s, u::Vector64, p::Vector64, t)
    if !isdefined(generated, :float)
        generated.float = make_closure(close_second, generated.program.function!, generated.program.work)
    end
    return generated.float(u_out, p_out, v, k, s, u, p, t)
end

"""
    Derivatives(entries, rows, columns, prototype, time, product, second)

Generated derivatives of a right-hand side. `entries` writes the Jacobian's elements at `(rows, columns)`, sorted by
column, then by row (nothing: there is no Jacobian to be had at a price); `prototype` is its sparse pattern, a `LaneMatrix`, or
nothing if it is dense; `factorisation` names the quicker way to factor a sparse one.
"""
struct Derivatives
    entries::Union{Nothing, Generated}
    rows::Vector{Int}
    columns::Vector{Int}
    values::Vector64
    prototype::Any
    time::Generated
    product::GeneratedProduct
    second::Union{Nothing, GeneratedSecond}
    factorisation::String
end

lanes_of(prototype) = 1

function Derivatives(entries, rows, columns, prototype, time, product, second)
    factorisation = prototype isa SparseMatrixCSC ? choose_factorisation(prototype) : ""
    values = Vector64(undef, length(rows) * lanes_of(prototype))
    return Derivatives(entries, rows, columns, values, prototype, time, product, second, factorisation)
end
