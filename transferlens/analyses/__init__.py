"""What influences show: subpopulations, failures, leaking and misleading images, small targets."""
