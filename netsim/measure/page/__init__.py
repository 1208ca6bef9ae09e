"""The report as one HTML page: `report.html` of a result folder.

Self-contained: styles, script and drawings are in the page, nothing is fetched. `document` puts a page together,
`run_sections` and `compare_sections` say what is on it, `chart_*` draw, `markup` and `svg` are the tools. Called by
`experiment.report`.
"""
