# Builds a system image: Julia's own, our package, and the solvers of the words that are used most. Arguments: the
# library to be made and a folder for its environment. Run by pysciml's `install-julia --image`.
#
# PackageCompiler takes an environment and compiles all of it. So one is written that holds our package and what that
# loads at its start, with the versions of the user's manifest, which nothing here resolves anew.

using TOML: TOML

const PACKAGES = ("PySciML", "OrdinaryDiffEqBDF", "OrdinaryDiffEqSDIRK", "CompilerSupportLibraries_jll")
const SETTINGS = ("LocalPreferences.toml", "JuliaLocalPreferences.toml")

say(stage) = (println("image: ", stage); flush(stdout))

"What a package in a manifest depends on, by name."
dependencies(entry) = (found = get(entry, "deps", String[])) isa Dict ? collect(keys(found)) : found

"""
The direct dependencies of our package that are loaded with it. Their caches are made here too, and without machine code:
an image can't take in what other libraries hold.
"""
function find_loaded(ours)
    script = "foreach(n -> Base.require(Base.identify_package(n)), $(repr(PACKAGES)))
              foreach(k -> println(\"has \", k.name), keys(Base.loaded_modules))"
    lines = readlines(`$(Base.julia_cmd()) --project=$(Base.active_project()) --startup-file=no --pkgimages=no -e $script`)
    return intersect(keys(ours["deps"]), [line[5:end] for line in lines if startswith(line, "has ")])
end

"Our package as a manifest tells it: what is loaded later may stay away."
function describe_package(ours, folder, loaded)
    later = setdiff(keys(ours["deps"]), loaded)
    choose(names) = Dict(name => ours["deps"][name] for name in names)
    return Dict(
        "uuid" => ours["uuid"], "version" => ours["version"], "path" => folder, "deps" => choose(loaded),
        "weakdeps" => merge(choose(later), get(ours, "weakdeps", Dict())), "extensions" => ours["extensions"]
    )
end

"The manifest's entries of our package and of all below it, good in another folder."
function choose_entries(entries, folder)
    uuids = Dict(name => first(found)["uuid"] for (name, found) in entries)
    chosen, todo = Dict{String, Any}(), collect(PACKAGES)
    while !isempty(todo)
        name = pop!(todo)
        haskey(chosen, name) && continue
        entry = first(entries[name])
        haskey(entry, "path") && (entry["path"] = normpath(joinpath(folder, entry["path"])))
        weak = get(entry, "weakdeps", nothing)
        weak isa Vector && (entry["weakdeps"] = Dict(n => uuids[n] for n in weak if haskey(uuids, n)))
        chosen[name] = [entry]
        append!(todo, dependencies(entry))
    end
    return chosen
end

write_toml(file, content) = open(io -> TOML.print(io, content; sorted = true), file, "w")

"An environment for PackageCompiler in `place`; how many packages it has."
function write_environment(place)
    source = dirname(dirname(Base.locate_package(Base.identify_package("PySciML"))))
    ours = TOML.parsefile(joinpath(source, "Project.toml"))
    project = Base.active_project()
    manifest_file = Base.project_file_manifest_path(project)
    manifest = TOML.parsefile(manifest_file)
    delete!(manifest, "project_hash")
    entries = manifest["deps"]
    entries["PySciML"] = [describe_package(ours, source, find_loaded(ours))]
    manifest["deps"] = choose_entries(entries, dirname(manifest_file))
    direct = Dict(name => first(entries[name])["uuid"] for name in PACKAGES)
    settings = get(TOML.parsefile(project), "preferences", Dict{String, Any}())
    rm(place; recursive = true, force = true)
    mkpath(place)
    write_toml(joinpath(place, "Manifest.toml"), manifest)
    write_toml(joinpath(place, "Project.toml"), Dict("deps" => direct, "preferences" => settings))
    for file in joinpath.(dirname(project), SETTINGS)
        isfile(file) && cp(file, joinpath(place, basename(file)))
    end
    return length(manifest["deps"])
end

"PackageCompiler from the user's environment, else from one of its own."
function load_compiler()
    if Base.identify_package("PackageCompiler") === nothing
        say("getting PackageCompiler")
        Pkg = Base.require(Base.PkgId(Base.UUID("44cfe95a-1eb2-52ea-b672-e2afdf69b78f"), "Pkg"))
        project = Base.active_project()
        Base.invokelatest(Pkg.activate, "pysciml-image"; shared = true)
        Base.invokelatest(Pkg.add, Pkg.PackageSpec(name = "PackageCompiler", version = "2"))
        pushfirst!(LOAD_PATH, Base.active_project())
        Base.invokelatest(Pkg.activate, project)
    end
    return Base.require(Base.identify_package("PackageCompiler"))
end

"An error unless Julia starts from the library and finds the packages in it."
function check_library(library)
    script = "issubset($(repr(PACKAGES)), [k.name for k in keys(Base.loaded_modules)]) || exit(1)"
    return run(`$(joinpath(Sys.BINDIR, Base.julia_exename())) --sysimage=$library --startup-file=no -e $script`)
end

"Say each minute how long it takes."
start_clock() = (start = time(); Timer(_ -> say("$(round(Int, (time() - start) / 60)) min so far"), 60; interval = 60))

function main(library, place)
    clock = start_clock()
    compiler = load_compiler()
    say("preparing our package and what it needs")
    count = write_environment(place)
    say("compiling Julia and $count packages into one library")
    Base.invokelatest(
        compiler.create_sysimage, collect(PACKAGES);
        sysimage_path = library, project = place, include_transitive_dependencies = false
    )
    check_library(library)
    close(clock)
    return println("made the image")
end

main(ARGS...)
