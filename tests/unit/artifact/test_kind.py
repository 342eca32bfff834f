"""Deployments are a JSON list of environments."""

import json

import pytest

from kickoff.artifact import artifact_type
from kickoff.errors import KickoffError


@pytest.mark.parametrize("text", ["staging", "{}", "[1]", '"staging"', "[", "null"])
def test_deployments_are_a_json_list(text: str) -> None:
    assert artifact_type.parse(json.dumps(["staging"])) == ["staging"]
    with pytest.raises(KickoffError, match="is not a list of environments"):
        artifact_type.parse(text)
