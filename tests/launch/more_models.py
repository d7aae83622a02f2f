"""The smoke config with models of one's own: each is one entry."""

import dataclasses

from configs import smoke
from tts import config


def get_config():
  found = config.from_config_dict(smoke.get_config())
  own = config.Models(**{
      **found.models,
      'huge': dataclasses.replace(found.models['large'], learns='solutions'),
      'prm_wide': dataclasses.replace(found.models['prm'], learns='rollouts')})
  return config.to_config_dict(dataclasses.replace(found, models=own))
