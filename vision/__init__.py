"""Pictures as values: nothing here knows HTTP or an engine. Filled by the image routes."""
