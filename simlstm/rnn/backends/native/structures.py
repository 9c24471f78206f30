"""The structures of native.h, for ctypes, field by field."""

import ctypes
from ctypes import POINTER, Structure, c_int64, c_void_p


class Layout(Structure):
    """Sizes of a packed batch; letters in simlstm/rnn/README.md."""

    _fields_ = (
        ("threads", c_int64),
        ("directions", c_int64),
        ("steps", c_int64),
        ("rows", c_int64),
        ("sequences", c_int64),
        ("input_size", c_int64),
        ("hidden_size", c_int64),
        ("batch_sizes", POINTER(c_int64)),
    )


class DirectionPointers(Structure):
    """The weights of one direction."""

    _fields_ = (("w_ih", c_void_p), ("w_hh", c_void_p), ("b_ih", c_void_p), ("b_hh", c_void_p))


class ForwardCall(Structure):
    """One layer forward."""

    _fields_ = (
        ("layout", Layout),
        ("weights", DirectionPointers * 2),
        ("packed", c_void_p),
        ("x", c_void_p),
        ("x_stride", c_int64),
        ("h0", c_void_p),
        ("c0", c_void_p),
        ("y", c_void_p),
        ("hT", c_void_p),
        ("cT", c_void_p),
        ("gates", c_void_p),
        ("cells", c_void_p),
    )


class PackCall(Structure):
    """The weights of a layer, in the order in which the forward kernels read them."""

    _fields_ = (
        ("threads", c_int64),
        ("directions", c_int64),
        ("input_size", c_int64),
        ("hidden_size", c_int64),
        ("weights", DirectionPointers * 2),
        ("packed", c_void_p),
    )


class DirectionGradients(Structure):
    """Where the gradients of the weights of one direction go; None where none is wanted."""

    _fields_ = (("w_ih", c_void_p), ("w_hh", c_void_p), ("b_ih", c_void_p), ("b_hh", c_void_p))


class BackwardCall(Structure):
    """One layer backward."""

    _fields_ = (
        ("layout", Layout),
        ("weights", DirectionPointers * 2),
        ("gradients", DirectionGradients * 2),
        ("x", c_void_p),
        ("x_stride", c_int64),
        ("h0", c_void_p),
        ("c0", c_void_p),
        ("gates", c_void_p),
        ("cells", c_void_p),
        ("dy", c_void_p),
        ("dhT", c_void_p),
        ("dcT", c_void_p),
        ("d_gates", c_void_p),
        ("dx", c_void_p),
        ("dh0", c_void_p),
        ("dc0", c_void_p),
    )


class FrozenCall(Structure):
    """One layer of the frozen recurrence."""

    _fields_ = (
        ("layout", Layout),
        ("precision", c_int64),
        ("packed", c_void_p),
        ("table", c_void_p),
        ("ids", c_void_p),
        ("y", c_void_p),
        ("maximum", c_void_p),
        ("total", c_void_p),
        ("last", c_void_p),
    )


class FoldCall(Structure):
    """Rows through the input weights, into a table of gate pre-activations."""

    _fields_ = (
        ("threads", c_int64),
        ("directions", c_int64),
        ("rows", c_int64),
        ("input_size", c_int64),
        ("hidden_size", c_int64),
        ("precision", c_int64),
        ("weights", DirectionPointers * 2),
        ("x", c_void_p),
        ("x_stride", c_int64),
        ("table", c_void_p),
    )


SIGNATURES: dict[str, tuple[object, tuple[object, ...]]] = {
    "simlstm_sources": (ctypes.c_char_p, ()),
    "simlstm_sets": (c_int64, ()),
    "simlstm_name": (ctypes.c_char_p, (c_int64,)),
    "simlstm_lanes": (c_int64, (c_int64,)),
    "simlstm_runs_here": (ctypes.c_bool, (c_int64,)),
    "simlstm_describes": (ctypes.c_bool, (c_void_p, c_int64, c_int64)),
    "simlstm_pack": (ctypes.c_bool, (c_int64, POINTER(PackCall))),
    "simlstm_forward": (ctypes.c_bool, (c_int64, POINTER(ForwardCall))),
    "simlstm_backward": (ctypes.c_bool, (c_int64, POINTER(BackwardCall))),
    "simlstm_frozen_bytes": (c_int64, (c_int64, c_int64, c_int64)),
    "simlstm_frozen_pack": (None, (c_int64, c_void_p, c_int64, c_int64, c_void_p)),
    "simlstm_fold": (ctypes.c_bool, (c_int64, POINTER(FoldCall))),
    "simlstm_frozen": (ctypes.c_bool, (c_int64, POINTER(FrozenCall))),
}
