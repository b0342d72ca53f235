"""From what an engine writes to the events of a choice: tools by grammar, stop strings, counting, merging."""
