"""Reports of runs as one self-contained HTML file.

html         generation of the page
section      the part of the page about one run
findings     content of the page, read from a run
identical    copies of a run
selections   funnels and evaluations of a run
explain      explanation of one program: cost, behaviour, formula
chart        chart specifications; render writes them as SVG, PDF and CSV
final_charts, front_chart, search_charts, selection_charts, stage_charts, tuning_charts  the charts by subject
page/        template, style and script
"""
