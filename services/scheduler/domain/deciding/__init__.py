"""One request, decided: placed, queued or refused, and why, in fields and in words."""
