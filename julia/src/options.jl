# Options of algorithms: the words of `pysciml/engines/julia/options.py` as SciML's keywords.

const LINEAR_SOLVERS = Dict{String, Any}(
    "LU" => LinearSolve.LUFactorization(), "QR" => LinearSolve.QRFactorization(), "KLU" => LinearSolve.KLUFactorization(),
    "UMFPACK" => LinearSolve.UMFPACKFactorization(), "GMRES" => LinearSolve.KrylovJL_GMRES(),
    "BiCGStab" => LinearSolve.KrylovJL_BICGSTAB(),
    # of one type, so that solvers are compiled once for both
    "sparse KLU" => LinearSolve.DefaultLinearSolver(LinearSolve.DefaultAlgorithmChoice.KLUFactorization),
    "sparse UMFPACK" => LinearSolve.DefaultLinearSolver(LinearSolve.DefaultAlgorithmChoice.UMFPACKFactorization),
)

"""
Floating-point operations an entry of the factors: with fewer, KLU's loops over single columns are faster than UMFPACK's
dense blocks. `benchmarks/factors.jl` measures where they meet.
"""
const FEW_FLOPS = 60

"""
    choose_factorisation(pattern)

The quicker way to factor matrices of a sparse pattern again and again, by what KLU's analysis of it foretells (Davis and
Palamadai Natarajan 2010, doi:10.1145/1824801.1824814).
"""
function choose_factorisation(pattern)
    klu = Base.get_extension(LinearSolve, :LinearSolveSparseArraysExt).KLU
    factors = klu.KLUFactorization(pattern)
    klu.klu_analyze!(factors)
    (; est_flops, lnz, unz) = factors.symbolic
    return 0 <= est_flops <= FEW_FLOPS * (lnz + unz) ? "KLU" : "UMFPACK"
end

const FULL_ONLY = (:OrdinaryDiffEqFIRK, :OrdinaryDiffEqExtrapolation)
const UNFACTORED = (FULL_ONLY..., :OrdinaryDiffEqExponentialRK) # methods that sparse matrices aren't factored for

"A spec with the linear solver that suits a problem's sparse Jacobian, unless it names one or uses none."
function complete_spec(spec, problem)
    problem.f.jac_prototype isa SparseMatrixCSC{Float64, Int} && !occursin("linear_solver=", spec) || return spec
    word = method_of(spec)
    word in ("CVODE_BDF", "ARKODE") && return spec * ";linear_solver=KLU"
    is_factored = startswith(word, "Auto") || has_jacobian(word) && !(PACKAGES[word] in UNFACTORED)
    return is_factored ? "$spec;linear_solver=sparse $(problem.f.f.derivatives.factorisation)" : spec
end

"The spec of the method that takes over from the first one of a pair."
function stiff_member(options)
    word = get(options, "stiff", "Rodas5P")
    return haskey(options, "linear_solver") ? "$word;linear_solver=$(options["linear_solver"])" : word
end

const NONLINEAR_SOLVERS = Dict{String, Symbol}("Newton" => :NLNewton, "functional" => :NLFunctional, "Anderson" => :NLAnderson)

nonlinear_package() = get!(() -> Base.require(@__MODULE__, :OrdinaryDiffEqNonlinearSolve), LOADED, :OrdinaryDiffEqNonlinearSolve)

nonlinear_solver(value) = Base.invokelatest(getproperty(nonlinear_package(), NONLINEAR_SOLVERS[value]))

"Preconditioners: what is factored of the matrix W of the stages."
const PRECONDITIONERS = Dict{String, Function}(
    "jacobi" => W -> Diagonal(Vector(diag(W))), "lu" => W -> lu(W),
    "tridiagonal" => W -> lu(Tridiagonal(Vector(diag(W, -1)), Vector(diag(W)), Vector(diag(W, 1)))),
)

"The identity, stored as the Jacobian of the operator W is."
identity_like(W, n) = hasproperty(W, :J) && W.J isa SparseMatrixCSC ? sparse(1.0LinearAlgebra.I, n, n) :
    Matrix{Float64}(LinearAlgebra.I, n, n)

"""
A function of SciML's `precs` form, which keeps its factors until W is a new one. On the right side, so that the residual
by which GMRES stops is the equation's own.
"""
function preconditioner(word)
    factor = PRECONDITIONERS[word]
    function precs(W, du, u, p, t, is_new, left, right, data)
        is_new === nothing && return nothing, factor(identity_like(W, length(u))) # W isn't set yet
        is_new || return nothing, right
        return nothing, factor(convert(AbstractMatrix, W))
    end
    return precs
end

const KEYWORDS = Dict{String, Symbol}(
    "min_order" => :min_order, "initial_order" => :init_order, "min_stages" => :min_stages, "max_stages" => :max_stages,
    "krylov_size" => :m, "frequency" => :omega, "embedding" => :embedding,
    "jacobian_age" => :max_jac_age,
)

"SciML's keywords for one of our options."
function family_keywords(name, value, word)
    name == "linear_solver" && return Dict(:linsolve => LINEAR_SOLVERS[value])
    name == "preconditioner" && return Dict{Symbol, Any}(:precs => preconditioner(value), :concrete_jac => true)
    name == "nonlinear_solver" && return Dict(:nlsolve => nonlinear_solver(value))
    name == "max_order" && return Dict(:max_order => PACKAGES[word] == :OrdinaryDiffEqBDF ? Val(value) : value)
    name == "frequency" && word == "Anas5" && return Dict(:w => value)
    return Dict(KEYWORDS[name] => value)
end

const SUNDIALS_SOLVERS = Dict(
    "LU" => :Dense, "KLU" => :KLU, "GMRES" => :GMRES, "FGMRES" => :FGMRES, "BiCGStab" => :BCG, "TFQMR" => :TFQMR,
)

function sundials_algorithm(maker, word, options)
    keywords = Dict{Symbol, Any}()
    for (name, value) in options
        name == "linear_solver" && (keywords[:linear_solver] = SUNDIALS_SOLVERS[value])
        name == "nonlinear_solver" && (keywords[:method] = value == "Newton" ? :Newton : :Functional)
        name == "krylov_size" && (keywords[:krylov_dim] = value)
        name in ("max_order", "order") && (keywords[Symbol(name)] = value)
    end
    if word == "CVODE_Adams" && get(keywords, :method, :Functional) == :Newton
        get!(keywords, :linear_solver, :Dense)
    end
    get(options, "explicit", false) && return maker(LOADED[:Sundials].Explicit(); keywords...)
    return maker(; keywords...)
end

"Does an algorithm factor sparse matrices only? Sundials' linear solver is a parameter of its types."
is_sparse_only(algorithm) = false
is_sparse_only(algorithm::OrdinaryDiffEqCore.OrdinaryDiffEqAlgorithm) = hasproperty(algorithm, :linsolve) &&
    algorithm.linsolve isa Union{LinearSolve.KLUFactorization, LinearSolve.UMFPACKFactorization}
is_sparse_only(algorithm::SciMLBase.AbstractODEAlgorithm) = :KLU in typeof(algorithm).parameters

"Does an algorithm write to each element of its matrices, zero or not?"
is_full_only(algorithm) = nameof(parentmodule(typeof(algorithm))) in FULL_ONLY

"A problem whose Jacobian is stored as the algorithm's linear solver needs it: one without a pattern counts as full."
function prepare_problem(problem, algorithm)
    is_full_only(algorithm) && (problem = full_problem(problem))
    is_sparse_only(algorithm) && problem.f.jac_prototype === nothing || return problem
    n = length(problem.u0)
    return remake(problem; f = remake(problem.f; jac_prototype = sparse(ones(n, n))))
end
