"""A generator that is elsewhere: behind an OpenAI-compatible completions server. No model in here.

`client` sends requests and asks again where that helps, `protocol` says what they and their replies
are, `cut` where a step ends in the ids that come, `writer` makes requests of the engine's jobs, and
`generator` is what samplers and searches call, in the place of `tts.engine.engine_models`.
"""
