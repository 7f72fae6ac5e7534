# The words for time-stepping methods. The Jacobian is ours; finite differences serve states too large for a dense one.

const DIFFERENCES = AutoFiniteDiff()

"""
    ALGORITHMS

Word -> maker of SciML's algorithm. References stand beside the same words in `pysciml/engines/julia/algorithms.py`.
"""
const ALGORITHMS = Dict{String, Function}(
    "auto" => () -> DefaultODEAlgorithm(autodiff = DIFFERENCES),
    "Euler" => () -> Euler(),
    "RK4" => () -> RK4(),
    "BS3" => () -> BS3(),
    "DP5" => () -> DP5(),
    "Tsit5" => () -> Tsit5(),
    "Vern6" => () -> Vern6(),
    "Vern7" => () -> Vern7(),
    "Vern8" => () -> Vern8(),
    "Vern9" => () -> Vern9(),
    "ImplicitEuler" => () -> ImplicitEuler(autodiff = DIFFERENCES),
    "Rosenbrock23" => () -> Rosenbrock23(autodiff = DIFFERENCES),
    "Rodas4" => () -> Rodas4(autodiff = DIFFERENCES),
    "Rodas5P" => () -> Rodas5P(autodiff = DIFFERENCES),
    "TRBDF2" => () -> TRBDF2(autodiff = DIFFERENCES),
    "Kvaerno3" => () -> Kvaerno3(autodiff = DIFFERENCES),
    "Kvaerno4" => () -> Kvaerno4(autodiff = DIFFERENCES),
    "Kvaerno5" => () -> Kvaerno5(autodiff = DIFFERENCES),
    "KenCarp3" => () -> KenCarp3(autodiff = DIFFERENCES),
    "KenCarp4" => () -> KenCarp4(autodiff = DIFFERENCES),
    "KenCarp5" => () -> KenCarp5(autodiff = DIFFERENCES),
    "ABDF2" => () -> ABDF2(autodiff = DIFFERENCES),
    "QNDF" => () -> QNDF(autodiff = DIFFERENCES),
    "QBDF" => () -> QBDF(autodiff = DIFFERENCES),
    "FBDF" => () -> FBDF(autodiff = DIFFERENCES),
)

const STIFF = Set(
    [
        "ImplicitEuler", "Rosenbrock23", "Rodas4", "Rodas5P", "TRBDF2", "Kvaerno3", "Kvaerno4", "Kvaerno5",
        "KenCarp3", "KenCarp4", "KenCarp5", "ABDF2", "QNDF", "QBDF", "FBDF",
    ]
)

"The members of SciML's default algorithm, by their number in a solution's `alg_choice`."
const DEFAULT_MEMBERS = ("Tsit5", "Vern7", "Rosenbrock23", "Rodas5P", "FBDF", "FBDF")
const N_NONSTIFF = 2

"Methods of several steps."
const MULTISTEP = Set(["ABDF2", "QNDF", "QBDF", "FBDF"])

make_algorithm(word) = ALGORITHMS[word]()
