"""Text: tokenizers and pretrained vectors."""

from simlstm.text.tokenizer import Tokenization, Tokenizer

__all__ = ["Tokenization", "Tokenizer"]
