"""Text: tokenizers and pretrained vectors."""

from simlstm.text.tokenizer import Tokenization, Tokenizer
from simlstm.text.vectors import VectorsError, WordVectors, initial_embedding, read_token_table, read_word_vectors

__all__ = [
    "Tokenization",
    "Tokenizer",
    "VectorsError",
    "WordVectors",
    "initial_embedding",
    "read_token_table",
    "read_word_vectors",
]
