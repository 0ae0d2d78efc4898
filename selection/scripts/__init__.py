"""Training scripts of the user as targets: each training run is a process of its own.

contract     version 1 of the contract: variables that a script receives, and the reports that it prints
script       a script with its budget, its resources and the identity of its results
sources      files that decide what a command computes
interpreter  packages of the interpreter that runs a script, and the optimizers of its torch
execution    one training run: starts a script under supervision and maps what it does to a result
supervisor   runs a command as a process group with a time limit and a bounded log; standard library alone
probe        describes an interpreter, which runs it as a program; standard library and torch alone
"""
