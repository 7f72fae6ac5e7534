# The words for time-stepping methods and their options. Orders, purposes and references stand beside the same words in
# `pysciml/engines/julia/catalogue.py`. The Jacobian is ours; finite differences serve states too large for a dense one.

const DIFFERENCES = AutoFiniteDiff()

"""
    METHODS

Package -> the words that are names of methods in it. Split, dynamical (second order), linear and residual forms are
left out: a plain `f(u, p, t)` does not fit them.
"""
const METHODS = (
    OrdinaryDiffEqTsit5 = "Tsit5 AutoTsit5",
    OrdinaryDiffEqVerner = "Vern6 Vern7 Vern8 Vern9 AutoVern6 AutoVern7 AutoVern8 AutoVern9",
    OrdinaryDiffEqLowOrderRK = "Euler Heun Ralston Midpoint RK4 BS3 OwrenZen3 OwrenZen4 OwrenZen5 BS5 DP5 Anas5 RKO65 FRK65 RKM
        MSRK5 MSRK6 PSRK4p7q6 PSRK3p5q4 PSRK3p6q5 Stepanov5 SIR54 Alshina2 Alshina3 Alshina6 Ralston4 AutoDP5",
    OrdinaryDiffEqHighOrderRK = "TanYam7 DP8 PFRK87 TsitPap8",
    OrdinaryDiffEqFeagin = "Feagin10 Feagin12 Feagin14",
    OrdinaryDiffEqQPRK = "QPRK98",
    OrdinaryDiffEqPRK = "KuttaPRK2p5",
    OrdinaryDiffEqExplicitRK = "ExplicitRK",
    OrdinaryDiffEqAdamsBashforthMoulton = "AB3 AB4 AB5 ABM32 ABM43 ABM54 VCAB3 VCAB4 VCAB5 VCABM3 VCABM4 VCABM5 VCABM",
    OrdinaryDiffEqSSPRK = "SSPRK22 SSPRK33 SSPRK43 SSPRK432 SSPRK53 SSPRK53_2N1 SSPRK53_2N2 SSPRK53_H SSPRK54 SSPRK63 SSPRK73
        SSPRK83 SSPRK932 SSPRK104 SSPRKMSVS32 SSPRKMSVS43 KYKSSPRK42 KYK2014DGSSPRK_3S2 pRRK22 pRRK33 pRRK54",
    OrdinaryDiffEqLowStorageRK = "ORK256 CarpenterKennedy2N54 DGLDDRK73_C DGLDDRK84_C DGLDDRK84_F NDBLSRK124
        NDBLSRK134 NDBLSRK144 CFRLDDRK64 TSLDDRK74 CKLLSRK43_2 CKLLSRK54_3C CKLLSRK95_4S CKLLSRK95_4M CKLLSRK54_3C_3R
        CKLLSRK54_3M_3R CKLLSRK54_3N_3R CKLLSRK85_4C_3R CKLLSRK85_4M_3R CKLLSRK85_4P_3R CKLLSRK54_3N_4R CKLLSRK54_3M_4R
        CKLLSRK65_4M_4R CKLLSRK85_4FM_4R CKLLSRK75_4M_5R ParsaniKetchesonDeconinck3S32 ParsaniKetchesonDeconinck3S82
        ParsaniKetchesonDeconinck3S53 ParsaniKetchesonDeconinck3S173 ParsaniKetchesonDeconinck3S94 ParsaniKetchesonDeconinck3S184
        ParsaniKetchesonDeconinck3S105 ParsaniKetchesonDeconinck3S205 RDPK3Sp35 RDPK3SpFSAL35 RDPK3Sp49 RDPK3SpFSAL49 RDPK3Sp510
        RDPK3SpFSAL510 RK46NL SHLDDRK52",
    OrdinaryDiffEqStabilizedRK = "ROCK2 ROCK4 RKC ESERK4 ESERK5 SERK2 TSRKC3",
    OrdinaryDiffEqExtrapolation = "AitkenNeville ExtrapolationMidpointDeuflhard ExtrapolationMidpointHairerWanner
        ImplicitEulerExtrapolation ImplicitDeuflhardExtrapolation ImplicitHairerWannerExtrapolation
        ImplicitEulerBarycentricExtrapolation",
    OrdinaryDiffEqExponentialRK = "Exp4 EPIRK4s3A EPIRK4s3B EXPRB53s3 EPIRK5P1 EPIRK5P2 Exprb32 Exprb43",
    OrdinaryDiffEqRosenbrock = "Rosenbrock23 Rosenbrock32 Rodas23W ROS2 ROS2PR ROS2S ROS3 ROS3P ROS3PR ROS3PRL ROS3PRL2 Rodas3
        Rodas3P Scholz4_7 ROS34PW1a ROS34PW1b ROS34PW2 ROS34PW3 ROS34PRw RosShamp4 Veldd4 Velds4 GRK4T GRK4A Ros4LStab Rodas4 Rodas42
        Rodas4P Rodas4P2 RosenbrockW6S4OS ROK4a Rodas5 Rodas5P Rodas5Pe Rodas5Pr Rodas6P Tsit5DA",
    OrdinaryDiffEqSDIRK = "ImplicitEuler ImplicitMidpoint Trapezoid TRBDF2 SDIRK2 SDIRK22 SSPSDIRK2 Kvaerno3 KenCarp3 CFNLIRK3 Cash4
        Hairer4 Hairer42 Kvaerno4 KenCarp4 KenCarp47 SFSDIRK4 ESDIRK436L2SA2 ESDIRK437L2SA SFSDIRK5 Kvaerno5 KenCarp5 KenCarp58
        ESDIRK54I8L2SA ESDIRK547L2SA2 SFSDIRK6 ESDIRK659L2SA SFSDIRK7 SFSDIRK8",
    OrdinaryDiffEqFIRK = "RadauIIA3 RadauIIA5 RadauIIA9",
    OrdinaryDiffEqPDIRK = "PDIRK44",
    OrdinaryDiffEqBDF = "ABDF2 QNDF1 QBDF1 QNDF2 QBDF2 QNDF QBDF FBDF MEBDF2",
    Sundials = "CVODE_Adams CVODE_BDF ARKODE",
)

const PACKAGES = Dict{String, Symbol}(word => package for (package, words) in pairs(METHODS) for word in split(words))

"What the common words need is loaded with this package; any other package at the first use of a word of its."
const LOADED = Dict{Symbol, Module}(
    nameof(package) => package for package in (
        OrdinaryDiffEqLowOrderRK, OrdinaryDiffEqRosenbrock, OrdinaryDiffEqTsit5, OrdinaryDiffEqVerner,
    )
)

const NEWTON_PACKAGES = (
    :OrdinaryDiffEqRosenbrock, :OrdinaryDiffEqSDIRK, :OrdinaryDiffEqFIRK, :OrdinaryDiffEqPDIRK, :OrdinaryDiffEqBDF,
    :OrdinaryDiffEqExponentialRK,
)

"Packages of methods that factor full matrices of real numbers."
const FACTORED = (:OrdinaryDiffEqRosenbrock, :OrdinaryDiffEqSDIRK, :OrdinaryDiffEqPDIRK, :OrdinaryDiffEqBDF)

"Methods that would call the right-hand side from several threads at once; its memory is one thread's."
const THREADED = ("KuttaPRK2p5", "PDIRK44", "ExtrapolationMidpointDeuflhard", "ExtrapolationMidpointHairerWanner")

"Packages of explicit methods whose sweeps over vectors are ours."
const TIGHT_EXPLICIT = (:OrdinaryDiffEqTsit5, :OrdinaryDiffEqVerner)

"Does a method use Jacobians?"
has_jacobian(word) = PACKAGES[word] in NEWTON_PACKAGES || startswith(word, "Implicit")

"Is a word a method for stiff problems?"
is_stiff(word) = word != "auto" && (has_jacobian(word) || word in ("CVODE_BDF", "ARKODE"))

"""
    load_algorithm(spec)

Load what the algorithm of a spec needs: nothing, or why it can't be had. New methods are seen by the calls after this
one, so it is a call of its own.
"""
function load_algorithm(spec)
    word = method_of(spec)
    word == "auto" && return ""
    package = PACKAGES[word]
    haskey(LOADED, package) && return ""
    return try_load(() -> LOADED[package] = Base.require(@__MODULE__, package), package)
end

"A spec is a word and options, `KenCarp4;linear_solver=KLU;max_order=3`; the word of it."
method_of(spec) = String(first(eachsplit(spec, ';')))

function options_of(spec)
    pairs = (split(part, '='; limit = 2) for part in Iterators.drop(eachsplit(spec, ';'), 1))
    return Dict{String, Any}(String(name) => read_option(value) for (name, value) in pairs)
end

function read_option(text)
    text in ("true", "false") && return text == "true"
    number = tryparse(Int, text)
    number === nothing || return number
    number = tryparse(Float64, text)
    return number === nothing ? String(text) : number
end

const MADE = Dict{String, Any}()

"SciML's algorithm of a spec; one value serves all solves."
make_algorithm(spec) = get!(() -> build_algorithm(method_of(spec), options_of(spec)), MADE, spec)

"""
The algorithm of a word. SDIRK methods estimate their error plainly: the smoothed estimate of OrdinaryDiffEqSDIRK 1.14 has a
factor γ dt too much, so that it depends on the unit of time and lets errors of 10⁴ tolerances pass where steps are short.
"""
function build_algorithm(word, options)
    package = PACKAGES[word]
    maker = getproperty(LOADED[package], Symbol(word))
    startswith(word, "Auto") && return maker(make_algorithm(stiff_member(options)))
    package == :Sundials && return sundials_algorithm(maker, word, options)
    keywords = Dict{Symbol, Any}()
    has_jacobian(word) && (keywords[:autodiff] = DIFFERENCES)
    PACKAGES[word] in FACTORED && (keywords[:linsolve] = FullSolver())
    # an age of one, its default, keeps the Jacobian of the step before where that was about as long
    word == "Rosenbrock23" && !haskey(options, "jacobian_age") && (keywords[:jac_reuse_gamma_tol] = -1.0)
    word in THREADED && (keywords[:threading] = false)
    package in TIGHT_EXPLICIT && (keywords[:thread] = Tight())
    startswith(word, "Rodas") && :stage_limiter! in fieldnames(maker) && (keywords[:stage_limiter!] = Tight())
    package == :OrdinaryDiffEqSDIRK && :smooth_est in fieldnames(maker) && (keywords[:smooth_est] = false)
    for (name, value) in options
        merge!(keywords, family_keywords(name, value, word))
    end
    return maker(; keywords...)
end
