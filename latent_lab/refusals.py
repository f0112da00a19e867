"""What a composed configuration is refused for, as a whole: each a :class:`Mistake`, one line."""

import copy
from pathlib import Path

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from latent_lab.mistakes import Mistake

CONF = Path(__file__).resolve().parent.parent / "conf"
READ_BY_REFERENCE = (  # which not every analysis makes
    "n_labels", "label_seed", "labels", "score_on", "classifier", "transductive", "spread",
)  # fmt: skip
CALLBACK_GROUPS = ("observers", "analyses")
FOLLOWS = ("domain", "family", "recipe", "hydra")  # groups that nobody chooses: they follow from others


def require_own_hydra(config: DictConfig, base: DictConfig) -> None:
    """Raises Mistake for a launcher or a sweeper of others, and for folders named in Hydra's way."""
    choices, launcher = config.hydra.runtime.choices, config.hydra.launcher
    ours = sorted(p.stem for p in (CONF / "hydra" / "launcher").glob("*.yaml"))
    if not str(OmegaConf.is_dict(launcher) and launcher.get("_target_")).startswith("latent_lab.launchers."):
        named = choices.get("hydra/launcher")
        raise Mistake(f"hydra/launcher={named}: not one of this project's, which are {', '.join(ours)}")
    if config.hydra.sweeper._target_ != base.hydra.sweeper._target_:
        raise Mistake(f"hydra/sweeper={choices.get('hydra/sweeper')}: sweeps are Hydra's basic ones here")
    for place in ("run.dir", "sweep.dir", "sweep.subdir"):
        node, default = (OmegaConf.to_container(c.hydra)[place.split(".")[0]][place.split(".")[1]]
                         for c in (config, base))  # fmt: skip
        if node != default:
            raise Mistake(f"hydra.{place}={node}: folders are named by paths.outputs=DIR and sweep=NAME")


def require_all(base: DictConfig, config: DictConfig) -> None:
    """Raises Mistake where a setting that has a value by default is left without one."""
    for key, default in base.items_ex(resolve=False):
        if default is not None and config.get(key) is None and key != "hydra":
            raise Mistake(f"{key}: can't be left out")


def require_a_pair(config: DictConfig, overrides: list[Override]) -> None:
    """Raises Mistake for a model that is not for such data: there are no callbacks, or no networks, for the two."""
    choices = config.hydra.runtime.choices
    follows = not any(o.key_or_group == "callbacks" for o in overrides)
    if (follows and "callbacks" not in config) or ("model" in config and OmegaConf.missing_keys(config.model)):
        raise Mistake(not_for(choices.model, choices.dataset, choices.domain))


def not_for(model: str, dataset: str, domain: str) -> str:
    """That the two don't go together, and which models there are recipes for."""
    recipes = sorted(path.stem.removeprefix(f"{domain}_") for path in (CONF / "recipe").glob(f"{domain}_*.yaml"))
    models = [name for name in recipes if (CONF / "model" / f"{name}.yaml").exists()]
    return f"model={model}: not for dataset={dataset}, which goes with {', '.join(models)}"


def require_a_reader(overrides: list[Override], config: DictConfig, choices: dict[str, str]) -> set[str]:
    """Raises Mistake for a setting that nothing in this job makes use of.

    Returns:
        those of the settings and groups read by reference that nothing in it reads.
    """
    config = copy.deepcopy(config)
    following = [config.dataset.get(name) for name in ("train_subset", "n_labels")]
    if "train_subset" in config.dataset and all(value in (None, "all") for value in following):
        for key in {"label_seed", "labels"} & config.dataset.keys():
            if any(o.key_or_group == f"dataset.{key}" for o in overrides):
                raise Mistake(
                    f"dataset.{key}: without effect where neither dataset.train_subset nor dataset.n_labels is a number"
                )
            del config.dataset[key]
    text = OmegaConf.to_yaml(config, resolve=False)
    without_effect = {name for name in READ_BY_REFERENCE if f"${{{name}}}" not in text}
    for override in overrides:
        path = override.key_or_group.split(".")
        if path[0] in without_effect:
            raise Mistake(f"{override.input_line}: model={choices['model']} makes no use of {path[0]}")
        ours = path[0] == "callbacks" and len(path) > 1 and path[1] not in CALLBACK_GROUPS
        if ours and f"${{callbacks.{path[1]}}}" not in text:
            raise Mistake(f"{override.input_line}: a setting that nothing reads")
    return without_effect
