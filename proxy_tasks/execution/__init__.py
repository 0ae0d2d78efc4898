"""Execution of programs inside the compiled training loop of a task.

batches        inputs of training runs, and gradients
loop           the training loop: checkpoints, hurdles, outcome
engine         the interpreter: one optimizer step of several programs, as data of the loop
instructions   instruction set of the interpreter
encoding       programs as arrays of instructions
script         instruction schedule of several runs
segments       the loop from checkpoint to checkpoint, for runs of costly tasks
snapshot       stored states of unfinished runs
compiled_loop  an optimizer compiled into its own loop
"""
