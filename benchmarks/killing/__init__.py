"""Jobs of a finished study, killed at drawn moments, and looked at."""
