"""What metering knows: who may report, what is counted into which total, when a limit is passed. Pure."""
