"""The catalogue of time-stepping methods: SciML's words, their orders, what they can do and where they come from.

One row a method: word, order (the highest one of a method of varying order), flags, key of its reference.

====  ==================================================================================================
flag  meaning
====  ==================================================================================================
``f``  fixed steps only: it has no error estimate, or one that SciML's release does not use as published
``v``  no fixed steps: its order varies, or it is Sundials'
``s``  steps end on the save times, since what it has between its steps is less accurate than the steps
``c``  steps of one length throughout: no stop times
``m``  takes mass matrices, singular ones included (some Rosenbrock methods fail where an algebraic equation holds t)
``a``  keeps its order only where the right-hand side does not depend on time
====  ==================================================================================================

Flags and orders are what was measured with the releases of ``julia/Project.toml``: ``tests/golden/algorithms.json``.
"""

from dataclasses import dataclass

from .references import REFERENCES

_FAMILIES = (
    ("OrdinaryDiffEqTsit5", "non-stiff", "Tsit5 5 - tsitouras_2011"),
    ("OrdinaryDiffEqTsit5", "unknown stiffness", "AutoTsit5 5 v tsitouras_2011"),
    ("OrdinaryDiffEqVerner", "non-stiff, tight tolerances", """
        Vern6 6 - verner_2010
        Vern7 7 - verner_2010
        Vern8 8 - verner_2010
        Vern9 9 - verner_2010
"""),
    ("OrdinaryDiffEqVerner", "unknown stiffness, tight tolerances", """
        AutoVern6 6 v verner_2010
        AutoVern7 7 v verner_2010
        AutoVern8 8 v verner_2010
        AutoVern9 9 v verner_2010"""),
    ("OrdinaryDiffEqLowOrderRK", "non-stiff", """
        Euler 1 f hairer_1993
        Heun 2 - hairer_1993
        Ralston 2 - hairer_1993
        Midpoint 2 - hairer_1993
        RK4 4 - shampine_2005
        BS3 3 - bogacki_1989
        OwrenZen3 3 - owren_1992
        OwrenZen4 4 - owren_1992
        OwrenZen5 5 - owren_1992
        BS5 5 - bogacki_1996
        DP5 5 - dormand_1980
        MSRK5 5 fs stepanov_2022
        MSRK6 6 fs stepanov_2022
        Stepanov5 5 s stepanov_2021
        Alshina2 2 f alshina_2008
        Alshina3 3 f alshina_2008
        Alshina6 6 fs alshina_2008
        Ralston4 4 f ralston_1962
        RKO65 5 fs tsitouras_2019
        SIR54 5 fs kovalnogov_2020"""),
    ("OrdinaryDiffEqLowOrderRK", "unknown stiffness", "AutoDP5 5 v dormand_1980"),
    ("OrdinaryDiffEqLowOrderRK", "oscillations of a known frequency", """
        Anas5 2 f anastassi_2005
        FRK65 6 fs medvedev_2018"""),
    ("OrdinaryDiffEqLowOrderRK", "hyperbolic partial differential equations, pseudospectral", "RKM 3 f mead_1999"),
    ("OrdinaryDiffEqLowOrderRK", "long runs of Hamiltonian systems, nearly symplectic", """
        PSRK4p7q6 4 f capuano_2017
        PSRK3p5q4 3 f capuano_2017
        PSRK3p6q5 3 f capuano_2017"""),
    ("OrdinaryDiffEqHighOrderRK", "non-stiff, tight tolerances", """
        TanYam7 7 s tanaka_1992
        DP8 8 - hairer_1993
        PFRK87 8 fs tsitouras_2017
        TsitPap8 8 s tsitouras_1999"""),
    ("OrdinaryDiffEqFeagin", "non-stiff, very tight tolerances", """
        Feagin10 10 s feagin_2012
        Feagin12 12 s feagin_2012
        Feagin14 14 s feagin_2009"""),
    ("OrdinaryDiffEqQPRK", "non-stiff, very tight tolerances", "QPRK98 9 s kovalnogov_2023"),
    ("OrdinaryDiffEqPRK", "non-stiff", "KuttaPRK2p5 5 fs jackson_1995"),
    ("OrdinaryDiffEqExplicitRK", "non-stiff, from a tableau", "ExplicitRK 5 s dormand_1980"),
    ("OrdinaryDiffEqAdamsBashforthMoulton", "non-stiff, costly right-hand sides", """
        AB3 3 fc hairer_1993
        AB4 4 fc hairer_1993
        AB5 5 fc hairer_1993
        ABM32 3 fc hairer_1993
        ABM43 4 fc hairer_1993
        ABM54 5 fc hairer_1993
        VCAB3 3 - hairer_1993
        VCAB4 4 - hairer_1993
        VCAB5 5 - hairer_1993
        VCABM3 3 - hairer_1993
        VCABM4 4 - hairer_1993
        VCABM5 5 s hairer_1993
        VCABM 12 v hairer_1993"""),
    ("OrdinaryDiffEqSSPRK", "hyperbolic partial differential equations, strong stability preserving", """
        SSPRK22 2 f shu_1988_osher
        SSPRK33 3 f shu_1988_osher
        SSPRK43 3 - kraaijevanger_1991
        SSPRK432 3 - gottlieb_2011
        SSPRK53 3 f ruuth_2006
        SSPRK53_2N1 3 f higueras_2018
        SSPRK53_2N2 3 f higueras_2018
        SSPRK53_H 3 f higueras_2018
        SSPRK54 4 f ruuth_2006
        SSPRK63 3 f ruuth_2006
        SSPRK73 3 f ruuth_2006
        SSPRK83 3 f ruuth_2006
        SSPRK932 3 f gottlieb_2011
        SSPRK104 4 f ketcheson_2008
        pRRK22 2 f liu_2023
        pRRK33 3 f liu_2023
        pRRK54 4 f liu_2023
        SSPRKMSVS32 2 fc shu_1988
        SSPRKMSVS43 2 fc shu_1988
        KYKSSPRK42 2 f kubatko_2014
        KYK2014DGSSPRK_3S2 2 f kubatko_2014"""),
    ("OrdinaryDiffEqLowStorageRK", "wave propagation and acoustics, little memory", """
        ORK256 2 f bernardini_2009
        CarpenterKennedy2N54 4 f carpenter_1994
        DGLDDRK73_C 3 f toulorge_2012
        DGLDDRK84_C 4 f toulorge_2012
        DGLDDRK84_F 4 f toulorge_2012
        NDBLSRK124 4 f niegemann_2012
        NDBLSRK134 4 f niegemann_2012
        NDBLSRK144 4 f niegemann_2012
        CFRLDDRK64 4 f calvo_2004
        TSLDDRK74 4 f tselios_2007
        RK46NL 4 f berland_2006
        SHLDDRK52 2 f stanescu_1998
        ParsaniKetchesonDeconinck3S32 2 f parsani_2013
        ParsaniKetchesonDeconinck3S82 2 f parsani_2013
        ParsaniKetchesonDeconinck3S53 3 f parsani_2013
        ParsaniKetchesonDeconinck3S173 3 f parsani_2013
        ParsaniKetchesonDeconinck3S94 4 f parsani_2013
        ParsaniKetchesonDeconinck3S184 4 f parsani_2013
        ParsaniKetchesonDeconinck3S105 5 fs parsani_2013
        ParsaniKetchesonDeconinck3S205 5 fs parsani_2013"""),
    ("OrdinaryDiffEqLowStorageRK", "compressible flow, little memory", """
        CKLLSRK43_2 3 - kennedy_2000
        CKLLSRK54_3C 4 a kennedy_2000
        CKLLSRK54_3C_3R 4 - kennedy_2000
        CKLLSRK54_3M_3R 4 - kennedy_2000
        CKLLSRK54_3N_3R 4 - kennedy_2000
        CKLLSRK54_3N_4R 4 - kennedy_2000
        CKLLSRK54_3M_4R 4 - kennedy_2000
        CKLLSRK65_4M_4R 5 s kennedy_2000
        CKLLSRK75_4M_5R 5 s kennedy_2000
        CKLLSRK85_4C_3R 5 s kennedy_2000
        CKLLSRK85_4M_3R 5 s kennedy_2000
        CKLLSRK85_4P_3R 5 s kennedy_2000
        CKLLSRK85_4FM_4R 5 fs kennedy_2000
        CKLLSRK95_4S 5 s kennedy_2000
        CKLLSRK95_4M 5 s kennedy_2000
        RDPK3Sp35 3 - ranocha_2021
        RDPK3SpFSAL35 3 - ranocha_2021
        RDPK3Sp49 4 - ranocha_2021
        RDPK3SpFSAL49 4 - ranocha_2021
        RDPK3Sp510 5 s ranocha_2021
        RDPK3SpFSAL510 5 s ranocha_2021"""),
    ("OrdinaryDiffEqStabilizedRK", "parabolic partial differential equations, no Jacobian", """
        ROCK2 2 - abdulle_2001
        ROCK4 4 - abdulle_2002
        RKC 2 - sommeijer_1998
        ESERK4 4 - martin_2016
        ESERK5 5 s martin_2019
        SERK2 2 v kleefeld_2013
        TSRKC3 3 - moisa_2025"""),
    ("OrdinaryDiffEqExtrapolation", "non-stiff, very tight tolerances", """
        AitkenNeville 12 vs hairer_1993
        ExtrapolationMidpointDeuflhard 20 vs hairer_1993
        ExtrapolationMidpointHairerWanner 20 vs hairer_1993"""),
    ("OrdinaryDiffEqExtrapolation", "stiff, very tight tolerances", """
        ImplicitEulerExtrapolation 12 vs hairer_1996
        ImplicitDeuflhardExtrapolation 20 vs hairer_1996
        ImplicitHairerWannerExtrapolation 20 vs hairer_1996
        ImplicitEulerBarycentricExtrapolation 12 vs hairer_1996"""),
    ("OrdinaryDiffEqExponentialRK", "stiff and large, by exponentials of the Jacobian", """
        Exp4 4 fa hochbruck_1998
        EPIRK4s3A 4 fa rainwater_2016
        EPIRK4s3B 4 fa rainwater_2016
        EXPRB53s3 5 fas rainwater_2016
        EPIRK5P1 5 fas tokman_2012
        EPIRK5P2 5 fas tokman_2012
        Exprb32 3 a hochbruck_2010
        Exprb43 4 a hochbruck_2010"""),
    ("OrdinaryDiffEqRosenbrock", "stiff", """
        Rosenbrock23 2 m shampine_1997
        Rosenbrock32 3 a shampine_1997
        Rodas23W 2 m steinebach_2024
        ROS2 2 m verwer_1999
        ROS2PR 2 m rang_2014
        ROS2S 2 m rang_2014
        ROS3 3 m hairer_1996
        ROS3P 3 m lang_2001
        ROS3PR 3 m rang_2014
        ROS3PRL 3 m rang_2014
        ROS3PRL2 3 m rang_2014
        Rodas3 3 m sandu_1997
        Rodas3P 3 m steinebach_2024
        Scholz4_7 3 m rang_2014
        ROS34PW1a 3 m rang_2005
        ROS34PW1b 3 m rang_2005
        ROS34PW2 3 m rang_2005
        ROS34PW3 4 m rang_2005
        ROS34PRw 3 m rang_2015
        RosShamp4 4 - shampine_1982
        Veldd4 4 - veldhuizen_1984
        Velds4 4 - veldhuizen_1984
        GRK4T 4 - kaps_1979
        GRK4A 4 m kaps_1979
        Ros4LStab 4 - hairer_1996
        Rodas4 4 m hairer_1996
        Rodas42 4 m hairer_1996
        Rodas4P 4 m steinebach_2001
        Rodas4P2 4 m steinebach_2020
        RosenbrockW6S4OS 4 fm rahunanthan_2010
        ROK4a 4 - tranquilli_2014
        Rodas5 5 m dimarzo_1993
        Rodas5P 5 m steinebach_2023
        Rodas5Pe 5 m steinebach_2024
        Rodas5Pr 5 m steinebach_2024
        Rodas6P 6 m steinebach_2025"""),
    ("OrdinaryDiffEqRosenbrock", "algebraic equations beside non-stiff ones", "Tsit5DA 5 ma steinebach_2025"),
    ("OrdinaryDiffEqSDIRK", "stiff", """
        ImplicitEuler 1 m hairer_1996
        ImplicitMidpoint 2 f hairer_1996
        Trapezoid 2 m vladimirescu_1994
        TRBDF2 2 - hosea_1996
        SDIRK2 2 a hindmarsh_2005
        SDIRK22 2 - kennedy_2016
        SSPSDIRK2 2 fa ketcheson_2009
        Kvaerno3 3 a kvaerno_2004
        KenCarp3 3 - kennedy_2003
        CFNLIRK3 3 f calvo_2001
        Cash4 4 s hindmarsh_2005
        Hairer4 4 s hairer_1996
        Hairer42 4 s hairer_1996
        Kvaerno4 4 sa kvaerno_2004
        KenCarp4 4 s kennedy_2003
        KenCarp47 4 s kennedy_2019_additive
        SFSDIRK4 4 f ferracina_2008
        ESDIRK436L2SA2 4 s kennedy_2019
        ESDIRK437L2SA 4 s kennedy_2019
        SFSDIRK5 4 f ferracina_2008
        Kvaerno5 5 sa kvaerno_2004
        KenCarp5 5 s kennedy_2003
        KenCarp58 5 s kennedy_2019_additive
        ESDIRK54I8L2SA 5 s kennedy_2019
        ESDIRK547L2SA2 5 sa kennedy_2019
        SFSDIRK6 4 f ferracina_2008
        ESDIRK659L2SA 6 fs kennedy_2019
        SFSDIRK7 4 f ferracina_2008
        SFSDIRK8 4 f ferracina_2008"""),
    ("OrdinaryDiffEqFIRK", "stiff, tight tolerances", """
        RadauIIA3 3 m hairer_1999
        RadauIIA5 5 ms hairer_1999
        RadauIIA9 9 s hairer_1999"""),
    ("OrdinaryDiffEqPDIRK", "stiff", "PDIRK44 4 f iserles_1990"),
    ("OrdinaryDiffEqBDF", "stiff and large", """
        ABDF2 2 m celaya_2014
        QNDF1 1 m shampine_1997
        QBDF1 1 m shampine_1997
        QNDF2 2 m shampine_1997
        QBDF2 2 m shampine_1997
        QNDF 5 vm shampine_1997
        QBDF 5 vm shampine_1997
        FBDF 5 vm shampine_2002
        MEBDF2 2 f cash_2000"""),
    ("Sundials", "non-stiff, costly right-hand sides", "CVODE_Adams 12 v hindmarsh_2005"),
    ("Sundials", "stiff and large", """
        CVODE_BDF 5 v hindmarsh_2005
        ARKODE 5 v reynolds_2023"""),
)  # fmt: skip

_NEWTON = ("Rosenbrock", "SDIRK", "FIRK", "PDIRK", "BDF", "ExponentialRK")


@dataclass(frozen=True)
class Method:
    """A time-stepping method: SciML's word for it, order, kind, and where it comes from."""

    word: str
    order: int
    flags: str
    package: str
    purpose: str
    reference: str

    @property
    def is_adaptive(self) -> bool:
        """Whether it chooses its steps."""
        return "f" not in self.flags

    @property
    def has_fixed_steps(self) -> bool:
        """Whether it can be run at steps of a given length."""
        return "v" not in self.flags

    @property
    def is_continuous(self) -> bool:
        """Whether it is between its steps as accurate as on them."""
        return "s" not in self.flags

    @property
    def takes_mass_matrix(self) -> bool:
        """Whether it solves M du/dt = f for a singular M."""
        return "m" in self.flags

    @property
    def has_jacobian(self) -> bool:
        """Whether it solves equations with the Jacobian."""
        family = self.package.removeprefix("OrdinaryDiffEq")
        return family in _NEWTON or self.word.startswith("Implicit")

    @property
    def is_stiff(self) -> bool:
        """Whether it is a method for stiff problems."""
        return self.has_jacobian or self.word in ("CVODE_BDF", "ARKODE")


def _read_rows():
    for package, purpose, text in _FAMILIES:
        for row in text.strip().splitlines():
            word, order, flags, key = row.split()
            yield Method(word, int(order), flags.replace("-", ""), package, purpose, REFERENCES[key])


METHODS: dict[str, Method] = {row.word: row for row in _read_rows()}
