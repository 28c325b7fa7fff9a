"""Which source classes each model sees, and what their outputs say of each class."""
