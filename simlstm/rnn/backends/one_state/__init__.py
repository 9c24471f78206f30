"""Layers whose steps hand on one state, h: gated (GRU) and plain (RNN) recurrences behind one layer function."""
