"""Where ML Metadata keeps its record: a file in the output folder, or the database of a cluster.

The environment variable BABELRANK_METADATA names a database:

    postgresql://USER[:PASSWORD]@HOST[:PORT]/DATABASE
    mysql://USER[:PASSWORD]@HOST[:PORT]/DATABASE
    sqlite:///FILE

BABELRANK_METADATA_PASSWORD, such as from a Kubernetes secret, stands for the password. Without the
first variable it is the SQLite file of the output folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import SplitResult, quote, unquote, urlsplit

from ml_metadata.proto import metadata_store_pb2

from babelrank.components.errors import ConfigError
from babelrank.pipelines.layout import Layout

VARIABLE, PASSWORD = "BABELRANK_METADATA", "BABELRANK_METADATA_PASSWORD"
_SQLITE = metadata_store_pb2.SqliteMetadataSourceConfig
_PORTS = {"postgresql": 5432, "mysql": 3306}


def connection(
    layout: Layout, environment: Mapping[str, str] | None = None
) -> metadata_store_pb2.ConnectionConfig:
    """How ML Metadata is reached.

    Args:
        layout: Where its file is when the environment names no database.
        environment: Environment variables; None: this process's.

    Raises:
        ConfigError: The variable is no address of a database.
    """
    environment = os.environ if environment is None else environment
    address = environment.get(VARIABLE) or "sqlite://" + quote(str(layout.metadata.absolute()))
    config = of_address(address, environment.get(PASSWORD))
    if config.HasField("sqlite"):
        Path(config.sqlite.filename_uri).parent.mkdir(parents=True, exist_ok=True)
    return config


def of_address(address: str, password: str | None) -> metadata_store_pb2.ConnectionConfig:
    """How ML Metadata is reached at an address.

    Args:
        address: See the top of this file.
        password: In place of the one in the address; None: that one.

    Raises:
        ConfigError: It is no address of a database.
    """
    config = metadata_store_pb2.ConnectionConfig()
    try:
        url = urlsplit(address)
        url.port  # noqa: B018 - it is what raises
    except ValueError:
        raise _unreadable(address) from None
    if url.scheme == "sqlite" and url.path:
        config.sqlite.filename_uri = unquote(url.path)
        config.sqlite.connection_mode = _SQLITE.READWRITE_OPENCREATE
    else:
        _fill(config, url, password)
    return config


def _fill(
    config: metadata_store_pb2.ConnectionConfig, url: SplitResult, password: str | None
) -> None:
    """The fields of a database that is reached over the network."""
    host, user, database = url.hostname, url.username, unquote(url.path.strip("/"))
    if url.scheme not in _PORTS or not (host and user and database) or url.query or url.fragment:
        raise _unreadable(url.geturl())
    user = unquote(user)
    password = unquote(url.password or "") if password is None else password
    port = url.port or _PORTS[url.scheme]
    if url.scheme == "mysql":
        mysql = config.mysql
        mysql.host, mysql.port, mysql.database = host, port, database
        mysql.user, mysql.password = user, password
    else:
        postgres = config.postgresql
        postgres.host, postgres.port = host, str(port)
        postgres.dbname = _quoted(database)
        postgres.user, postgres.password = _quoted(user), _quoted(password)


def _quoted(text: str) -> str:
    """A value as libpq reads it; ml-metadata puts it into a connection string as it is."""
    if re.fullmatch(r"[^\s'\\]+", text) or not text:
        return text
    return "'" + re.sub(r"(['\\])", r"\\\1", text) + "'"


def _unreadable(address: str) -> ConfigError:
    """The error about an address; without what may be a password."""
    shown = re.sub(r"//.*@", "//…@", address)
    return ConfigError(
        f"{VARIABLE}: got {shown}; takes postgresql://USER@HOST:PORT/DATABASE, the same with "
        f"mysql, or sqlite:///FILE; with %XX for special characters, and without options."
    )
