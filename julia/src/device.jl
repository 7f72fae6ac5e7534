# Models on a device. Solver, state and steps stay in the host's memory; what is costly for large networks, the right-hand side and its
# product with cotangents, is computed there, by functions of whole arrays (`arrays.jl`).

"Types of arrays by the word of their device; `load_arrays` adds to them."
const ARRAYS = Dict{String, Any}()

"""
    load_arrays(word)

Load what a device needs for whole arrays, "gpu" or "arrays" (JLArrays, which behave like a GPU's, on the CPU): nothing, or why it can't
be had. Its methods are seen by the calls after this one.
"""
function load_arrays(word)
    word = string(word)
    haskey(ARRAYS, word) && return ""
    found = load_for_device(word, "JLArrays")
    found isa String && return found
    Base.invokelatest(found.allowscalar, false) # an element fetched by itself takes as long as a right-hand side
    ARRAYS[word] = word == "gpu" ? found.CuArray : found.JLArray
    return ""
end

"How often parameters were written to a vector that had held others."
const REWRITTEN = Ref(0)

note_rewritten!() = (REWRITTEN[] += 1; nothing)

"The kind of arrays of a device, and the parameters that it holds: those of the last vector that was copied there, and when."
mutable struct Place
    const array::Any
    host::Vector64
    rewritten::Int
    device::Any
end

Place(array) = Place(array, Vector64(), 0, nothing)

"""
A vector of parameters on the device, copied once for all steps of a solve and of its reversal. It is known by being the same vector,
none having been rewritten since.
"""
function parameters(place::Place, p)
    if place.host !== p || place.rewritten != REWRITTEN[]
        place.device = place.array(p)
        place.host, place.rewritten = p, REWRITTEN[]
    end
    return place.device
end

"A function of whole arrays on a device, as one of the host's: takes `(out, t, u, p, work)` as other Programs do."
struct DeviceFunction
    f::Any
    constants::Tuple
    place::Place
end

function (device::DeviceFunction)(out::Vector64, t::Float64, u::Vector64, p::Vector64, work)
    (found,) = device.f(t, device.place.array(u), parameters(device.place, p), device.constants...)
    copyto!(out, found)
    return nothing
end

"""
The same for its product with a cotangent. Slopes by the parameters are summed on the device as long as they are for the same vector
`p_out`; `fetch_slopes!` adds them to it.
"""
mutable struct DevicePullback
    const f::Any
    const constants::Tuple
    const place::Place
    host::Vector64
    total::Any
end

function (device::DevicePullback)(u_out::Vector64, p_out::Vector64, t::Float64, u::Vector64, p::Vector64, v::Vector64, work)
    (; array) = device.place
    found, slopes = device.f(t, array(u), parameters(device.place, p), array(v), device.constants...)
    copyto!(u_out, found)
    if device.host === p_out
        device.total .+= slopes
    else
        device.host, device.total = p_out, copy(slopes)
    end
    return nothing
end

"Forget what a pullback has summed, should it have been interrupted."
forget_slopes!(pullback) = nothing
forget_slopes!(device::DevicePullback) = (device.host = Vector64(); nothing)

"Add what a pullback has summed for a vector, and forget it."
fetch_slopes!(p_out, pullback) = nothing
function fetch_slopes!(p_out, device::DevicePullback)
    device.host === p_out || return nothing
    p_out .+= Array(device.total)
    return forget_slopes!(device)
end

"""
    load_on_device(word, program, pullback)

A right-hand side on a device, from Programs of whole arrays; `pullback` may be nothing. `load_arrays` comes before.
"""
function load_on_device(word, program, pullback)
    array = ARRAYS[string(word)]
    place = Place(array)
    constants(work) = (array(work.constants), array(work.constant_flags), array(work.indices))
    f = DeviceFunction(program.function!, constants(program.work), place)
    pullback === nothing && return RightHandSide(Program(f, program.work))
    pull = DevicePullback(pullback.function!, constants(pullback.work), place, Vector64(), nothing)
    return RightHandSide(Program(f, program.work, Program(pull, pullback.work), Block[]))
end
