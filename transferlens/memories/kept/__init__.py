"""What a fine-tuned model still recognises of its source, and what that is bound to."""
