"""What the client makes of predictions of texts. Prints JSON."""

# mypy: ignore-errors

import asyncio
import json
import sys

import replicate
from replicate.exceptions import ModelError, ReplicateError

alias, digest = sys.argv[1:]
told = {}

# By owner and name, with a wait; by both and a version, which is fetched and gives an iterator; by the model's id.
told["run"] = replicate.run("local/echo", input={"prompt": "one two three"})
told["run_version"] = list(replicate.run(f"local/echo:{digest}", input={"prompt": "one two three"}))
told["run_alias"] = list(replicate.run(alias, input={"prompt": "one two", "max_new_tokens": 1}))

# A wait that runs out, and none: the client polls, and reads the output as it grows.
told["run_slow"] = len(replicate.run("org/slow", input={"prompt": "a"}, wait=1))
version = replicate.models.get("org/slow").latest_version
told["run_polled"] = len(list(replicate.run(f"org/slow:{version.id}", input={"prompt": "a"}, wait=1)))
told["run_at_once"] = list(replicate.run(f"local/echo:{digest}", input={"prompt": "one two three"}, wait=False))
told["run_unwaited"] = len(list(replicate.run(version, input={"prompt": "a"}, wait=False)))

told["stream"] = [str(event) for event in replicate.stream("local/echo", input={"prompt": "one\ntwo three"})]
told["stream_version"] = "".join(map(str, replicate.stream(f"local/echo:{digest}", input={"prompt": "one two"})))
told["lines"] = "".join(map(str, replicate.stream("local/shouting", input={"prompt": "a"})))

try:
    replicate.run("local/broken", input={"prompt": "one two three"})
except ModelError as error:
    told["model_error"] = [error.prediction.status, bool(str(error)), error.prediction.output]
try:
    list(replicate.stream("local/broken", input={"prompt": "one two three"}))
except RuntimeError as error:
    told["stream_error"] = list(json.loads(str(error)))
try:
    replicate.run("local/none", input={"prompt": "a"})
except ReplicateError as error:
    told["unknown_model"] = [error.status, error.title, error.detail]
try:
    replicate.run("local/echo", input={"prompt": "a", "temperature": 9})
except ReplicateError as error:
    told["invalid"] = [error.status, error.title]
try:
    replicate.predictions.create(version="echo", input={"prompt": "a"}, webhook="https://example.org/")
except ReplicateError as error:
    told["webhook"] = error.status

made = replicate.predictions.create(version=digest, input={"prompt": "a b"})
made.wait()
told["created"] = [made.status, made.output, made.model, made.input, made.metrics["output_token_count"]]
told["got"] = replicate.predictions.get(made.id).output
told["replayed"] = "".join(map(str, made.stream()))
slow = replicate.models.predictions.create(("org", "slow"), input={"prompt": "a"})
slow.cancel()
told["canceled"] = slow.status
slow.reload()
told["reloaded"] = [slow.status, slow.output is None or len(slow.output) < 40]
page = replicate.predictions.list()
told["listed"] = [page.results[0].id == slow.id, page.previous]

told["models"] = [model.id for model in replicate.models.list()]
model = replicate.models.get(alias.partition(":")[0])
told["model"] = [model.id, model.latest_version.id, len(model.versions.list().results)]
told["version"] = model.versions.get(digest).id
told["account"] = replicate.default_client.accounts.current().username


async def later() -> list:
    events = await replicate.async_stream("local/echo", input={"prompt": "one two"})
    return [await replicate.async_run("local/echo", input={"prompt": "one two"}), [str(each) async for each in events]]


told["async"] = asyncio.run(later())
print(json.dumps(told))
