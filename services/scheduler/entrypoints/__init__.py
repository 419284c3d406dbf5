"""What a scheduler process runs beside the consumer and the relay: the owner of each pool."""
