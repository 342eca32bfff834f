"""What the Swarm is given for a release, made of the compose file that one host would be given as well."""

from typing import Any

from kickoff.release.targets.swarm import documents

DOCUMENT: dict[str, Any] = {
    "services": {
        "blue": {
            "image": "shop@sha256:1",
            "command": None,
            "profiles": ["release"],
            "restart": "unless-stopped",
            "security_opt": ["no-new-privileges:true"],
            "cap_drop": ["ALL"],
            "mem_limit": "268435456",
            "cpus": 0.5,
            "pids_limit": 100,
            "tmpfs": ["/tmp:size=16m,mode=1777", "/run"],
            "environment": {"A": "1"},
            "networks": {"colours": None},
            "ports": [{"target": 8000, "published": "8000", "mode": "ingress", "protocol": "tcp"}],
            "volumes": [
                {"type": "bind", "source": "/s/releases/r/secrets", "target": "/run/secrets", "bind": {}},
                {"type": "volume", "source": "data", "target": "/data"},
                {"type": "bind", "source": "/etc/x", "target": "/x", "bind": {"create_host_path": True}},
            ],
            "deploy": {"replicas": 3, "placement": {}},
        },
        "traefik": {
            "image": "traefik",
            "ports": [{"target": 8080, "published": "80", "mode": "ingress", "protocol": "tcp"}],
            "deploy": {"mode": "global"},
        },
    },
    "networks": {"colours": {"name": "shop_colours", "external": True}, "other": {"name": "o"}},
    "volumes": {"data": {"name": "shop_data", "external": True}},
}
SECRETS = {"api_key": "/s/releases/r/secrets/api_key"}


def blue(**replaced: Any) -> dict[str, Any]:
    labels = {documents.FENCE: "7"}
    return documents.process(DOCUMENT, "blue", labels, SECRETS, **replaced)


def test_what_compose_alone_understands_is_said_in_swarm_s_words_or_left_out() -> None:
    found = blue()
    assert found["deploy"] == {
        "replicas": 3,
        "placement": {},
        "endpoint_mode": "dnsrr",
        "resources": {"limits": {"memory": "268435456", "cpus": "0.5", "pids": 100}},
        "labels": {documents.FENCE: "7"},
    }
    assert (
        not {"command", "profiles", "restart", "security_opt", "mem_limit", "tmpfs", "ports"} & found.keys()
    )
    assert found["cap_drop"] == ["ALL"]


def test_a_secret_is_the_swarm_s_and_no_folder_of_this_host() -> None:
    found = blue()
    assert found["secrets"] == [{"source": "api_key", "target": "api_key"}]
    assert found["volumes"] == [
        {"type": "volume", "source": "data", "target": "/data"},
        {"type": "bind", "source": "/etc/x", "target": "/x"},
        {"type": "tmpfs", "target": "/tmp", "tmpfs": {"size": 16 << 20}},
        {"type": "tmpfs", "target": "/run"},
    ]


def test_what_is_replaced_is_replaced_and_the_file_is_not_changed() -> None:
    once = {"restart_policy": {"condition": "none"}, "replicas": 1}
    found = blue(command=["migrate"], deploy=once)
    assert found["command"] == ["migrate"]
    assert found["deploy"].items() >= once.items()
    assert DOCUMENT["services"]["blue"]["deploy"] == {"replicas": 3, "placement": {}}


def test_a_stack_of_a_release_has_its_own_networks_alone_and_makes_none() -> None:
    found = documents.stack(DOCUMENT, {"web": blue()}, SECRETS)
    assert found["networks"] == {"colours": {"name": "shop_colours", "external": True}}
    assert found["secrets"] == {"api_key": {"file": "/s/releases/r/secrets/api_key"}}


def test_around_the_colours_stands_everything_that_no_release_starts() -> None:
    found = documents.around(DOCUMENT, {"blue": {}}, "shop")
    assert found["services"].keys() == {"traefik"}
    traefik = found["services"]["traefik"]
    assert traefik["ports"] == [{"target": 8080, "published": 80, "protocol": "tcp", "mode": "host"}]
    assert traefik["deploy"]["labels"] == {documents.PROJECT: "shop", documents.PROCESS: "traefik"}
