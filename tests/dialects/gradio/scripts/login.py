"""Gradio's own client with a name and a password: right, wrong, and none; what came of each, as JSON."""

# mypy: ignore-errors

import ast
import json
import sys

from gradio_client import Client

HOST, NAME, PASSWORD = sys.argv[1:]
told = {}

client = Client(HOST, auth=(NAME, PASSWORD), verbose=False)
res = client.predict(str({"instruction_nochat": "hello"}), api_name="/submit_nochat_api")
told["right"] = ast.literal_eval(res)["response"]
try:
    Client(HOST, auth=(NAME, "wrong"), verbose=False)
except ValueError as error:
    told["wrong"] = str(error)
try:
    Client(HOST, verbose=False)
except Exception as error:  # noqa: BLE001 - its class differs
    told["none"] = str(error)
print(json.dumps(told))
