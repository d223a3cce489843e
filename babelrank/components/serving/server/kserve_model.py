"""KServe's classes over a served model: its protocols ask, and its errors are ours.

Importing KServe reads the command line; `import_kserve` keeps ours from it.
"""

from __future__ import annotations

import struct
import sys
import uuid
from collections.abc import Mapping
from typing import Any

import numpy as np

from babelrank.components.serving.server.refusals import BadRequest, NotOffered
from babelrank.components.serving.server.requests import Question, Tensor
from babelrank.components.serving.server.served import Served

VERSION_HEADER = "x-babelrank-model-version"

_arguments, sys.argv = sys.argv, sys.argv[:1]  # KServe parses them while it is imported
try:
    from kserve import InferOutput, InferRequest, InferResponse, Model, ModelRepository
    from kserve.errors import InvalidInput
    from kserve.protocol.dataplane import DataPlane
    from kserve.protocol.model_repository_extension import ModelRepositoryExtension
finally:
    sys.argv = _arguments


class KServeModel(Model):
    """A served model as KServe knows models.

    Args:
        served: The model.
    """

    def __init__(self, served: Served) -> None:
        super().__init__(served.name, return_response_headers=True)
        self.served = served

    async def healthy(self) -> bool:
        """Whether a version answers."""
        return self.served.loaded is not None

    async def predict(
        self,
        payload: Any,
        headers: Mapping[str, str] | None = None,
        response_headers: dict[str, str] | None = None,
    ) -> Any:
        """The answer to a request of either protocol.

        Raises:
            Refusal: There is none.
        """
        second = isinstance(payload, InferRequest)
        form = self.served.form
        question = (
            form.asked(_tensors(payload), payload.parameters or {})
            if second
            else form.question(payload)
        )
        answers, loaded = await self.served.ask(question)
        if response_headers is not None:
            response_headers[VERSION_HEADER] = loaded.name
        if not second:
            return {"predictions": loaded.form.predictions(question, answers)}
        return self._response(payload, question, answers, loaded)

    def get_input_types(self) -> list[dict[str, Any]]:
        """The tensors of requests; none before the first version."""
        return self.served.form.inputs()

    def get_output_types(self) -> list[dict[str, Any]]:
        """The tensors of answers."""
        return self.served.form.outputs()

    def _response(self, payload: Any, question: Question, answers: list[Any], loaded: Any) -> Any:
        outputs = []
        for tensor in loaded.form.tensors(question, answers):
            kind = np.float32 if tensor.datatype == "FP32" else np.object_
            output = InferOutput(tensor.name, list(tensor.shape), tensor.datatype)
            output.data = np.array(tensor.data, kind).reshape(tensor.shape)
            outputs.append(output)
        return InferResponse(
            response_id=payload.id or str(uuid.uuid4()),
            model_name=self.name,
            model_version=loaded.name,
            infer_outputs=outputs,
            requested_outputs=payload.request_outputs,
            use_binary_outputs=payload.use_binary_outputs,
        )


class Plane(DataPlane):  # type: ignore[misc]
    """KServe's data plane; what cannot be read is the client's fault, and ready means loaded."""

    async def ready(self) -> bool:
        """Whether each model has a version that answers."""
        return all([await model.healthy() for model in self.model_registry.get_models().values()])

    async def model_metadata(self, model_name: str) -> dict[str, Any]:
        """What a model takes and answers, and its version."""
        found: dict[str, Any] = await super().model_metadata(model_name)
        loaded = self.get_model_from_registry(model_name).served.loaded
        return {**found, "platform": "tensorflow_savedmodel", "versions": [loaded.name]}

    def decode(self, *arguments: Any, **named: Any) -> Any:
        """The body of a request.

        Raises:
            BadRequest: It cannot be read.
        """
        try:
            return super().decode(*arguments, **named)
        except InvalidInput as error:
            raise BadRequest(f"body: {error.reason}") from None
        except (KeyError, TypeError, ValueError, AttributeError, struct.error) as error:
            raise BadRequest(f"body: not what the protocol says: {error!r:.200}") from None


class Repository(ModelRepositoryExtension):  # type: ignore[misc]
    """KServe's repository extension; nobody loads or unloads models from outside."""

    async def load(self, model_name: str) -> None:
        """Refuses."""
        raise NotOffered(f"load {model_name}: this server loads the newest version by itself.")

    async def unload(self, model_name: str) -> None:
        """Refuses."""
        raise NotOffered(f"unload {model_name}: this server keeps its models.")


def plane(models: Mapping[str, Served]) -> Plane:
    """KServe's data plane over the models."""
    repository = ModelRepository()
    for served in models.values():
        repository.update(KServeModel(served))
    return Plane(repository)


def _tensors(payload: Any) -> list[Tensor]:
    return [
        Tensor(one.name, one.datatype, _elements(one), tuple(one.shape)) for one in payload.inputs
    ]


def _elements(tensor: Any) -> list[Any]:
    data = tensor.data
    return data.tolist() if isinstance(data, np.ndarray) else data
