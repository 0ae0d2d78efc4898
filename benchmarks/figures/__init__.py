"""The figures of `benchmarks/accelerator.py`: each module yields names of figures and the calls that measure them.

plan         what is measured, and the protocol between the script and the processes that measure
batched      batches of candidates, their gradients, and one core of the CPU
agreement    fitness on this device, for comparison with the CPU and with itself
compiled     compiled programs on the largest rungs
torch_steps  exported PyTorch optimizers beside those of PyTorch
sharing      two workers that share a device
gpt          a language model of 10 million parameters
"""
