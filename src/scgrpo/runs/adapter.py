"""The adapter that a run trains in place of the whole model."""

from collections.abc import Mapping
from typing import Any, get_type_hints

from scgrpo.extras import require
from scgrpo.mistakes import ConfigError, on_one_line, shown
from scgrpo.written.values import Misfit, coerce


def adapter_of(options: Mapping[str, Any]) -> Any:
    """The `peft.LoraConfig` of these arguments, None without any.

    Raises:
        ConfigError: for an argument that it does not have, or a value that cannot be.
        MissingExtra: where peft is not installed.
    """
    if not options:
        return None
    require("lora")
    from peft import LoraConfig

    hints = get_type_hints(LoraConfig) | {"lora_alpha": float}
    fitted: dict[str, Any] = {"task_type": "CAUSAL_LM"}
    for key, value in options.items():
        # What peft writes as Literal is not all that it takes.
        hint = Any if "Literal" in str(hints.get(key)) else hints.get(key, Any)
        try:
            fitted[key] = coerce(value, hint, as_written=True)
        except Misfit as misfit:
            raise ConfigError(f"lora.{key} is {shown(value)}; it must be {misfit}.") from None
    try:
        return LoraConfig(**fitted)
    except Exception as error:  # peft checks by whatever fails
        raise ConfigError(
            f"lora is {shown(options)}, which peft.LoraConfig refuses ({on_one_line(error)})."
        ) from error
