"""The calls of h2oGPT's own wrapper around gradio_client 0.6.1, with the arguments that it sends; what came, as JSON.

Before each it asks whether the server is the same as before, and a stream is read until its last output.
"""

# mypy: ignore-errors

import ast
import json
import sys
import time

from gradio_client import Client

HOST = sys.argv[1]
TEXTS = ["Whisper hears speech.", "It was trained on 680,000 hours."]
COMMON = {
    "langchain_agents": [],
    "top_k_docs": 10,
    "document_choice": "All",
    "document_subset": "Relevant",
    "system_prompt": "",
    "pre_prompt_query": None,
    "prompt_query": None,
    "pre_prompt_summary": "",
    "prompt_summary": None,
    "stream_output": False,
    "do_sample": False,
    "seed": 0,
    "temperature": 0.0,
    "top_p": 1.0,
    "top_k": 40,
    "repetition_penalty": 1.07,
    "penalty_alpha": 0.0,
    "max_time": 360,
    "max_new_tokens": 1024,
    "add_search_to_context": False,
    "chat_conversation": [],
    "text_context_list": [],
    "docs_ordering_type": None,
    "min_max_new_tokens": 512,
    "max_input_tokens": -1,
    "docs_token_handling": "split_or_merge",
    "docs_joiner": "\n\n",
    "hyde_level": 0,
    "image_file": None,
    "jq_schema": ".[]",
    "extract_frames": 10,
    "visible_models": None,
    "num_beams": 1,
    "iinput_nochat": "",
    "instruction_nochat": "",
    "chat": True,
    "h2ogpt_key": None,
    "tts_speed": 1.0,
}
client = Client(HOST, verbose=False, serialize=False)


def server_hash():
    found = client.submit(api_name="/system_hash").result()
    assert len(found) == 40
    assert int(found, 16)
    return found


first = server_hash()


def ask(instruction, action, mode="LLM", **more):
    assert server_hash() == first
    given = {**COMMON, "instruction": instruction, "langchain_action": action, "langchain_mode": mode, **more}
    job = client.submit(str(given), api_name="/submit_nochat_api")
    if not given["stream_output"]:
        return ast.literal_eval(job.result())
    pieces = []
    while not job.done():
        outputs = job.outputs().copy()
        if outputs:
            text = ast.literal_eval(outputs[-1])["response"]
            if text != "".join(pieces):
                pieces.append(text[len("".join(pieces)) :])
        time.sleep(0.01)
    assert job.communicator.job.latest_status.success
    return ast.literal_eval(job.outputs()[-1]) | {"pieces": pieces}


def shown(answer):
    return {
        "response": answer["response"],
        "sources": answer["sources"],
        "prompt_raw": answer["prompt_raw"],
        "base_model": answer["save_dict"]["base_model"],
        "figures": {name: answer["save_dict"]["extra_dict"][name] for name in ("num_prompt_tokens", "ntokens")},
        "rate": answer["save_dict"]["extra_dict"]["tokens_persecond"] > 0,
        "pieces": answer.get("pieces"),
    }


told = {
    "models": [each["base_model"] for each in ast.literal_eval(client.predict(api_name="/model_names"))],
    "question": shown(ask("Who are you?", "Query")),
    "question_stream": shown(ask("Who are you? " * 9, "Query", stream_output=True, visible_models="slow")),
    "query": shown(ask("What is it?", "Query", "MyData", text_context_list=TEXTS)),
    "summarize": shown(ask(None, "Summarize", "MyData", text_context_list=TEXTS, prompt_summary="Be short.")),
    "extract": shown(ask("numbers", "Extract", "MyData", text_context_list=TEXTS, prompt_summary="Give all")),
}
told["extracted"] = [each.strip() for each in ast.literal_eval(told["extract"]["response"])]
print(json.dumps(told))
