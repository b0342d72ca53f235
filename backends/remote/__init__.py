"""Engines elsewhere: any server that speaks OpenAI's API."""
