"""Pages that people look at, each one HTML file and beside it, as JSON, all that it was made from.

page_base.py         what every page shares: its template, its look, tabs, how text and data get into it
charts.py            charts as plain SVG
decodings.py         what a run is made to decode, kept in its folder
systems.py           the systems of a report: runs, and what is known of them
training_curves.py   what a run's folder says of its training
search_errors.py     whose fault a translation is
groups.py            scores of some of the sentences, and of words
data.py              the data of a report; page.py, the page made from it
"""
