"""The published placement experiment: a trace of pods, a list of nodes, a policy, and how much of the GPUs it fills."""
