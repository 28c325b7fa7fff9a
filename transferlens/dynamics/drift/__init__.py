"""Which source class moves which layer, and when."""
