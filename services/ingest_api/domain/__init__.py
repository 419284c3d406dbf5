"""Pure rules of the front door: who may, what is admitted, what a request means, what the read model says."""
