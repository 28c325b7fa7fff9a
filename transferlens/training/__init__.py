"""Training source models, adapting them to targets, and what is recorded of the outcome."""
