"""Two phases: the model explains data, the guide explains weighted draws or dreams."""
