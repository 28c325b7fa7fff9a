"""Single units of a layer while it is fine-tuned: where they look, what excites them, when they die."""
