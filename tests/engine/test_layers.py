"""Layers that are too large are named, with what made them and what divides them."""

from __future__ import annotations

import docker as docker_sdk
import pytest

from images import layers

GB = 10**9
BAKE = "RUN /bin/sh -c set -eu; export X=1;     /opt/firstlight/bin/firstlight bake {} # buildkit"
APT = (
    'RUN /bin/sh -c set -eu; set -- -o Acquire::https::CaInfo=/run/secrets/ca; apt-get "$@" update;'
    '     apt-get "$@" install --yes     cuda     tree; rm -rf x # buildkit'
)


@pytest.mark.parametrize(
    ("made_by", "size", "said"),
    [
        (
            BAKE.format("app"),
            5 * GB,
            "layer of 5.0 GB: RUN firstlight bake app\n  hint: `layers: 3` of `python.envs.app` divides it",
        ),
        (
            BAKE.format("app --part 2/3"),
            3 * GB,
            "layer of 3.0 GB: RUN firstlight bake app --part 2/3\n  hint: `layers: 6` of `python.envs.app` divides it",
        ),
        (
            BAKE.format("nodes"),
            3 * GB,
            "layer of 3.0 GB: RUN firstlight bake nodes\n  hint: `at: start` of nodes leaves it to the first start",
        ),
        (
            APT,
            2 * GB + 1,
            'layer of 2.0 GB: RUN apt-get "$@" update; apt-get "$@" install --yes cuda tree\n'
            "  hint: ask for fewer packages in `image.apt`",
        ),
        (
            "COPY files /opt/firstlight/files # buildkit",
            3 * GB,
            "layer of 3.0 GB: COPY files /opt/firstlight/files\n  hint: ship less with the manifest",
        ),
        (
            "RUN /bin/sh -c set -eu; export X=1;     uv pip install --python /opt/firstlight/control -r x # buildkit",
            3 * GB,
            "layer of 3.0 GB: RUN uv pip install --python /opt/firstlight/control -r x\n"
            "  hint: ask for fewer packages in `jupyter.packages`",
        ),
        (
            "RUN /bin/sh -c apt-get update && apt-get install -y cuda # buildkit",
            3 * GB,
            "layer of 3.0 GB: RUN apt-get update && apt-get install -y cuda\n"
            "  hint: it comes with the base image: take a smaller `image.base`",
        ),
        (
            "",
            4 * GB,
            "layer of 4.0 GB: the base image\n  hint: it comes with the base image: take a smaller `image.base`",
        ),
    ],
)
def test_a_layer_that_is_too_large_is_named(made_by: str, size: int, said: str) -> None:
    assert layers.large([{"Size": 2 * GB, "CreatedBy": "RUN x"}, {"Size": size, "CreatedBy": made_by}], ["app"]) == [
        said
    ]


def test_they_are_told_in_the_order_in_which_they_were_made() -> None:
    history = [{"Size": size * GB, "CreatedBy": BAKE.format(name)} for name, size in (("b", 4), ("a", 3))]
    assert [line.split()[7] for line in layers.large(history, [])] == ["a", "b"]


def test_docker_s_own_history_is_understood(
    small: str, docker: docker_sdk.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers, "LARGEST", 10**6)
    (found,) = layers.large(docker.images.get(small).history(), [])
    assert found.startswith("layer of 0.1 GB: ")
    assert found.endswith("it comes with the base image: take a smaller `image.base`")
