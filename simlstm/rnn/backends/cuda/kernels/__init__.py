"""The CUDA kernels, in Triton; nothing here is imported before `triton` is known to be there."""
