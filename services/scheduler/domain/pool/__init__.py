"""What a pool's owner knows: who holds what, who waits, what is kept for whom, and what each tenant may hold."""
