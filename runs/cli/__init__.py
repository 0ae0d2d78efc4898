"""The command `optsearch`.

app          commands and entry point
comparing    `evaluate` and `select`
listing      `runs`, `tasks`, `functions`, `library` and `campaigns`
diagnosing   `doctor`
following    `watch` for the work of other commands
help         help of commands
options      options shared by several commands
json_values  JSON of runs, programs and studies over seeds
json_selections  JSON of funnels and evaluations
json_report  JSON of `report`
json_rows    JSON of runs, tasks, functions, library programs, campaigns and machines
"""
