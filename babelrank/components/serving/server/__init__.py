"""A model server for this machine and for KServe: both protocols, batching, hot switches.

`settings` says what is served and within which limits; a `form` turns requests into what a model
takes; `batcher` joins them; `loaded` is one version in memory and `watcher` keeps the newest good
one there; `application` puts KServe's routes, the typing page and the metrics on one address.
Only `kserve_model`, `application` and `process` import KServe, and no `__init__` here imports them.
"""
