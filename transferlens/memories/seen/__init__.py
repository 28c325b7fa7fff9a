"""Whether what source classes do is a memory of them: models that saw a class against those that did not."""
