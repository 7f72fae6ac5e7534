"The multistep methods over our fixed types, compiled beforehand: their package loads at the first use of their words."
module PySciMLBDFExt

using OrdinaryDiffEqBDF: OrdinaryDiffEqBDF
using PrecompileTools: @compile_workload, @setup_workload
using PySciML: PySciML

@setup_workload begin
    @compile_workload begin
        PySciML.run_sample_solve("FBDF")
        PySciML.run_sample_solve("QNDF")
        PySciML.run_sample_model("FBDF", false)
        PySciML.run_sample_model("FBDF", true)
        PySciML.run_sample_model("QNDF", true)
    end
    PySciML.forget_samples()
end

end
