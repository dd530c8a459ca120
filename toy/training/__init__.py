"""Training the toy: one step, one run, run directories, sweeps over configurations and how long their seeds take."""
