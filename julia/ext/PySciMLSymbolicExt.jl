"Symbolic regression (Cranmer 2023, arXiv:2305.01582): SymbolicRegression, which PySR stands on, loads at the first search."
module PySciMLSymbolicExt

using PrecompileTools: @compile_workload, @setup_workload
using PySciML: PySciML, is_interrupted
using SymbolicRegression: Options, calculate_pareto_frontier, equation_search, get_tree

const BINARY = Dict{String, Function}("+" => +, "-" => -, "*" => *, "/" => /)
const UNARY = Dict{String, Function}(string(f) => f for f in (sin, cos, tan, exp, log, sqrt, tanh))
const POPULATIONS = 20 # fewer than its 31: on one core they are bred one after the other
const EXACT = 1.0e-12 # mean square error of values of size 1: nothing is left to find

"Nodes of a tree, each behind its children, and its constants; codes as `search_equations` tells."
function write_tree!(codes, constants, node, n_binary)
    node.degree > 0 && write_tree!(codes, constants, node.l, n_binary)
    node.degree > 1 && write_tree!(codes, constants, node.r, n_binary)
    if node.degree > 0
        push!(codes, -Int(node.op) - (node.degree == 1 ? n_binary : 0))
    elseif node.constant
        push!(codes, 0)
        push!(constants, node.val)
    else
        push!(codes, node.feature)
    end
    return codes, constants
end

"No output of its own, nothing read or written, and the same answer for the same seed."
function make_options(binary, unary, maxsize, seed)
    return Options(;
        binary_operators = Function[BINARY[word] for word in binary], unary_operators = Function[UNARY[word] for word in unary],
        populations = POPULATIONS, maxsize, seed, deterministic = true, save_to_file = false, input_stream = devnull,
        define_helper_functions = false, early_stop_condition = (loss, _) -> loss < EXACT || is_interrupted()
    )
end

function PySciML.search_equations(inputs, outputs, binary, unary, iterations, maxsize, seed)
    binary, unary = split(binary), split(unary)
    words = (; niterations = Int(iterations), parallelism = :serial, runtests = false, verbosity = 0, progress = false)
    return map!(Vector{Any}(undef, size(outputs, 1)), eachrow(outputs)) do output
        options = make_options(binary, unary, Int(maxsize), Int(seed))
        best = calculate_pareto_frontier(equation_search(inputs, Vector(output); options, words...))
        Any[write_tree!(Int[], Float64[], get_tree(member.tree), length(binary)) for member in best]
    end
end

@setup_workload begin
    inputs = [0.1 0.5 0.9 1.3; 0.4 0.2 0.8 0.6]
    @compile_workload begin
        PySciML.search_equations(inputs, inputs[1:1, :] .* inputs[2:2, :], "+ - * /", "sin cos", 1, 20, 0)
    end
end

end
