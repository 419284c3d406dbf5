"""What can be asked of the front door: one function a wish, on the ports alone; REST and Kafka both call them."""
