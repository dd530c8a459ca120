"""Which directions of a language model carry a cyclic quantity, and is it more than chance?"""
