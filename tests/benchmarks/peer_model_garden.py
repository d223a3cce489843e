"""Runs the Model Garden's translation task for the benchmarks; `model_garden.py` starts it.

Belongs to the peer's own environment: imports nothing of ours. Reads one JSON object a line,
`{"do": NAME, ...}`, from standard input, and answers each with one on standard output.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"

# isort: split
import numpy as np
import tensorflow as tf
import tf_keras
from official.nlp.data import wmt_dataloader
from official.nlp.tasks import translation


class Peer:
    """A task, its model and its optimizer; each public method is a command.

    Args:
        vocabulary: Path of the SentencePiece model.
        network: Fields of `ModelConfig`; `encoder` and `decoder` are fields of `EncDecoder`.
    """

    def __init__(self, vocabulary: str, network: dict[str, Any]) -> None:
        stacks = {
            name: translation.EncDecoder(**network.pop(name)) for name in ("encoder", "decoder")
        }
        self.vocabulary = vocabulary
        self.task = translation.TranslationTask(
            translation.TranslationConfig(
                model=translation.ModelConfig(**network, **stacks),
                sentencepiece_model_path=vocabulary,
            )
        )
        tf_keras.utils.set_random_seed(1)
        self.model = self.task.build_model()
        ids = tf.ones([1, 2], tf.int32)
        self.model({"inputs": ids, "targets": ids})
        self.optimizer = tf_keras.optimizers.legacy.Adam(1e-3)
        self.batches: Any = None
        self.train = tf.function(self._train)
        shape = tf.TensorSpec([None, None], tf.int32)
        self.search = tf.function(self._search, input_signature=[shape])

    def feed_random(self, sentences: int, length: int, vocab_size: int) -> dict[str, Any]:
        """Takes training batches of random ids from now on, all of one length."""
        draw = np.random.default_rng(0)
        ids = draw.integers(3, vocab_size, (8, 2, sentences, length), dtype=np.int32)
        batches = tf.data.Dataset.from_tensor_slices({"inputs": ids[:, 0], "targets": ids[:, 1]})
        self._feed(batches.cache().repeat())
        return {}

    def feed_corpus(
        self, path: str, languages: list[str], tokens: int, longest: int
    ) -> dict[str, Any]:
        """Takes training batches from examples of raw text, as its own data loader makes them."""
        config = wmt_dataloader.WMTDataConfig(
            input_path=path,
            is_training=True,
            global_batch_size=tokens,
            max_seq_length=longest,
            src_lang=languages[0],
            tgt_lang=languages[1],
            shuffle_buffer_size=10_000,
            seed=1,
        )
        self._feed(self.task.build_inputs(config))
        return {}

    def steps(self, count: int) -> dict[str, Any]:
        """Takes training steps.

        Returns:
            `tokens`: real target tokens; `padded`: with padding; `seconds`, `cpu`: passed, and of
            the processor; `loss` of the last.
        """
        began, cpu = time.perf_counter(), time.process_time()
        counts = [float(figure) for figure in self.train(self.batches, tf.constant(count))]
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        return dict(zip(("tokens", "padded", "loss"), counts, strict=True)) | {
            "seconds": seconds,
            "cpu": cpu,
        }

    def save(self, path: str) -> dict[str, Any]:
        """Writes the weights, by their names, as npz."""
        np.savez(path, **{name: v.numpy() for name, v in self._variables().items()})
        return {"variables": {name: v.shape.as_list() for name, v in self._variables().items()}}

    def load(self, path: str) -> dict[str, Any]:
        """Reads the weights."""
        with np.load(path) as weights:
            for name, variable in self._variables().items():
                variable.assign(weights[name])
        return {}

    def logits(self, path: str, result: str) -> dict[str, Any]:
        """Logits for `inputs` and `targets`, [B, S] and [B, T], of an npz file."""
        with np.load(path) as ids:
            batch = {name: tf.constant(ids[name]) for name in ("inputs", "targets")}
        logits = self.model(batch, training=False)
        loss = self.task.build_losses(batch["targets"], logits)
        np.savez(result, logits=logits.numpy(), loss=loss.numpy())
        return {}

    def decode(self, path: str, result: str) -> dict[str, Any]:
        """Translates the batches of an npz file, each an array [B, S] by its number.

        Returns:
            `seconds`, `cpu`. The result file has the arrays of ids by the same numbers.
        """
        with np.load(path) as file:
            batches = [file[str(i)] for i in range(len(file.files))]
        began, cpu = time.perf_counter(), time.process_time()
        found = {str(i): self.search(tf.constant(b)).numpy() for i, b in enumerate(batches)}
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        np.savez(result, **found)
        return {"seconds": seconds, "cpu": cpu}

    def _feed(self, dataset: tf.data.Dataset) -> None:
        self.batches = iter(dataset)

    def _train(self, batches: Any, count: tf.Tensor) -> Any:
        # As the Model Garden's trainer does: a loop over steps inside the graph.
        tokens, padded, loss = tf.constant(0), tf.constant(0), tf.constant(0.0)
        for _ in tf.range(count):
            batch = next(batches)
            loss = self.task.train_step(batch, self.model, self.optimizer)["loss"]
            targets = batch["targets"]
            tokens += tf.math.count_nonzero(targets, dtype=tf.int32)
            padded += tf.size(targets)
        return tokens, padded, loss

    def _search(self, inputs: tf.Tensor) -> tf.Tensor:
        return self.task.inference_step({"inputs": inputs}, self.model)["outputs"]

    def _variables(self) -> dict[str, tf.Variable]:
        return {_name(variable.name): variable for variable in self.model.trainable_variables}


def _name(name: str) -> str:
    """The name of a variable without the numbers that Keras gives to second models."""
    name = name.partition("/")[2].removesuffix(":0")
    name = re.sub(r"^on_device_embedding(_\d+)?/", "", name)
    name = re.sub(r"^(transformer_..coder)(_\d+)?/", r"\1/", name)
    return re.sub(r"/layer_normalization(_\d+)?/", "/output_normalization/", name)


def main() -> None:
    """Answers commands until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the Model Garden's data loader prints
    peer: Peer | None = None
    for line in sys.stdin:
        command = json.loads(line)
        name = command.pop("do")
        if name == "build":
            peer = Peer(**command)
            reply: dict[str, Any] = {}
        else:
            reply = getattr(peer, name)(**command)
        answers.write(json.dumps(reply) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
