"""Long-running work as generators: each loop yields small frozen progress records.

A script, a test and the page consume the same loop; to stop one, do not ask for its next record.
"""
