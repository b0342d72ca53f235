"""What engines would tell their makers. Nothing leaves this machine unasked."""

from __future__ import annotations

import os


def switch_off() -> None:
    """To be called before anything imports onnxruntime: from 1.31 on it sends events to Microsoft otherwise, and looks
    at this variable only when it is loaded. Libraries of Hugging Face would ask its hub for what they do not find.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
