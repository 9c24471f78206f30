"""The collections that the recipes of the shipped checkpoints read."""

from scripts.opening_data.cedict import read_glosses
from scripts.opening_data.clinc150 import read_queries
from scripts.opening_data.collection import Collection
from scripts.opening_data.dialogues import read_utterances
from scripts.opening_data.plain_text import read_sentences
from scripts.opening_data.tatoeba import read_annotated, read_english, read_pairs
from scripts.opening_data.translation_memory import read_units
from scripts.opening_data.wordnet import read_definitions

_COLLECTIONS = (
    Collection(
        name="tatoeba-en-zh",
        title="Tatoeba, English and Mandarin sentence pairs",
        publisher="tatoeba.org, through manythings.org",
        home="https://www.manythings.org/anki/",
        licence="CC BY 2.0 FR",
        purpose="translations: everyday sentences",
        raw=("cmn.txt",),
        read=read_pairs,
        is_translation=True,
    ),
    Collection(
        name="tatoeba-more-en-zh",
        title="Tatoeba, English and Mandarin sentence pairs (another selection)",
        publisher="tatoeba.org, through the HSK Annotated Corpus (data/cleaned)",
        home="https://github.com/Roxaleen/hsk-annotated-corpus",
        licence="CC BY 2.0 FR",
        purpose="translations: everyday sentences",
        raw=("sentences_tatoeba.csv",),
        read=read_annotated,
        is_translation=True,
    ),
    Collection(
        name="tatoeba-en",
        title="Tatoeba, English and French sentence pairs (the English side)",
        publisher="tatoeba.org, through manythings.org",
        home="https://www.manythings.org/anki/",
        licence="CC BY 2.0 FR",
        purpose="English: everyday sentences",
        raw=("fra.txt",),
        read=read_english,
    ),
    Collection(
        name="cedict-en-zh",
        title="CC-CEDICT",
        publisher="MDBG",
        home="https://www.mdbg.net/chinese/dictionary?page=cc-cedict",
        licence="CC BY-SA 4.0",
        purpose="translations: words and phrases",
        raw=(
            "cedict_ts.u8",
            "cedict_ts.u8.gz",
            "cedict_ts.txt",
            "cedict_1_0_ts_utf-8_mdbg.txt",
            "cedict_1_0_ts_utf-8_mdbg.txt.gz",
        ),
        read=read_glosses,
        is_translation=True,
    ),
    Collection(
        name="wordnet-en",
        title="WordNet 3.0",
        publisher="Princeton University",
        home="https://wordnet.princeton.edu/",
        licence="WordNet 3.0 licence",
        purpose="English: definitions and examples",
        raw=("wordnet", "WordNet-3.0/dict", "dict"),
        read=read_definitions,
        parts=("data.noun", "data.verb", "data.adj", "data.adv"),
    ),
    Collection(
        name="common-voice-en",
        title="Common Voice, English sentences to be read aloud",
        publisher="Mozilla",
        home="https://commonvoice.mozilla.org/",
        licence="CC0 1.0",
        purpose="English: single sentences of many authors",
        raw=("common-voice-en",),
        read=read_sentences,
        parts=("*.txt",),
    ),
    Collection(
        name="clinc150-en",
        title="CLINC150 (train parts)",
        publisher="Clinc",
        home="https://github.com/clinc/oos-eval",
        licence="CC BY 3.0",
        purpose="English: short requests",
        raw=("data_full.json",),
        read=read_queries,
    ),
    Collection(
        name="sgd-en",
        title="Schema-Guided Dialogue (train part)",
        publisher="Google",
        home="https://github.com/google-research-datasets/dstc8-schema-guided-dialogue",
        licence="CC BY-SA 4.0",
        purpose="English: turns of dialogues, at most 40,000 chosen by hash",
        raw=("dstc8-schema-guided-dialogue",),
        read=read_utterances,
        parts=("dialogues_*.json",),
        preferred="train",
        min_words=3,
        max_words=40,
        at_most=40_000,
    ),
    Collection(
        name="tico19-en-zh",
        title="TICO-19, English and simplified Chinese translation memory",
        publisher="The TICO-19 project",
        home="https://tico-19.github.io/",
        licence="CC0 1.0",
        purpose="translations: long sentences on health",
        raw=("all.en-zh.tmx",),
        read=read_units,
        is_translation=True,
    ),
)
COLLECTIONS = {collection.name: collection for collection in _COLLECTIONS}
