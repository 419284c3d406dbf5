"""What is there: the nodes of a pool as arrays, and the shape of a demand."""
