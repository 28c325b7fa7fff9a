"""What is measured of the adapted models: forgetting, retention, calibration, robustness, cost."""
