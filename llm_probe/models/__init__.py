"""Language models: loading, the map of their parts, random twins, the toy as a language model."""
