"""Pages of the documentation that are generated from the code, so that they cannot drift from it.

    python -m optsearch.runs.reference docs

writes ``reference-commands.md``, ``reference-settings.md``, ``reference-tasks.md`` and ``reference-json.md``. A test
checks that they are up to date.

__main__    writes the pages
pages       all pages by file name
commands    commands with arguments and options, and exit codes
settings    keys of campaigns and funnels, mutations, algorithms and controls
catalogs    tasks and baselines
json_keys   keys of the output of `--json`
forms       keys of JSON objects from their forms
documented  descriptions of fields from docstrings
markdown    tables and text in Markdown
"""
