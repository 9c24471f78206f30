"""The native backend: kernels in C++ for the CPU, chosen by instruction set at run time.

``library.py`` loads them, ``lstm.py`` runs a layer in them; the C++ files start at native.h.
"""

from simlstm.rnn.backends.native.library import forced, instruction_set, kernels, runnable

__all__ = ["forced", "instruction_set", "kernels", "runnable"]
