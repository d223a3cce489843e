"""How Kubeflow Pipelines is reached: address, namespace, token, certificates.

Each comes from an option of the command line, else from the environment, else, in a pod of the
cluster, from its service account:

    --endpoint    BABELRANK_KFP_ENDPOINT    http://ml-pipeline.kubeflow.svc.cluster.local:8888
    --namespace   BABELRANK_KFP_NAMESPACE   the pod's, where Kubeflow Pipelines has several users
    --token-file  BABELRANK_KFP_TOKEN_FILE  the token for Kubeflow Pipelines that the pod was given
                  BABELRANK_KFP_TOKEN       (the token itself; it has no option, because everybody
                                            on a machine can read its command lines)
    --ca-file     BABELRANK_KFP_CA_FILE     public certificate authorities
    --ui          BABELRANK_KFP_UI          the endpoint

A token file is read anew for each request, because Kubernetes renews tokens.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from babelrank.components.errors import ConfigError

PREFIX = "BABELRANK_KFP_"
IN_CLUSTER = "http://ml-pipeline.kubeflow.svc.cluster.local:8888"
_SECRETS = Path("/var/run/secrets")
_NAMESPACE = "kubernetes.io/serviceaccount/namespace"
_TOKEN = "kubeflow/pipelines/token"
_TOKEN_VARIABLE = "KF_PIPELINES_SA_TOKEN_PATH"  # as Kubeflow's own PodDefault sets it


@dataclass(frozen=True, kw_only=True)
class Connection:
    """How Kubeflow Pipelines is reached.

    Attributes:
        endpoint: Address, without a slash at the end.
        namespace: Namespace of experiments and runs; None: there is one user only.
        token: Proves who asks; None: see `token_file`.
        token_file: File that holds the token; None: no token.
        ca_file: Certificate authorities to trust (PEM); None: the public ones.
        ui: Address of the user interface, for links.
    """

    endpoint: str
    namespace: str | None = None
    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    ca_file: Path | None = None
    ui: str = ""

    def run_link(self, run_id: str) -> str:
        """Where a browser shows a run."""
        return f"{self.ui or self.endpoint}/#/runs/details/{run_id}"


def connection(
    *,
    endpoint: str | None = None,
    namespace: str | None = None,
    token_file: Path | None = None,
    ca_file: Path | None = None,
    ui: str | None = None,
    environment: Mapping[str, str] | None = None,
    secrets: Path = _SECRETS,
) -> Connection:
    """How Kubeflow Pipelines is reached, from options and the environment.

    Args:
        endpoint: As given on the command line, like the next four.
        namespace: Namespace.
        token_file: File that holds a token.
        ca_file: Certificate authorities to trust.
        ui: Address of the user interface.
        environment: Environment variables; None: this process's.
        secrets: Where Kubernetes puts what a pod is given.

    Raises:
        ConfigError: There is no endpoint, it is no address, or a file is missing.
    """
    env = os.environ if environment is None else environment
    in_pod = "KUBERNETES_SERVICE_HOST" in env
    address = endpoint or env.get(f"{PREFIX}ENDPOINT") or (IN_CLUSTER if in_pod else None)
    if address is None:
        raise ConfigError(
            f"--endpoint: missing, and {PREFIX}ENDPOINT is not set; takes the address of Kubeflow "
            f"Pipelines, such as http://localhost:8080 after `kubectl port-forward --namespace "
            f"kubeflow service/ml-pipeline-ui 8080:80`."
        )
    token = None if token_file else env.get(f"{PREFIX}TOKEN", "").strip() or None
    file = token_file or _file(env.get(f"{PREFIX}TOKEN_FILE"))
    if token is None and file is None and in_pod:
        file = _token_of_pod(env, secrets)
    return Connection(
        endpoint=_address(address, "--endpoint"),
        namespace=namespace or env.get(f"{PREFIX}NAMESPACE") or _namespace_of_pod(in_pod, secrets),
        token=token,
        token_file=None if token else _existing(file, "--token-file"),
        ca_file=_existing(ca_file or _file(env.get(f"{PREFIX}CA_FILE")), "--ca-file"),
        ui=_address(ui or env.get(f"{PREFIX}UI") or address, "--ui"),
    )


def _address(text: str, key: str) -> str:
    address = text.strip().split("/#")[0].rstrip("/")
    if not address.startswith(("http://", "https://")):
        raise ConfigError(f"{key}: got {text}; takes an address with http:// or https://.")
    return address


def _file(text: str | None) -> Path | None:
    return Path(text) if text else None


def _existing(file: Path | None, key: str) -> Path | None:
    if file is not None and not file.is_file():
        raise ConfigError(f"{key}: there is no file {file}.")
    return file


def _namespace_of_pod(in_pod: bool, secrets: Path) -> str | None:
    file = secrets / _NAMESPACE
    return file.read_text(encoding="utf-8").strip() if in_pod and file.is_file() else None


def _token_of_pod(environment: Mapping[str, str], secrets: Path) -> Path | None:
    file = _file(environment.get(_TOKEN_VARIABLE)) or secrets / _TOKEN
    return file if file.is_file() else None
