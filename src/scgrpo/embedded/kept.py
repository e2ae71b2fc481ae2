"""What a base model was built from, held against what is asked for now."""

import json
from dataclasses import asdict

from scgrpo.embedded.base_model import SUBJECTS, dials
from scgrpo.embedded.request import BaseRequest
from scgrpo.mistakes import ConfigError


def refuse_other_base(request: BaseRequest) -> None:
    """Refuse a folder whose base was built otherwise.

    Raises:
        ConfigError: naming the first option that differs, both values and the cure.
    """
    kept = json.loads((request.output / "recipe.json").read_text(encoding="utf-8"))
    built = {"task": kept.get("name", "synthetic"), **kept["training"]}
    asked = {name: getattr(request, name) for name in ("task", "width", "layers", "seed")}
    built.setdefault("start", None)
    asked["start"] = request.start
    asked["steps"] = request.steps or SUBJECTS[request.task].steps
    for part, own in zip(("task", "corpus"), dials(request), strict=True):
        built |= {f"{part}_options.{name}": value for name, value in kept[part].items()}
        values = json.loads(json.dumps(asdict(own)))
        asked |= {f"{part}_options.{name}": value for name, value in values.items()}
    for name, value in asked.items():
        if built.get(name, value) != value:
            raise ConfigError(
                f"{request.output} was built with {name} {built[name]!r}, not {value!r}; choose "
                "another output, or delete it."
            )
