"""The `Schema` component: a schema that the configuration decides, not the data.

TFX's SchemaGen infers types from one span's statistics; here they come from the
configuration, so that a new span cannot change what the model takes in.
"""

import os

from tfx import v1 as tfx
from tfx.dsl.io import fileio

FILE_NAME = "schema.pbtxt"


@tfx.dsl.components.component
def Schema(
    schema: tfx.dsl.components.OutputArtifact[tfx.types.standard_artifacts.Schema],
    text: tfx.dsl.components.Parameter[str],
) -> None:
    """Writes a schema, given in protobuf's text format, as an artifact."""
    fileio.makedirs(schema.uri)
    with fileio.open(os.path.join(schema.uri, FILE_NAME), "w") as file:
        file.write(text)
