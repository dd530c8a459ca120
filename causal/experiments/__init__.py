"""One circle at one location: its interventions, what they do to the answers, patches, and single dimensions."""
