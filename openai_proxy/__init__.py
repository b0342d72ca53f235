"""An inference server that speaks OpenAI's API over pluggable engines."""

__version__ = "0.1.0"
