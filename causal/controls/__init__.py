"""What an edit is compared with: matched directions, other skills, ordinary text, statistical power."""
