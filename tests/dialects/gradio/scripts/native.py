"""What people write with Gradio's own client, as h2oGPT's documentation shows it; what came of it, as JSON."""

# mypy: ignore-errors

import ast
import json
import sys
import time

from gradio_client import Client

HOST = sys.argv[1]
WORDS = "one two three four five six seven eight nine ten "
told = {}

client = Client(HOST, verbose=False)

# string of dict for input
kwargs = {"instruction_nochat": "Who are you?"}
res = client.predict(str(dict(kwargs)), api_name="/submit_nochat_api")

# string of dict for output
told["response"] = ast.literal_eval(res)["response"]
told["plain"] = ast.literal_eval(client.predict(str(dict(kwargs)), api_name="/submit_nochat_plain_api"))["response"]

# Streaming
job = client.submit(
    str({"instruction_nochat": WORDS, "stream_output": True, "visible_models": "slow"}), api_name="/submit_nochat_api"
)
text_old, told["grown"] = "", []
while not job.done():
    outputs_list = job.communicator.job.outputs
    if outputs_list:
        res = job.communicator.job.outputs[-1]
        res_dict = ast.literal_eval(res)
        text = res_dict["response"]
        new_text = text[len(text_old) :]
        if new_text:
            told["grown"].append(new_text)
            text_old = text
        time.sleep(0.01)
# handle case if never got streaming response and already done
res_final = job.outputs()
if len(res_final) > 0:
    res_dict = ast.literal_eval(res_final[-1])
    told["grown"].append(res_dict["response"][len(text_old) :])
told["last"] = res_dict["response"]
told["save_dicts"] = [bool(ast.literal_eval(each)["save_dict"]) for each in res_final]

res = client.predict(api_name="/model_names")
told["models"] = {x["base_model"]: x["max_seq_len"] for x in ast.literal_eval(res)}

try:
    client.predict("{'instruction': __import__('os').getcwd()}", api_name="/submit_nochat_api")
except Exception as error:  # noqa: BLE001 - its class differs
    told["malformed"] = f"{type(error).__name__}: {error}"
try:
    client.predict(str(dict(kwargs)), api_name="/add_file_api")
except ValueError as error:
    told["absent"] = str(error)

# Several at once, and one after the other on a stream that is open
jobs = [client.submit(str({"instruction_nochat": f"q{i}"}), api_name="/submit_nochat_api") for i in range(4)]
told["several"] = [ast.literal_eval(each.result(timeout=20))["response"] for each in jobs]

# One that is canceled
job = client.submit(
    str({"instruction_nochat": WORDS, "stream_output": True, "visible_models": "stalled"}),
    api_name="/submit_nochat_api",
)
while not job.outputs():
    time.sleep(0.01)
told["canceled"] = job.cancel()
after = str({"instruction_nochat": "after", "visible_models": ["slow"], "max_tokens": 3})
told["after"] = bool(ast.literal_eval(client.predict(after, api_name="/submit_nochat_api"))["response"])

print(json.dumps(told))
