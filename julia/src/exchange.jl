# How values come from Python and go back: rows of four words in plain memory, so that a call compiles nothing and costs
# microseconds. `pysciml/engines/julia/embed.py` is the other half.

"A value, or how many follow: a number itself, or the address and the two sizes of what is in memory."
struct Cell
    kind::Int
    word::Int # a number's bits, an address, a key, or how many cells follow
    rows::Int
    columns::Int
end

const NOTHING, INTEGER, FLOAT, BOOL, TEXT, HELD_VALUE, FLOATS, MATRIX, INTEGERS, BOOLS, TUPLE, ERROR = 0:11

"What stays here while Python holds its key."
const HELD = Dict{Int, Any}()
const LAST_KEY = Ref(0)

"The last answer, and what keeps its memory alive until the next call."
const REPLY = Cell[]
const KEPT = Any[]

"Arguments are copies: Python's memory may go away."
function read_cell(cell::Cell)
    kind, word = cell.kind, cell.word
    kind == FLOAT && return reinterpret(Float64, word)
    kind == FLOATS && return copy_vector(Float64, cell)
    kind == INTEGER && return word
    kind == TEXT && return unsafe_string(Ptr{UInt8}(word), cell.rows)
    kind == HELD_VALUE && return HELD[word]
    kind == BOOL && return word != 0
    kind == NOTHING && return nothing
    kind == MATRIX && return copy_matrix(cell)
    kind == INTEGERS && return copy_vector(Int, cell)
    kind == BOOLS && return copy_vector(Bool, cell)
    throw(ArgumentError("no value is of kind $kind"))
end

copy_vector(::Type{T}, cell) where {T} = copy(unsafe_wrap(Vector{T}, Ptr{T}(cell.word), cell.rows))
copy_matrix(cell) = copy(unsafe_wrap(Matrix{Float64}, Ptr{Float64}(cell.word), (cell.rows, cell.columns)))

write_value(::Nothing) = push!(REPLY, Cell(NOTHING, 0, 0, 0))
write_value(x::Bool) = push!(REPLY, Cell(BOOL, x, 0, 0))
write_value(x::Integer) = push!(REPLY, Cell(INTEGER, x % Int, 0, 0))
write_value(x::Float64) = push!(REPLY, Cell(FLOAT, reinterpret(Int, x), 0, 0))
write_value(x::AbstractString) = write_value(String(x))
write_value(x::String) = write_memory(TEXT, x, ncodeunits(x))
write_value(x::Vector{Float64}) = write_memory(FLOATS, x, length(x))
write_value(x::Matrix{Float64}) = write_memory(MATRIX, x, size(x)...)
write_value(x::Vector{Int}) = write_memory(INTEGERS, x, length(x))

function write_value(@nospecialize(x::Tuple))
    push!(REPLY, Cell(TUPLE, nfields(x), 0, 0))
    for k in 1:nfields(x)
        write_value(getfield(x, k))
    end
    return nothing
end

"Anything else stays here."
function write_value(@nospecialize(x))
    key = LAST_KEY[] += 1
    HELD[key] = x
    push!(REPLY, Cell(HELD_VALUE, key, 0, 0))
    return nothing
end

function write_memory(kind, x, rows, columns = 1)
    push!(KEPT, x)
    push!(REPLY, Cell(kind, Int(pointer(x)), rows, columns))
    return nothing
end

"""
    exchange(request, n)

Call the function of `bridge.jl` that the first of `n` cells names on the others; the address of the cells of its answer.
Of an error these are its message and its text with the places where it arose.
"""
function exchange(request::Ptr{Cell}, n::Int)
    empty!(REPLY)
    empty!(KEPT)
    try
        arguments = Any[read_cell(unsafe_load(request, k)) for k in 1:n]
        f = getfield(@__MODULE__, Symbol(popfirst!(arguments)::String))
        write_value(Base.invokelatest(f, arguments...))
    catch error
        empty!(REPLY)
        push!(REPLY, Cell(ERROR, 0, 0, 0))
        write_value((sprint(showerror, error), sprint(Base.show_backtrace, catch_backtrace())))
    end
    return pointer(REPLY)
end

"Python no longer holds a key; 0: it has read the last answer."
function give_up(key)
    key == 0 ? (empty!(REPLY); empty!(KEPT)) : delete!(HELD, key)
    return nothing
end

"Where Python finds `exchange`, the interrupt flag (a 64-bit integer) and the progress numbers."
function addresses()
    entry = @cfunction(exchange, Ptr{Cell}, (Ptr{Cell}, Int))
    return join((UInt(entry), UInt(pointer_from_objref(INTERRUPT)), UInt(pointer(PROGRESS))), ' ')
end
