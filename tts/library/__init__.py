"""What people import: models in hand, and what is done with them, without a folder or a config.

  models     generators and verifiers on the devices: `load_generator`, `load_verifier`
  calls      `sample`, `score`, `search`: questions in, results out, one after the other
  results    what these give
  latent     `train_latent`: a verifier of a generator's own hidden states
  features   what such a one is fitted on, read block by block
  tree_page  a search tree as what a page is drawn from

The pure functions are below: `tts.searching` (methods, one question's search), `tts.sampling`,
`tts.engine` (which runs many questions), `tts.protocols` (what a model has to be). Stages of a
study use the same.
"""
