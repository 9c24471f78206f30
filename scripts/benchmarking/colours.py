"""One colour for each name, the same in every plot."""

# Colours of Okabe and Ito, told apart by colour-blind readers, too.
_BLUE, _ORANGE, _GREEN, _GREY = "#0072b2", "#e69f00", "#009e73", "#999999"
_LIGHT_BLUE = "#56b4e9"  # theirs, too
COLOURS = {
    "simlstm": _BLUE,
    "torch packed": _ORANGE,
    "simlstm prepacked": _LIGHT_BLUE,
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
_VERMILION, _PURPLE = "#d55e00", "#cc79a7"
# For what has no colour of its own, in this order.
SERIES = (_BLUE, _ORANGE, _GREEN, _PURPLE, _VERMILION, _LIGHT_BLUE, _GREY)
