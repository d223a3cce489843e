"""What must be known of an exported translation model beyond its signature: its languages."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from babelrank.components.serving import model_folder


@dataclass(frozen=True, kw_only=True)
class LinesDescription:
    """How a model takes lines of text, and what it answers.

    Attributes:
        source_language: Code of the language that it takes, such as `en` or `pt_BR`.
        target_language: Code of the language that it answers in.
        beam_size: Number of translations of each line that the model gives.
        task: `translation`.
        signature: Name of the signature that takes the lines.
        source: Name of its input, [B] strings.
        translation: Name of its output, [B] strings: the best translations.
        nbest: Name of its output, [B, beam_size] strings: the best ones first.
        scores: Name of its output, [B, beam_size] float32: their scores, falling.
    """

    source_language: str
    target_language: str
    beam_size: int
    task: str = "translation"
    signature: str = "translate"
    source: str = "source"
    translation: str = "translation"
    nbest: str = "nbest"
    scores: str = "scores"

    def save(self, model: str) -> None:
        """Writes the description beside a SavedModel."""
        model_folder.write(Path(model), model_folder.LINES, asdict(self))

    @classmethod
    def load(cls, model: Path) -> LinesDescription:
        """Reads the description beside a SavedModel.

        Raises:
            ModelError: There is none.
        """
        plain = model_folder.read(model, model_folder.LINES)
        with model_folder.described(model, model_folder.LINES):
            return cls(**plain)
