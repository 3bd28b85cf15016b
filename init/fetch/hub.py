"""Talks to the Hugging Face hub, in a process of its own: the client library is large, and is needed for moments only.

`python -m init.fetch.hub resolve`: one JSON line in per file, one out, in any order.
`python -m init.fetch.hub download`: one JSON line in; fetches that file by the library's own transport, Xet or plain.
The token comes in the environment (HF_TOKEN) and goes to the hub only.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

WORKERS = 8


def resolve(order: dict[str, Any]) -> dict[str, Any]:
    """The signed address, size, etag and commit of a file, from one HEAD request."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    url = hf_hub_url(order["repo"], order["path"], revision=order["revision"], endpoint=order["endpoint"])
    found = get_hf_file_metadata(url, token=os.environ.get("HF_TOKEN") or False, timeout=20)
    return {"url": found.location, "size": found.size, "etag": found.etag, "revision": found.commit_hash}


def download(order: dict[str, Any]) -> dict[str, Any]:
    """The file below `folder`."""
    from huggingface_hub import hf_hub_download

    path = hf_hub_download(
        order["repo"],
        order["path"],
        revision=order["revision"],
        endpoint=order["endpoint"],
        local_dir=order["folder"],
        token=os.environ.get("HF_TOKEN") or False,
    )
    return {"path": path}


def answer(order: dict[str, Any], verb: str) -> dict[str, Any]:
    try:
        return {"id": order["id"], **(resolve(order) if verb == "resolve" else download(order))}
    except Exception as error:
        reply = getattr(error, "response", None)
        headers = getattr(reply, "headers", {})
        return {
            "id": order["id"],
            "status": getattr(reply, "status_code", None),
            "code": headers.get("X-Error-Code", ""),
            "retry_after": headers.get("Retry-After"),
            "error": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
        }


def main(verb: str) -> None:
    lock = threading.Lock()

    def work(order: dict[str, Any]) -> None:
        line = json.dumps(answer(order, verb))
        with lock:
            print(line, flush=True)

    with ThreadPoolExecutor(WORKERS) as pool:
        for line in sys.stdin:
            pool.submit(work, json.loads(line))


if __name__ == "__main__":
    main(sys.argv[1])
