# How values come from Python and go back: cells of four words, and behind them the bytes of texts and arrays, so that a call
# compiles nothing and costs microseconds. `pysciml/engines/julia/embed.py` is the other half.

"A value, or how many follow: a number itself, or where its bytes are and its two sizes."
struct Cell
    kind::Int
    word::Int # a number's bits, the place of the first byte, a key, or how many cells follow
    rows::Int
    columns::Int
end

const NOTHING, INTEGER, FLOAT, BOOL, TEXT, HELD_VALUE, FLOATS, MATRIX, INTEGERS, BOOLS, TUPLE, ERROR, SHORTS = 0:12
const FAR = 16 # is added to the kind of an array that is not among the bytes: its word is where it lies itself
const MUCH = 1_000_000 # bytes, from which on an array of an answer is not put among the others: to copy it takes its time

"What stays here while Python holds its key."
const HELD = Dict{Int, Any}()
const LAST_KEY = Ref(0)

"The last answer, and where Python finds it: how many cells, where they are, how many bytes, where they are."
const CELLS = Cell[]
const BYTES = UInt8[]
const FAR_ARRAYS = Any[]
const PLACES = zeros(Int, 4)

"A call on its way in: the next cell, and where the bytes begin. Python's memory may go away, so all is copied."
mutable struct Incoming
    next::Ptr{Cell}
    bytes::Ptr{UInt8}
end

function read_value(call::Incoming)
    cell = unsafe_load(call.next)
    call.next += sizeof(Cell)
    kind, word = cell.kind, cell.word
    kind == FLOAT && return reinterpret(Float64, word)
    kind == FLOATS && return read_bytes!(Vector{Float64}(undef, cell.rows), call, word)
    kind == INTEGER && return word
    kind == TEXT && return unsafe_string(call.bytes + word, cell.rows)
    kind == HELD_VALUE && return HELD[word]
    kind == BOOL && return word != 0
    kind == NOTHING && return nothing
    kind == MATRIX && return read_bytes!(Matrix{Float64}(undef, cell.rows, cell.columns), call, word)
    kind == INTEGERS && return read_bytes!(Vector{Int}(undef, cell.rows), call, word)
    kind == BOOLS && return read_bytes!(Vector{Bool}(undef, cell.rows), call, word)
    kind == SHORTS && return read_bytes!(Vector{Int32}(undef, cell.rows), call, word)
    kind == TUPLE && return Any[read_value(call) for _ in 1:word]
    throw(ArgumentError("no value is of kind $kind"))
end

function read_bytes!(x, call, place)
    GC.@preserve x unsafe_copyto!(Ptr{UInt8}(pointer(x)), call.bytes + place, sizeof(x))
    return x
end

write_value(::Nothing) = push!(CELLS, Cell(NOTHING, 0, 0, 0))
write_value(x::Bool) = push!(CELLS, Cell(BOOL, x, 0, 0))
write_value(x::Integer) = push!(CELLS, Cell(INTEGER, x % Int, 0, 0))
write_value(x::Float64) = push!(CELLS, Cell(FLOAT, reinterpret(Int, x), 0, 0))
write_value(x::AbstractString) = write_value(String(x))
write_value(x::String) = write_bytes(TEXT, x, ncodeunits(x))
write_value(x::Vector{Float64}) = write_array(FLOATS, x, length(x))
write_value(x::Matrix{Float64}) = write_array(MATRIX, x, size(x)...)
write_value(x::Vector{Int}) = write_array(INTEGERS, x, length(x))
write_value(x::Vector{Bool}) = write_array(BOOLS, x, length(x))
write_value(x::Vector{Int32}) = write_array(SHORTS, x, length(x))

function write_value(@nospecialize(x::Union{Tuple, Vector{Any}}))
    push!(CELLS, Cell(TUPLE, length(x), 0, 0))
    for k in 1:length(x)
        write_value(x[k])
    end
    return nothing
end

"Anything else stays here."
function write_value(@nospecialize(x))
    key = LAST_KEY[] += 1
    HELD[key] = x
    push!(CELLS, Cell(HELD_VALUE, key, 0, 0))
    return nothing
end

function write_array(kind, x, rows, columns = 1)
    sizeof(x) > MUCH || return write_bytes(kind, x, rows, columns)
    push!(FAR_ARRAYS, x)
    push!(CELLS, Cell(kind + FAR, Int(pointer(x)), rows, columns))
    return nothing
end

function write_bytes(kind, x, rows, columns = 1)
    place, size = length(BYTES), sizeof(x)
    resize!(BYTES, place + 8cld(size, 8)) # numbers begin at whole words
    GC.@preserve x unsafe_copyto!(pointer(BYTES, place + 1), Ptr{UInt8}(pointer(x)), size)
    push!(CELLS, Cell(kind, place, rows, columns))
    return nothing
end

"What the function of `bridge.jl` or `asked.jl` that comes first gives of the others."
call_named(name, arguments...) = Base.invokelatest(getfield(@__MODULE__, Symbol(name)), arguments...)

"Many calls, as lists, with one crossing."
call_many(calls) = Any[call_named(call...) for call in calls]

"""
    exchange(cells, n)

Make the call that a list of `n` cells describes; where Python finds its answer, null where that is nothing. Of an error this is its
message and the places where it arose.
"""
exchange(cells::Ptr{Cell}, n::Int) = write_answer() do
    call = Incoming(cells, Ptr{UInt8}(cells + n * sizeof(Cell)))
    return call_named((read_value(call)::Vector{Any})...)
end

"The same of `ask_again` for what a key stands for."
exchange_again(key::Int) = write_answer(() -> ask_again(HELD[key]::Union{Prepared, PreparedObjective}))

function write_answer(call::F) where {F}
    empty!(CELLS)
    empty!(BYTES)
    empty!(FAR_ARRAYS)
    start_clock!()
    current_task().logstate === nothing && silence() # a thread's first call
    try
        answer = call()
        answer === nothing && return Ptr{Int}(C_NULL)
        write_value(answer)
    catch error
        empty!(CELLS)
        push!(CELLS, Cell(ERROR, 0, 0, 0))
        write_value((sprint(showerror, error), sprint(Base.show_backtrace, catch_backtrace())))
    end
    PLACES .= (length(CELLS), Int(pointer(CELLS)), length(BYTES), Int(pointer(BYTES)))
    return pointer(PLACES)
end

"Python no longer holds a key; 0: it has read the last answer, whose memory is given back."
function give_up(key)
    key == 0 ? (empty!(FAR_ARRAYS); sizehint!(empty!(BYTES), 0)) : delete!(HELD, key)
    return nothing
end

"""
Where Python finds `exchange` and `exchange_again`, the interrupt flag and the time allowed (64-bit integers), the progress
numbers, and Julia's own functions by which a thread says that it is out of Julia's memory, so that another's garbage collection
need not wait for it, or in it again.
"""
function addresses()
    entries = (@cfunction(exchange, Ptr{Int}, (Ptr{Cell}, Int)), @cfunction(exchange_again, Ptr{Int}, (Int,)))
    data = (pointer_from_objref(INTERRUPT), pointer_from_objref(ALLOWED), pointer(PROGRESS))
    doors = (cglobal(:jl_gc_safe_enter), cglobal(:jl_gc_unsafe_enter))
    return join(UInt.((entries..., data..., doors...)), ' ')
end
