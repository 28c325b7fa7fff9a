"""One pass of every kept network over fixed probe images: Gram matrices of all layers, pooled features."""
