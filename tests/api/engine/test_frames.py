"""Messages between server and worker, however the stream is cut."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from api.engine.frames import FrameReader, pack, split

HEADERS = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), st.integers(-9, 9), max_size=3)
MESSAGES = st.lists(st.tuples(HEADERS, st.binary(max_size=40)), max_size=5)


@given(MESSAGES, st.integers(1, 60))
def test_messages_arrive_whole_and_in_order(messages, size):
    stream = b"".join(pack(header, blob[:3], blob[3:]) for header, blob in messages)
    reader = FrameReader()
    arrived = []
    for start in range(0, len(stream), size):
        arrived += reader.feed(stream[start : start + size])
    assert arrived == messages


def test_a_blob_is_cut_into_its_arrays():
    parts = [np.arange(3, dtype="<f4"), np.empty(0, dtype="<f4"), np.ones(2, dtype="<f4")]
    (_, blob), *_ = FrameReader().feed(pack({}, *(part.tobytes() for part in parts)))
    cut = [np.frombuffer(part, dtype="<f4") for part in split(blob, [part.nbytes for part in parts])]
    assert all(np.array_equal(one, other) for one, other in zip(cut, parts, strict=True))
