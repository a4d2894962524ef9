"""From photographs to a calibrated detector, each step a generator.

Each loop yields small frozen progress records. A script, a test and the page consume the same loop; to stop one, do not ask
for its next record.
"""
