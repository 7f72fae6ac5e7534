# Packages that are loaded where they are needed only, and may be missing: those of our `[weakdeps]`, CUDA, and
# JLArrays, which stand for a GPU's in tests.

identify(name, uuid) = name => Base.PkgId(Base.UUID(uuid), name)

const OPTIONAL = Dict(
    identify("CUDA", "052768ef-5323-5732-b1bb-66c8b64840ba"),
    identify("JLArrays", "27aeb0d3-9eb9-45fb-866b-73c2ecf80fcb"),
    identify("KernelAbstractions", "63c18a36-062a-441e-b654-da1e3ab1ce7c"),
    identify("SymbolicRegression", "8254be44-1295-4e6a-a16d-46603ac705cb"),
)

"Packages for which an extension of ours holds compiled code."
const EXTENSIONS = (
    OrdinaryDiffEqBDF = "PySciMLBDFExt", OrdinaryDiffEqSDIRK = "PySciMLSDIRKExt", SymbolicRegression = "PySciMLSymbolicExt",
)

"Say what takes so long where a package comes for the first time since an update."
function announce(package)
    haskey(EXTENSIONS, package) || return nothing
    name = EXTENSIONS[package]
    id = Base.PkgId(Base.uuid5(Base.PkgId(@__MODULE__).uuid, name), name)
    haskey(Base.loaded_modules, id) && return nothing
    is_there = Base.isprecompiled(id; sourcepath = joinpath(pkgdir(@__MODULE__), "ext", name * ".jl"))
    is_there || println(stderr, "pysciml: compiling $package, once after an installation or update; takes a minute or two")
    return nothing
end

"Load a package by `require`: nothing, or why it can't be had."
function try_load(require, package)
    try
        announce(Symbol(package))
        require()
    catch error
        return "the Julia package $package can't be loaded: " * strip(first(split(sprint(showerror, error), '\n')), ':')
    end
    return ""
end

"""
    load_package(name)

Load one of the `OPTIONAL` packages: nothing, or why it can't be had. Its methods are seen by the calls after this one.
"""
function load_package(name)
    id = OPTIONAL[string(name)]
    Base.locate_package(id) === nothing && return "the Julia package $name is not in the project $(Base.active_project())"
    return try_load(() -> Base.require(id), name)
end

"What a device needs: the module CUDA for \"gpu\", else its stand-in on the CPU; or why it can't be had, as a text."
function load_for_device(word, stand_in)
    name = word == "gpu" ? "CUDA" : stand_in
    reason = load_package(name)
    isempty(reason) || return reason
    found = Base.loaded_modules[OPTIONAL[name]]
    word == "gpu" && !Base.invokelatest(found.functional) && return "CUDA.jl finds no GPU that works on this machine"
    return found
end
