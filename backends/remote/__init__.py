"""OpenAI-compatible servers elsewhere, several for one model."""
