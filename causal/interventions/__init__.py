"""Questions, directions of a circle, what an edit does to states there, and the engine that runs many edits."""
