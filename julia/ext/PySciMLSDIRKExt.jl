"The SDIRK methods over our fixed types, compiled beforehand: their package loads at the first use of their words."
module PySciMLSDIRKExt

using OrdinaryDiffEqSDIRK: OrdinaryDiffEqSDIRK
using PrecompileTools: @compile_workload, @setup_workload
using PySciML: PySciML

@setup_workload begin
    @compile_workload begin
        PySciML.run_sample_solve("KenCarp4")
        PySciML.run_sample_solve("TRBDF2")
        PySciML.run_sample_model("KenCarp4", true)
        PySciML.run_sample_model("TRBDF2", true)
    end
    PySciML.forget_samples()
end

end
