"""The Evaluate, Compare and Sweep tabs: results files as pages."""
