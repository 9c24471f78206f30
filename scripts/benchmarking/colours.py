"""One colour for each name, the same in every plot."""

# Blue, orange, green, grey of Okabe and Ito, told apart by colour-blind readers, too.
_BLUE, _ORANGE, _GREEN, _GREY = "#0072b2", "#e69f00", "#009e73", "#999999"
COLOURS = {
    "simlstm": _BLUE,
    "torch packed": _ORANGE,
    "torch padded": _GREEN,
    "ONNX Runtime": _GREY,
    "float32": _BLUE,
    "bfloat16": _ORANGE,
    "int8": _GREEN,
    "collate": _GREY,
    "forward": _BLUE,
    "backward": _ORANGE,
    "update": _GREEN,
}
