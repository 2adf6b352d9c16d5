"""How long a test waits for another process before it takes it to hang: no test depends on the machine's speed."""

PATIENCE = 600  # seconds; the longest takes less than a tenth of it
