"""A data-pipeline toolkit for pretraining corpora; import from its modules, for example `pipeline.filters.gopher`."""
