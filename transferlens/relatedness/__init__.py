"""Task-relatedness: a bound of the loss after linear probing, from turning one task into another."""
