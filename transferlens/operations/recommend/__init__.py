"""Which recipe for a folder of images and a checkpoint: an ordinary study, composed, run and told."""
