"""The command `optsearch`.

app          commands and entry point
comparing    `evaluate` and `select`
options      options shared by several commands
"""
