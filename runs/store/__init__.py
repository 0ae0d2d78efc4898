"""A run on disk.

schema       tables, versions and migrations of a run file
records      rows of a run file as frozen values
decoding     validation of stored records
errors       exceptions of run files
lock         exclusive writer lock
rows         rows of a run file as values of the search
reader       read access to a run
opening      connection to a run file, and checks of its version
compatibility  whether this version can resume a run
stream       events of a campaign, for callbacks
writer       write access to a run
ledger       records of one search and proposals that wait for it, for its session
inbox        proposals as files in the run folder, until the search takes them up
environment  machine and package versions of a run
work         progress of `evaluate`, `select` and `simplify`
training_cache  training runs shared between commands
"""
