"""Task-relatedness: a bound of the loss after linear probing, from turning a reference into the target."""
