"""The keys that h2oGPT's clients send beside OpenAI's fields.

Source: https://github.com/h2oai/h2ogpt, `eval_func_param_names` in src/evaluate_params.py and the bodies of
openai_server/server.py.
"""

from __future__ import annotations

import re

from backends.requests import OPTIONS

# Another name for a field of ours.
RENAMED = {
    "max_new_tokens": "max_tokens",
    "min_new_tokens": "min_tokens",
    "guided_regex": "regex",
    "guided_choice": "choice",
    "guided_grammar": "grammar",
}
# OpenAI's and other servers' options of sampling: without an effect where the model has none of that.
SAMPLING = OPTIONS - {"max_tokens"}
PROMPTS = frozenset({"pre_prompt_query", "prompt_query", "pre_prompt_summary", "prompt_summary"}) | {
    "pre_prompt_extraction",
    "prompt_extraction",
}
PASSAGES = PROMPTS | {"text_context_list", "langchain_action", "langchain_mode", "top_k_docs"}
MESSAGES = frozenset({"system_prompt", "chat_conversation", "image_file"})
INSTRUCTION = frozenset({"instruction", "instruction_nochat", "iinput", "iinput_nochat"})
# Whoever calls `read` has used them, or has no use for them.
PASSED_OVER = frozenset({"h2ogpt_key", "user", "stream_output", "visible_models"})
HONOURED = RENAMED.keys() | PASSAGES | MESSAGES | INSTRUCTION | PASSED_OVER | {"do_sample", "guided_json", "use_agent"}
# Of no effect here, but known: who sends one is an h2oGPT client. So is who sends one that begins like that: options of
# documents and of agents.
BEGINNINGS = ("document_", "docs_", "hyde_", "agent_", "autogen_")
IGNORED = frozenset(
    # Of prompts and templates
    {"prompt_type", "prompt_dict", "context", "chat", "add_chat_history_to_context", "allow_chat_system_prompt"}
    | {"user_prompt_for_fake_system_prompt", "max_input_tokens", "max_total_input_tokens"}
    # Of sampling
    | {"penalty_alpha", "num_beams", "early_stopping", "num_return_sequences", "enable_caching", "attention_sinks"}
    | {"guided_whitespace_pattern"}
    # Of documents
    | {"langchain_agents", "chunk", "chunk_size", "min_max_new_tokens", "doc_json_mode", "metadata_in_context"}
    | {"all_docs_start_prompt", "all_docs_finish_prompt", "add_search_to_context", "keep_sources_in_context"}
    | {"append_sources_to_answer", "append_sources_to_chat", "show_accordions", "top_k_docs_max_show"}
    | {"show_link_in_sources", "langchain_only_model", "load_awq", "max_quality", "loaders"}
    | {"image_audio_loaders", "pdf_loaders", "url_loaders", "jq_schema", "extract_frames", "llava_prompt"}
    # Of JSON
    | {"json_object_prompt", "json_object_prompt_simpler", "json_code_prompt", "json_code_prompt_if_no_schema"}
    | {"json_schema_instruction", "json_preserve_system_prompt", "json_object_post_prompt_reminder"}
    | {"json_code_post_prompt_reminder", "json_code2_post_prompt_reminder"}
    # Of pictures, sounds and videos
    | {"visible_image_models", "visible_vision_models", "image_size", "image_quality", "image_guidance_scale"}
    | {"image_num_inference_steps", "image_control", "images_num_max", "image_resolution", "image_format"}
    | {"rotate_align_resize_image", "video_frame_period", "video_file", "image_batch_image_prompt"}
    | {"image_batch_final_prompt", "image_batch_stream", "chatbot_role", "speaker", "tts_language", "tts_speed"}
    # Of the rest
    | {"client_metadata", "model_lock", "delete_sources", "answer_with_sources", "sources_show_text_in_accordion"}
)
# Fields of OpenAI's or of this server's that h2oGPT's clients send too: they say nothing about who asks, and are not
# read as such.
SHARED = frozenset({"chat_template", "user"})
THEIRS = (HONOURED | IGNORED) - SHARED - {"h2ogpt_key"}
# Names that may be told in a header.
TOLD = re.compile(r"[A-Za-z0-9_.-]{1,64}").fullmatch


def is_theirs(name: str) -> bool:
    """Whether only h2oGPT's clients send a key of that name."""
    return name in THEIRS or name.startswith(BEGINNINGS)
