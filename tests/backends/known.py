"""Names of parameters beside the fields of requests."""

from __future__ import annotations

EXTRA = {
    *("top_k", "min_p", "repetition_penalty", "ignore_eos", "min_tokens", "script", "token_prompts"),
    *("stop_token_ids", "include_stop_str_in_output", "bad_words", "allowed_token_ids", "skip_special_tokens"),
    *("spaces_between_special_tokens", "truncate_prompt_tokens", "truncation_side", "cache_salt"),
    *("add_special_tokens", "return_tokens_as_token_ids", "priority", "thinking_token_budget"),
    *("chat_echo", "add_generation_prompt", "continue_final_message", "chat_template_kwargs"),
    "use_activation",
    *("json_object", "json_schema", "regex", "choice", "grammar"),
    *("translate", "segment_timestamps", "word_timestamps", "transcript_logprobs", "server_vad"),
    *("edit", "vary", "style", "input_fidelity", "complexity", "frame_count", "frame_duration_ms", "svg", "gif"),
}
