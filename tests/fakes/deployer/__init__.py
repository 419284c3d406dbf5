"""In-memory adapters of the deployer's ports; they pass the same contract tests as the real ones."""
