"""simlstm: the semantic-similarity baseline, a Siamese bidirectional LSTM with its own recurrent layer.

Names load on first use, so that ``import simlstm.rnn`` needs torch and nothing else.
"""

from typing import TYPE_CHECKING

from simlstm.version import __version__

if TYPE_CHECKING:
    from simlstm.models.similarity import SimilarityModel

__all__ = ["SimilarityModel", "__version__"]


def __getattr__(name: str) -> object:
    """Load ``SimilarityModel`` when it is first asked for (PEP 562)."""
    if name == "SimilarityModel":
        from simlstm.models.similarity import SimilarityModel

        return SimilarityModel
    raise AttributeError(f"module 'simlstm' has no attribute {name!r}")
