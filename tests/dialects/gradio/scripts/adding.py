"""What h2oGPT's wrapper does for an address: hands it in, asks about it; another client then sees nothing of it."""

# mypy: ignore-errors

import ast
import json
import sys

from gradio_client import Client

HOST, URL, KEY = sys.argv[1:4]
LOADERS = (None,) * 6


def opened():
    try:
        return Client(HOST, verbose=False, serialize=False)
    except TypeError:
        return Client(HOST, verbose=False)


def ask(client):
    given = {
        "instruction": "Where is the papaya from?",
        "langchain_mode": "MyData",
        "langchain_action": "Query",
        "h2ogpt_key": KEY,
    }
    return ast.literal_eval(client.predict(str(given), api_name="/submit_nochat_api"))["sources"]


client = opened()
told = {"added": client.predict(URL, "MyData", True, 512, True, *LOADERS, KEY, api_name="/add_url")}
told["sources"] = ask(client)
told["another"] = ask(opened())
print(json.dumps(told))
