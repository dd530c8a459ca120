"""What other people published: their experiments again, and an audit of their numbers. Nothing else needs this room."""
