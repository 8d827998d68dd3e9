"""A data-pipeline toolkit for pretraining corpora. Import from its modules, for example `pipeline.filters.gopher`."""
