"""Fetches a file with the hub's own client, in a process of its own: the library is large, and is needed for moments.

`python -m init.fetch.hub`: one JSON object in, one out. The token comes in the environment (HF_TOKEN).
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any


def download(order: dict[str, Any]) -> dict[str, Any]:
    """Fetch `path` of `repo` at `revision` from `endpoint` into `folder`, by Xet or over plain HTTP."""
    from huggingface_hub import hf_hub_download

    try:
        path = hf_hub_download(
            order["repo"],
            order["path"],
            revision=order["revision"],
            endpoint=order["endpoint"],
            local_dir=order["folder"],
            token=os.environ.get("HF_TOKEN") or False,
        )
    except Exception as error:
        reply = getattr(error, "response", None)
        headers = getattr(reply, "headers", {})
        return {
            "status": getattr(reply, "status_code", None),
            "code": headers.get("X-Error-Code", ""),
            "retry_after": headers.get("Retry-After"),
            "error": f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}",
        }
    return {"path": path}


if __name__ == "__main__":
    print(json.dumps(download(json.load(sys.stdin))), flush=True)
