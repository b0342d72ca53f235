"""What an answer must look like: constraints -> grammars that llguidance runs, each tried in a bounded process first.

Engines that compile with llguidance share this: what passed here costs them no more than it did here.
"""
