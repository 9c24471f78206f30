"""The layer on CUDA: one launch for all steps and both directions, in Triton. README.md says how.

Importing this package needs nothing; what it holds is imported when :func:`simlstm.rnn.backends.cuda.presence.reason`
finds nothing in the way.
"""
