"""h2oGPT's own keys, from `extra_body` or from the dict of its Gradio API -> OpenAI's fields and what else is asked.

It knows no HTTP. Source: https://github.com/h2oai/h2ogpt (openai_server/backend.py, src/gen.py).
"""
