"""Which algorithm adds: what each predicts when a circle is turned, in language models and toys."""
