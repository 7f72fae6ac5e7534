"""Words of the OrdinaryDiffEq family that are not offered, and why."""

_REASONS = {
    "it solves du/dt = f1 + f2 in two parts, which a model is not split into": (
        "SplitEuler IMEXEuler IMEXEulerARK SBDF SBDF2 SBDF3 SBDF4 CNAB2 CNLF2 IRKC LawsonEuler NorsettEuler ETD1 ETD2 "
        "ETDRK2 ETDRK3 ETDRK4 HochOst4"
    ),
    "it solves second-order equations; a model is of first order": (
        "Nystrom4 FineRKN4 FineRKN5 Nystrom4VelocityIndependent Nystrom5VelocityIndependent IRKN3 IRKN4 DPRKN4 DPRKN5 "
        "DPRKN6 DPRKN6FM DPRKN8 DPRKN12 ERKN4 ERKN5 ERKN7 RKN4 SymplecticEuler VelocityVerlet VerletLeapfrog "
        "LeapfrogDriftKickDrift PseudoVerletLeapfrog McAte2 Ruth3 McAte3 CandyRoz4 McAte4 McAte42 McAte5 CalvoSanz4 "
        "Yoshida6 KahanLi6 McAte8 KahanLi8 SofSpa10"
    ),
    "it solves linear equations only, given by their matrix": (
        "MagnusMidpoint LinearExponential MagnusLeapfrog LieEuler CayleyEuler MagnusGauss4 MagnusNC6 MagnusGL6 "
        "MagnusGL8 MagnusNC8 MagnusGL4 MagnusAdapt4 RKMK2 RKMK4 LieRK4 CG2 CG3 CG4a"
    ),
    "it solves equations in residual form; for algebraic equations use a mass matrix": (
        "DABDF2 DImplicitEuler DFBDF IDA"
    ),
    "it steps maps, not differential equations": "FunctionMap",
    "it needs a tableau": "HybridExplicitImplicitRK",
    "in SciML's present release it gives up on smooth problems": "AdaptiveRadau",
    "in SciML's present release its error does not fall as its order says": (
        "RKV76IIa AN5 JVODE JVODE_Adams JVODE_BDF EPIRK5s3 SHLDDRK64 HSLDDRK64 SHLDDRK_2N CKLLSRK95_4C"
    ),
}
LEFT_OUT: dict[str, str] = {word: reason for reason, words in _REASONS.items() for word in words.split()}
VJPS_LEFT_OUT: dict[str, str] = {
    "Zygote": "it can't differentiate a function that writes into arrays, as the printed model does",
    "Enzyme": "it has not been tried with this package",
}
