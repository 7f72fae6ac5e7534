# Generated functions: text compiled once, and the memory that they work in.

"Working memory by number type, and the constant arrays, of one Program."
struct Work
    constants::Vector{Float64}
    constant_flags::Vector{Bool}
    indices::Vector{Int}
    n_numbers::Int
    flags::Vector{Bool}
    float::Vector{Float64}
    others::IdDict{Any, Any}
end

function Work(constants, constant_flags, indices, n_numbers, n_flags)
    flags, float = Vector{Bool}(undef, n_flags), Vector{Float64}(undef, n_numbers)
    return Work(constants, constant_flags, indices, n_numbers, flags, float, IdDict{Any, Any}())
end

"Memory for numbers of type `T`: made at the first call with that type."
@inline numbers(w::Work, ::Type{Float64}) = w.float
numbers(w::Work, ::Type{T}) where {T} = get!(() -> Vector{T}(undef, w.n_numbers), w.others, T)::Vector{T}

"The number type of what is computed from these arguments."
@inline number_type(arguments...) = stored_type(promote_type(map(element_type, arguments)...))
number_type() = Float64
element_type(::T) where {T <: Real} = T
element_type(::AbstractArray{T}) where {T} = T
stored_type(::Type{T}) where {T} = T

"""
A compiled Program: `function!(outputs..., inputs..., work)`. Its `pullback` gives cotangents of inputs from inputs and the cotangents
of outputs, where there is one: those of a model's parameters it adds to its last output, or writes their factors there
(`factors.jl`), as `blocks` say.
"""
struct Program
    function!::Any
    work::Work
    pullback::Union{Nothing, Program}
    blocks::Vector{Block}
end

Program(function!, work) = Program(function!, work, nothing, Block[])

(program::Program)(arguments...) = (program.function!(arguments..., program.work); nothing)

const FUNCTIONS = Dict{String, Any}()

"""
    compile_program(text, constants, flags, indices, n_numbers, n_flags)

A Program from its printed text. Equal texts compile once a process; working memory is the caller's own.
"""
function compile_program(text, constants, constant_flags, indices, n_numbers, n_flags)
    function! = get!(FUNCTIONS, text) do
        RuntimeGeneratedFunction(@__MODULE__, @__MODULE__, Meta.parse(text))
    end
    return Program(function!, Work(constants, constant_flags, indices, n_numbers, n_flags))
end
