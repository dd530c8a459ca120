"""Circuit questions: where does the answer position look, when is the answer there, what do items and numbers span?"""
