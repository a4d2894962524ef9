"""Chains of steps that resume: from a data set, or a training run, to a measured detector."""
