"""What a deployer process runs: the owners' loops."""
