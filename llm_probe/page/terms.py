"""The words that the page explains where they stand: a term in the text, its meaning beside it when pointed at.

Every word is one of docs/glossary.md, which says more; here it has to be understood in one glance.
"""

from __future__ import annotations

from markupsafe import Markup, escape

TERMS = {
    "held out": "Predicted by a fit that did not see it. Left out together are all prompts with one operand pair "
    "(sums) or with one item (items).",
    "R²": "Share of the variance that a fit explains: 1 is all of it, 0 no better than the mean, and held out it can "
    "be far below 0.",
    "plane": "The two directions of the residual stream from which a ridge regression predicts the cosine and sine of "
    "the circle best.",
    "null": "What the same search reaches where there is nothing: the labels are renamed, and the largest R² is taken "
    "each time. The grey band ends at 95 % of these.",
    "control": "The same search for something that should not be there: shuffled labels, another task of the same "
    "form, items in another order, random weights.",
    "random weights": "The same architecture, never trained, through the same search.",
    "level": "The most that was shown of a claim: nothing, decodable, clusters, ordered, helix or circle. Each has a "
    "null of its own.",
    "supported, refuted, undetermined": "Supported: a circle that holds on new prompts, not with random weights, and "
    "beside all other claims. Refuted: a named other shape is a hundred times likelier. Undetermined: all else.",
    "nats": "The logarithm of how many times likelier one shape is than another: 0.7 is twice, 2.3 ten times, 4.6 a "
    "hundred times.",
    "rival": "Another shape of the same vectors: clusters, runs of neighbours, a line, an open arc, a folded line.",
    "closure": "Of items: 1 if the last is as near to the first as neighbours are, 0 or less on a line.",
    "angle error": "Median distance between the angle that a plane predicts for a prompt and the true one. A uniform "
    "guess gives π/2 = 1.57 radians.",
    "frequency k": "How often the circle is run through while the labels are run through once.",
    "class mean": "The mean activation of all prompts with one label. Its R² in a single dimension is the published "
    "statistic, which untrained networks pass as well.",
    "discovery": "Prompts on which layer, frequency, penalty and plane are chosen. The verdict is made on others.",
    "confirmation": "New prompts, with other templates where there are any, on which the choice is tested once.",
    "residual stream": "The numbers that every token carries through the model and that each block adds to.",
    "quantity": "Sum: the answer to a question, read at its last token. Item: a word in a statement, read where it "
    "stands.",
}


def term(name: str, shown: str = "") -> Markup:
    """A term in the text of a template, with what is printed of it.

    Raises:
        KeyError: the term has no meaning in `TERMS`.
    """
    assert TERMS[name]
    return Markup(f'<button class="term" type="button" data-term="{escape(name)}">{escape(shown or name)}</button>')
