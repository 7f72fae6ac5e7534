"""The Julia engine: Programs printed as Julia text, solved and fitted by the SciML stack."""
