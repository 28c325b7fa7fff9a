"""Detrimental memories: what a fine-tuned model still sees of its source classes, and what it does there."""
