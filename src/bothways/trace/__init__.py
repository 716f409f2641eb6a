"""What the running kernel does to packets: a probe that runs on the traced host, and what starts it and reads it."""
