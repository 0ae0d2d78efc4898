"""A run on disk.

schema       tables, versions and migrations of a run file
records      rows as frozen values
decoding     validation of stored records
errors       what can be wrong with a run, in plain sentences
lock         one writer at a time
reader       everything that can be read from a run
writer       the run for its one writer
ledger       one search's part of a run file, as its session sees it
environment  the machine and versions that a run is made with
training_cache  training runs that are kept and shared between commands
"""
