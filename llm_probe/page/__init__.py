"""What a run shows: the page, the terminal table, and figures for papers, all from the tables alone.

views      tables as everything else here needs them, and the JSON of the page
report     the page of one run; ladder_page: of several; sections: the parts that later stages add to it
terminal   the table at the end of a run
figures    pictures of a run, in the `style` of all figures outside `toy`
"""

from pathlib import Path

TEMPLATES = Path(__file__).parent / "templates"
"""HTML, CSS and JavaScript of every page that `llm_probe` makes."""
