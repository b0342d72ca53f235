"""Sound as values: nothing here knows HTTP or an engine. Filled by the speech and transcription routes."""
