"""Pages that people look at, each one HTML file and beside it, as JSON, all that it was made from.

page_base.py   what every page shares: its template, its look, tabs, how text and data get into it
"""
