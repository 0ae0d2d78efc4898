"""The command `optsearch`.

app          commands and entry point
searching    `search`
following    `watch`
inspecting   `verify`, `show` and `report`
distilling   `simplify` and `export`
comparing    `evaluate` and `select`
proposing    `propose`
listing      `runs`, `tasks`, `functions`, `library` and `campaigns`
diagnosing   `doctor`
help         help of commands
options      options shared by several commands
json_values  JSON of runs, programs and studies over seeds
json_selections  JSON of funnels and evaluations
json_report  JSON of `report`
json_rows    JSON of runs, tasks, functions, library programs, campaigns and machines
json_forms/  keys of all these with their descriptions, for the reference and for tests
exit_codes   exit codes of all commands
"""
