"""The client and models that answer. Prints JSON."""

# mypy: ignore-errors

import io
import json
import math
import time

import replicate

TEXT = "local/smollm2-135m-instruct"
QUESTION = {"prompt": "What is the capital of France?", "temperature": 0, "max_new_tokens": 32}
told = {}

told["run"] = "".join(replicate.run(TEXT, input=QUESTION))
told["streamed"] = "".join(map(str, replicate.stream(TEXT, input=QUESTION)))
version = replicate.models.get(TEXT).latest_version
told["polled"] = "".join(replicate.run(version, input=QUESTION, wait=False))
template = "<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"
asked = {**QUESTION, "prompt_template": template, "top_k": 50, "stop_sequences": "<end>,<stop>"}
told["templated"] = "".join(replicate.run(TEXT, input=asked))

vector = replicate.run("local/all-minilm-l6-v2", input={"text": "a"})
told["width"], told["length"] = len(vector), math.hypot(*vector)

said = replicate.run("local/hibari", input={"text": "The quick brown fox.", "format": "mp3"}).read()
heard = replicate.run("local/whisper-base", input={"audio": io.BytesIO(said), "language": "en"})
told["heard"] = [word for word in ("quick", "brown", "fox") if word in heard["text"]]

long = replicate.predictions.create(version=TEXT, input={"prompt": "Tell me a long story.", "max_new_tokens": 2000})
while not long.output:
    time.sleep(0.01)
    long.reload()
began = time.monotonic()
long.cancel()
told["canceled"] = time.monotonic() - began if long.status == "canceled" else math.inf
print(json.dumps(told))
