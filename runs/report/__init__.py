"""Runs as one self-contained HTML file.

html         the page
findings     the content of the page, read from a run
selections   funnels and evaluations of a run
explain      one program: cost, behaviour, formula
chart        a chart as data; render draws it as SVG, PDF and CSV
search_charts, selection_charts, stage_charts  the charts, by what they show
page/        template, style and script
"""
