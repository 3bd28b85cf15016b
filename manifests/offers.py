"""Vast.ai's search for machines: its fields, and conditions as its own client writes them (`>= 12.8`)."""

from __future__ import annotations

import re
from typing import Any

_FIELDS = """bw_nvlink cluster_id compute_cap cpu_arch cpu_cores cpu_cores_effective cpu_ghz cpu_ram cuda_max_good
datacenter direct_port_count disk_bw disk_space dlperf dlperf_per_dphtotal dph_total driver_version duration external
flops_per_dphtotal geolocation gpu_arch gpu_display_active gpu_frac gpu_max_power gpu_max_temp gpu_mem_bw gpu_name
gpu_ram gpu_total_ram has_avx host_id id inet_down inet_down_cost inet_up inet_up_cost machine_id min_bid mobo_name
num_gpus pci_gen pcie_bw reliability rentable rented static_ip storage_cost total_flops ubuntu_version verification
verified vms_enabled"""
FIELDS = frozenset(_FIELDS.split())
OPERATORS = {">=": "gte", "<=": "lte", ">": "gt", "<": "lt", "!=": "neq", "==": "eq", "=": "eq"} | {
    "in": "in",
    "notin": "notin",
}
TIMES = {"cpu_ram": 1000.0, "gpu_ram": 1000.0, "gpu_total_ram": 1000.0, "duration": 86_400.0}
"""What the client writes in GB and days, the API in MB and seconds."""
_CONDITION = re.compile(r"(>=|<=|!=|==|[<>=]|in\b|notin\b)?\s*(\[[^][]+\]|[^][<>=!][^][]*)")


def condition(field: str, text: str) -> dict[str, Any]:
    """What the API is told of one field, by operator. Raises ValueError: no condition."""
    match = _CONDITION.fullmatch(text.strip())
    if match is None:
        raise ValueError("no condition")
    name, value = OPERATORS[match[1] or "="], match[2].strip()
    if name in ("in", "notin"):
        return {name: [_word(item.strip()) for item in value.strip("[]").split(",") if item.strip()]}
    if value.startswith("["):
        raise ValueError("a list goes with `in`")
    if field in TIMES:
        return {name: float(value) * TIMES[field]}
    if value in ("true", "True", "false", "False"):
        return {name: value.lower() == "true"}
    if field == "driver_version" and re.fullmatch(r"\d{1,3}\.\d{1,3}\.\d{1,3}", value):
        return {name: int("".join(part.zfill(3) for part in value.split(".")))}
    return {name: _word(value)}


def _word(text: str) -> str:
    """GPUs are called `RTX 4090` there; the client writes `RTX_4090`."""
    return text.strip('"').replace("_", " ")
