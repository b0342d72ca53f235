"""What the client makes of predictions of pictures, sounds and vectors. Prints JSON."""

# mypy: ignore-errors

import io
import json
import sys

import replicate

picture, sound = sys.argv[1:]
told = {}

drawn = replicate.run("local/echo", input={"prompt": "a", "width": 64, "num_outputs": 2, "output_format": "png"})
told["drawn"] = [[type(each).__name__, each.read()[:4].hex()] for each in drawn]
with open(picture, "rb") as file:
    changed = replicate.run("local/echo", input={"prompt": "a", "width": 64, "image": file})
told["changed"] = changed[0].read()[:4].hex()
with open(picture, "rb") as file:
    asked = {"prompt": "a", "image": file}
    told["seen"] = "".join(replicate.run("local/echo", input=asked, file_encoding_strategy="base64"))
made = replicate.predictions.create(version="echo", input={"prompt": "a", "width": 64})
made.wait()
told["progress"] = [made.progress.percentage, made.progress.current, made.progress.total]

told["said"] = replicate.run("local/echo", input={"text": "hello", "format": "wav"}).read()[:4].decode()
with open(sound, "rb") as file:
    told["heard"] = sorted(replicate.run("local/echo", input={"audio": file}))
told["vectors"] = [len(each) for each in replicate.run("local/echo", input={"texts": ["a", "b"]})]

file = replicate.files.create(io.BytesIO(b"abc"), filename="a.txt", metadata={"a": 1})
told["file"] = [file.name, file.size, file.content_type, file.metadata, replicate.files.get(file.id) == file]
told["files"] = file in replicate.files.list()
told["deleted"] = replicate.files.delete(file.id)
print(json.dumps(told))
