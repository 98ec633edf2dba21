"""The grammar behind the bundled phrasebook, in the order in which a sentence is made.

- numbers: numbers, prices, clock times and dates in words
- words: how nouns, verbs, adjectives and pronouns inflect
- nouns, persons, verbs, adjectives, names: the vocabulary, in tables
- sentences: noun phrases after prepositions, verbs with their objects, punctuation
- patterns: what a sentence pattern is: content slots, free slots, and the two sentences they make
- trips, times, places, actions, requests, people, things: the patterns themselves, by topic
- corpus: drawing examples, and splitting them so that no held-out combination is seen in training
"""
