"""How settings are read.

settings       strict models: unknown keys are refused, all errors are reported at once
config_errors  errors in settings, with file, line and the nearest valid name
yaml_text      YAML as plain data with the line of every value
"""
