"""What the running kernel does to packets: a probe on the traced host, and what starts it and reads it."""
