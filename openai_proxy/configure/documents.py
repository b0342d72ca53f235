"""What must hold in the section `[documents]` beyond the type of each setting."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from backends.wording import shown
from openai_proxy.config import Config
from openai_proxy.configure.jobs import unwritable
from openai_proxy.configure.shape import Report


def check_documents(config: Config, report: Report) -> None:
    """The folder can be written, and the model is one."""
    documents = config.documents
    if documents.home is not None and (problem := unwritable(Path(os.path.expanduser(documents.home)))):
        report(("documents", "home"), f"documents.home: {problem}")
    names = [name for each, model in config.models.items() for name in (each, *model.names)]
    if documents.model is not None and documents.model not in names:
        near = difflib.get_close_matches(documents.model, names, n=1)
        hint = f"; did you mean {shown(near[0])}?" if near else ""
        report(("documents", "model"), f"documents.model is {shown(documents.model)}, which is no model{hint}")
