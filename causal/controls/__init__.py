"""What an edit is compared with: random directions of equal size, other questions, ordinary text."""
