"""Results folders side by side: what changed between runs, with intervals (`transferlens compare`)."""
