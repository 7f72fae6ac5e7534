# What lets a killed fit go on where it was: files of numbers, written by the loop itself.

"A file of vectors of numbers that is either whole or, to a reader, not there. The text of an error, or \"\"."
function write_numbers(path, vectors::Vector{Vector{Float64}})
    bytes = IOBuffer()
    write(bytes, length(vectors))
    foreach(x -> write(bytes, length(x), x), vectors)
    content = take!(bytes)
    return saying_errors() do
        open(path * ".part", "w") do file
            write(file, content, crc32c(content))
        end
        mv(path * ".part", path; force = true)
    end
end

"The vectors of such a file; nothing if there is none that is whole."
function read_numbers(path)
    isfile(path) || return nothing
    content = read(path)
    length(content) > 4 || return nothing
    sum = reinterpret(UInt32, content[(end - 3):end])[1]
    resize!(content, length(content) - 4)
    crc32c(content) == sum || return nothing
    bytes = IOBuffer(content)
    return [read!(bytes, Vector{Float64}(undef, read(bytes, Int))) for _ in 1:read(bytes, Int)]
end

"Do something with files: the text of the error, \"\" if all went well."
function saying_errors(act)
    try
        act()
    catch error
        error isa Union{SystemError, Base.IOError} || rethrow()
        return sprint(showerror, error)
    end
    return ""
end

"""
The answers of an objective in the order of the questions, one record an answer: a checksum of point, value and gradient,
then value and gradient. An optimizer that always does the same with the same answers is brought back to where it was killed by
these, with its whole state, whatever that is.
"""
mutable struct Journal
    const path::String
    const recorded::Matrix{Float64} # (number, record)
    read::Int
    file::Union{Nothing, IOStream}
    trouble::String # what made the writing stop
end

"The records are of another objective or machine: the optimizer asks something else."
struct ForeignJournal <: Exception end

function Journal(path, n)
    numbers = isfile(path) ? read(path) : UInt8[]
    width = n + 2
    resize!(numbers, 8width * (length(numbers) ÷ 8width)) # a last one may be torn
    return Journal(path, reshape(reinterpret(Float64, numbers), width, :), 0, nothing, "")
end

function checksum(x, value, gradient)
    numbers = [x; value; gradient]
    return GC.@preserve numbers Float64(crc32c(unsafe_wrap(Array, Ptr{UInt8}(pointer(numbers)), sizeof(numbers))))
end

"The recorded answer at x, or else what `compute` gives, which is then recorded unless it was interrupted."
function answer!(compute, journal::Journal, x)
    if journal.read < size(journal.recorded, 2)
        record = journal.recorded[:, journal.read + 1]
        value, gradient = record[2], record[3:end]
        if record[1] == checksum(x, value, gradient)
            journal.read += 1
            return value, gradient
        end
        journal.read + 1 < size(journal.recorded, 2) && throw(ForeignJournal())
    end
    value, gradient = compute()
    is_interrupted() || record!(journal, x, value, gradient)
    return value, gradient
end

answer!(compute, ::Nothing, x) = compute()

function record!(journal, x, value, gradient)
    isempty(journal.trouble) || return nothing
    journal.trouble = saying_errors() do
        if journal.file === nothing
            journal.file = open(journal.path, "a")
            truncate(journal.file, 8 * size(journal.recorded, 1) * journal.read)
        end
        write(journal.file, checksum(x, value, gradient), value, gradient)
        flush(journal.file)
    end
    return nothing
end

Base.close(journal::Journal) = journal.file === nothing ? nothing : (saying_errors(() -> close(journal.file)); nothing)
