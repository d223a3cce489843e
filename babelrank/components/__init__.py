"""Everything that runs inside a pipeline step; knows nothing of `babelrank.pipelines`."""
