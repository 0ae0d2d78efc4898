"""What the commands print.

tables          consoles, tables, errors
search_view     the live view of a search
training_view   the live view of `evaluate`, `select` and `simplify`
watch           a run seen from another shell
comparison_view results of `evaluate` and `select`
discovery_view  what is known of a discovered program
"""
