"""The contract of Taxiway: event models, envelope, signatures and topics as code. No I/O; imports no service."""
