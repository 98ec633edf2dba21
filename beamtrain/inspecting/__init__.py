"""Looking into the search: what `beamtrain inspect` shows, and what loggers get while a run is trained.

searches.py   which searches to look at, and by which loss
recording.py  a search that keeps its steps, and the gradient of the loss by each candidate
document.py   all of it as one JSON document; words.py, a step of it in plain sentences
terminal.py   the document on the terminal
page.py       the document as a page
picture.py    a beam and a matrix as one picture, for a README or a logger
"""
