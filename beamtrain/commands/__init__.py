"""One file for each command of `beamtrain`: its options, and the few lines that put the parts together."""
