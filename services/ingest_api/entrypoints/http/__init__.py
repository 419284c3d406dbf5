"""REST: the app, its conventions (problems, credentials, idempotency, pages), one router a resource."""
