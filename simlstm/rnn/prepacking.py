"""A promise that weights stay as they are, for many small calls in a row."""

from collections.abc import Iterator
from contextlib import contextmanager

from simlstm.rnn.backends.native import prepacked as native
from simlstm.rnn.layer import LSTM
from simlstm.rnn.weights import DirectionWeights


@contextmanager
def prepacked(layer: LSTM) -> Iterator[None]:
    """Promise that a layer's weights stay as they are inside, so that each is brought into the kernels' order once.

    Otherwise every call does that anew, because no cache could see a write through ``parameter.data``; for one short
    sequence that is as much work as the rest. Values are the same, bit for bit. Where another backend runs, nothing
    happens::

        with torch.inference_mode(), prepacked(layer):
            for sentence in sentences:
                output, _ = layer(sentence)

    Args:
        layer: float32, on the CPU; others run as they would outside.

    Raises:
        RuntimeError: by a call inside, when the weights were changed in place and autograd's version counter tells. A
            write through ``parameter.data`` is not seen: it is what was promised not to happen.
    """
    layers = [
        [DirectionWeights.of(parameters) for parameters in layer._layer_weights(number)]
        for number in range(layer.num_layers)
    ]
    with native.keep(layers):
        yield
