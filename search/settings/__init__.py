"""Strict settings from YAML.

settings       strict models: unknown keys are rejected, all errors are reported at once
config_errors  error messages with file, line and the nearest valid name
yaml_text      YAML as plain data with the line of every value
task_names     names of tasks: which exist, and which a search may use
"""
