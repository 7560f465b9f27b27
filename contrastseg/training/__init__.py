"""Training: an explicit loop, batched augmentation on the device, and runs that resume where they were killed."""
