"""Apache Kafka: one KRaft node, broker and controller in one. `jars.py` gets the program, `broker.py` runs it."""
