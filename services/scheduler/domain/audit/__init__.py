"""What a pool says, and the same said once more from its log."""
