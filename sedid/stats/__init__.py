"""What a number is worth: metrics, intervals, calibrated probabilities, early stopping, the choice of a pair."""
