"""The same pipelines on open-source Kubeflow Pipelines."""
