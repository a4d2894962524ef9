"""Charts: typed series in, SVG out that page, report, print and a download share; no script is needed to read one."""
