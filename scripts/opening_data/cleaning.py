"""What a text must look like to be kept: NFC, one line, nothing invisible, neither empty nor endless."""

import re
import unicodedata

MAX_WORDS = 64
MAX_CHARACTERS = 90
HAN = "\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # ideographs, for a class of characters

_INVISIBLE = {"Cc", "Cf", "Co", "Cs"}  # control, format, private use, surrogate
_HAN = re.compile(f"[{HAN}]")


def clean(text: str) -> str:
    """Return a text in NFC, with single spaces for all white space and nothing invisible."""
    if not text.isprintable():
        text = "".join(character for character in text if _is_visible(character))
    return unicodedata.normalize("NFC", " ".join(text.split()))


def _is_visible(character: str) -> bool:
    return character.isspace() or unicodedata.category(character) not in _INVISIBLE


def is_english(text: str, *, min_words: int = 1, max_words: int = MAX_WORDS) -> bool:
    """Tell whether a clean text has so many words, and a letter or digit in them."""
    return min_words <= len(text.split()) <= max_words and any(map(str.isalnum, text))


def is_chinese(text: str) -> bool:
    """Tell whether a clean text has a Chinese character and at most 90 characters of any kind."""
    return len(text) <= MAX_CHARACTERS and _HAN.search(text) is not None
