"""Counterfactual retraining: the full source without some classes, and what the target loses or gains."""
