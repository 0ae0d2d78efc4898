"""A run on disk.

schema       tables, versions and migrations of a run file
records      rows of a run file as frozen values
decoding     validation of stored records
errors       exceptions of run files
lock         exclusive writer lock
reader       read access to a run
writer       write access to a run
ledger       records of one search, for its session
environment  machine and package versions of a run
training_cache  training runs shared between commands
"""
