"""One router a resource; a route reads its input, calls a use case, and says how the answer looks."""
