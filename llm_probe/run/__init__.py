"""Running a probe: configuration, cells, tables, schema, provenance."""
