"""Takes back, in ML Metadata, that a model is good, or says so again.

A model whose blessing is withdrawn is no baseline, no start of a training and no source of a
vocabulary any more; and the model itself is marked, so that the gate does not bless it again.
"""

from __future__ import annotations

from collections.abc import Iterable

from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2
from tfx.components.evaluator import constants
from tfx.types import standard_artifacts

from babelrank.components.lineage import MODEL, ROLLED_BACK, Lineage
from babelrank.components.serving.manifest import Manifest
from babelrank.components.serving.push import DIGEST

_PUSHED = "pushed"


class Blessings:
    """The blessings in an ML Metadata store.

    Args:
        store: The store.
    """

    def __init__(self, store: MetadataStore) -> None:
        self._store = store

    def withdraw(self, manifests: Iterable[Manifest], reason: str) -> list[str]:
        """Takes the blessings of models back; those of other models stay.

        Args:
            manifests: Of the versions that the models were pushed as.
            reason: Why.

        Returns:
            Folders of the models that ML Metadata knows.
        """
        return [one for manifest in manifests for one in self._mark(manifest, reason)]

    def restore(self, manifest: Manifest) -> list[str]:
        """Gives back what `withdraw` took."""
        return self._mark(manifest, "")

    def knows(self, manifest: Manifest) -> bool:
        """Whether the store has the model that was pushed as a version."""
        return bool(self._models(manifest, self._pushes(manifest)))

    def _mark(self, manifest: Manifest, reason: str) -> list[str]:
        """Marks the models of a version, and what says that they are good; "" unmarks them."""
        pushes = self._pushes(manifest)
        models = self._models(manifest, pushes)
        numbers = {model.id for model in models}
        blessings = [
            one
            for one in self._all(standard_artifacts.ModelBlessing)
            if _get(one, constants.ARTIFACT_PROPERTY_CURRENT_MODEL_ID_KEY).int_value in numbers
        ]
        marked = [model for model in models if _mark_one(model, None, reason)]
        marked += [push for push in pushes if _mark_one(push, _PUSHED, reason)]
        sign = constants.ARTIFACT_PROPERTY_BLESSED_KEY
        self._store.put_artifacts(
            [*marked, *(one for one in blessings if _mark_one(one, sign, reason))]
        )
        return [model.uri for model in models if model in marked]

    def _pushes(self, manifest: Manifest) -> list[metadata_store_pb2.Artifact]:
        return [
            one
            for one in self._all(standard_artifacts.PushedModel)
            if _get(one, DIGEST).string_value == manifest.digest
        ]

    def _models(
        self, manifest: Manifest, pushes: Iterable[metadata_store_pb2.Artifact]
    ) -> list[metadata_store_pb2.Artifact]:
        """The models that were pushed, and the one that the version was copied from."""
        lineage = Lineage(self._store)
        numbers = {model for push in pushes for model in lineage.inputs(push.id, MODEL)}
        return [
            one
            for one in self._all(standard_artifacts.Model)
            if one.id in numbers or manifest.source.startswith(one.uri.rstrip("/") + "/")
        ]

    def _all(self, kind: type) -> list[metadata_store_pb2.Artifact]:
        found: list[metadata_store_pb2.Artifact] = self._store.get_artifacts_by_type(
            kind.TYPE_NAME  # type: ignore[attr-defined]
        )
        return found


def _get(artifact: metadata_store_pb2.Artifact, name: str) -> metadata_store_pb2.Value:
    """A property; reading one that is not there from the artifact itself would make it."""
    properties = artifact.custom_properties
    return properties[name] if name in properties else metadata_store_pb2.Value()


def _mark_one(artifact: metadata_store_pb2.Artifact, sign: str | None, reason: str) -> bool:
    """Takes a sign back and notes why, or gives back what was taken; False: nothing changed.

    A property that is not there must not be made: artifacts with all their properties are keys of
    TFX's cache.
    """
    properties = artifact.custom_properties
    if reason:
        if ROLLED_BACK in properties or (sign and not _get(artifact, sign).int_value):
            return False  # it is done already, or the gate had said no itself
        properties[ROLLED_BACK].string_value = reason
    elif ROLLED_BACK not in properties:
        return False
    else:
        del properties[ROLLED_BACK]
    if sign:
        properties[sign].int_value = 0 if reason else 1
    return True
