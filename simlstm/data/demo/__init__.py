"""The embedded bilingual demo corpus: sentences generated from meanings, pairs scored by those meanings."""

from simlstm.data.demo.corpus import demo_pairs

__all__ = ["demo_pairs"]
