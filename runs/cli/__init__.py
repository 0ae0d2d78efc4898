"""The command `optsearch`.

app          commands and entry point
comparing    `evaluate` and `select`
options      options that several commands share
"""
