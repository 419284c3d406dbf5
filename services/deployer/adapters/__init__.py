"""One technology a file; only `bootstrap` imports them."""
