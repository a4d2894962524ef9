"""The paper as tensors: schedule, steps, t-error, and every score made of the network's answers."""
