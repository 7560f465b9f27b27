"""What a prediction is worth: scores per case, tests per patient, and the numbers papers printed."""
