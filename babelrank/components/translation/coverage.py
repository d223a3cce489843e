"""How well a subword model covers a text: the figures of a vocabulary's summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import Any

import sentencepiece

from babelrank.components.translation.counting import SideCounts
from babelrank.components.translation.records import UNK_ID

_CHUNK = 10_000
_SHOWN = 20


def figures(model: bytes, counts: SideCounts, by_word: bool) -> dict[str, Any]:
    """Figures of one side.

    Args:
        model: A serialized SentencePiece model.
        counts: The texts of the side.
        by_word: Whether the texts are words, or sentences.

    Returns:
        A dict, ready for JSON, of
        size: subwords of the model;
        sentences: all of the side; measured_sentences: those that the figures are taken on;
        words, distinct_words: of those; None for sentences;
        characters, distinct_characters: of those, without spaces;
        uncovered_characters: how many of them are in no subword;
        uncovered: the commonest of these, [character, count];
        unknown_share: unknown among all subwords;
        subwords_per_word: None for sentences; subwords_per_sentence: with the end id;
        longest: most subwords in a sentence, with the end id.
    """
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    texts = counts.texts
    characters: Counter[str] = Counter()
    known = {processor.id_to_piece(i) for i in range(processor.get_piece_size())}
    uncovered: Counter[str] = Counter()
    total = unknown = 0
    for text, count, ids in _encoded(processor, texts):
        total += count * len(ids)
        found = Counter(text)
        for character, times in found.items():
            characters[character] += count * times
        if UNK_ID in ids:
            unknown += count * ids.count(UNK_ID)
            uncovered.update({c: count * n for c, n in found.items() if c not in known})
    for space in (characters, uncovered):
        space.pop(" ", None)
    number = texts.total()
    sentences = counts.sentences if by_word else number
    longest = [len(ids) for ids in processor.encode(counts.longest)]
    return {
        "size": processor.get_piece_size(),
        "sentences": counts.sentences,
        "measured_sentences": sentences,
        "words": number if by_word else None,
        "distinct_words": len(texts) if by_word else None,
        "characters": characters.total(),
        "distinct_characters": len(characters),
        "uncovered_characters": uncovered.total(),
        "uncovered": [list(pair) for pair in _commonest(uncovered)],
        "unknown_share": _ratio(unknown, total),
        "subwords_per_word": _ratio(total, number) if by_word else None,
        "subwords_per_sentence": _ratio(total + sentences, sentences),
        "longest": max(longest, default=0) + 1,
    }


def _encoded(
    processor: sentencepiece.SentencePieceProcessor, texts: Counter[str]
) -> Iterator[tuple[str, int, list[int]]]:
    """Texts, their counts and their subword ids."""
    items = iter(texts.items())
    while chunk := list(islice(items, _CHUNK)):
        encoded = processor.encode([text for text, _ in chunk])
        for (text, count), ids in zip(chunk, encoded, strict=True):
            yield text, count, ids


def _commonest(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_SHOWN]


def _ratio(part: int, whole: int) -> float:
    return round(part / whole, 6) if whole else 0.0
