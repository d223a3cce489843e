"""What a sentence pair is: the names of its parts, and what counts as a space.

An example holds both sides and where they come from, as bytes. Imports neither TensorFlow nor Beam.
"""

from __future__ import annotations

SOURCE, TARGET = "source", "target"
"""bytes: the sentences, NFC, without spaces at the ends or two in a row."""
ORIGIN = "origin"
"""bytes: name of the file that the pair comes from, for slices."""
SOURCE_LENGTH = "source_length"
"""bytes: the length of the source as a bucket of words (of characters, without spaces)."""

SPACES = r"[\t\n\v\f\r\x{85}\x{200B}\x{2060}\x{FEFF}\p{Z}]+"
"""Regular expression (RE2) of a run of spaces of any kind, which normalised text holds as one ' '.

Tabs, line ends (the Unicode ones too), spaces of all widths, none included. Joiners (U+200C,
U+200D), which Persian, Hindi and emoji need, and marks of direction are no spaces.
Normalised text is NFC, then `SPACES` replaced by ' ', then stripped: in ingest by Arrow, in the
graph by TensorFlow; both have RE2.
"""

WORD_BUCKETS = ("01-05", "06-10", "11-20", "21-40", "41+")
"""Values of `source_length` for languages with spaces, in words; they sort by length."""
CHARACTER_BUCKETS = ("01-10", "11-20", "21-40", "41-80", "81+")
"""Values of `source_length` for languages without spaces, in characters."""

INPUTS, TARGETS = "inputs", "targets"
"""int64 lists: subword ids, the end id last; what Transform writes and the model takes."""
INPUTS_LENGTH, TARGETS_LENGTH = "inputs_length", "targets_length"
"""int64: number of those ids."""

PAD_ID, EOS_ID, UNK_ID = 0, 1, 2
"""Subword ids, as the Model Garden has them; decoding starts from PAD_ID."""
