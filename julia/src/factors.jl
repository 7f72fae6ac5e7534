# Cotangents of parameters as factors: those of a layer's weights are outer products, and a sum of many of these is one product of
# two matrices, whose columns are the factors.

"""
`rows * columns` parameters behind the first `start`, in C order: the outer product of the factors behind the first `left` and
`right`; without `columns`, the `rows` factors behind `left` themselves.
"""
struct Block
    start::Int
    rows::Int
    columns::Int
    left::Int
    right::Int
end

const MOST_COLUMNS = 64

"Factors as columns, until they are added to the parameters that they are the factors of."
mutable struct Factors
    const blocks::Vector{Block}
    const columns::Matrix{Float64}
    n::Int
end

Factors(blocks, n_columns = MOST_COLUMNS) = Factors(blocks, zeros(count_factors(blocks), n_columns), 0)

"How many factors blocks have."
count_factors(blocks) = sum(block.rows + block.columns for block in blocks; init = 0)

"Keep one more column."
function keep_factors!(total, factors::Factors, column)
    factors.n == size(factors.columns, 2) && add_factors!(total, factors)
    factors.n += 1
    copyto!(view(factors.columns, :, factors.n), column)
    return nothing
end

"Add the parameters of all columns to a total, and forget these."
function add_factors!(total, factors::Factors)
    factors.n == 0 && return total
    for block in factors.blocks
        left = view(factors.columns, (block.left + 1):(block.left + block.rows), 1:(factors.n))
        if block.columns == 0
            out = view(total, (block.start + 1):(block.start + block.rows))
            foreach(column -> out .+= column, eachcol(left))
        else
            right = view(factors.columns, (block.right + 1):(block.right + block.columns), 1:(factors.n))
            out = view(total, (block.start + 1):(block.start + block.rows * block.columns))
            mul!(reshape(out, block.columns, block.rows), right, transpose(left), 1.0, 1.0)
        end
    end
    factors.n = 0
    return total
end
