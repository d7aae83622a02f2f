"""Installs `tts` and the command `tts-scaling`.

`pip install -e .` puts this folder on the path, so that `python -m launch.*` works anywhere too.
"""

import setuptools
from setuptools.command import build_py


class BuildPy(build_py.build_py):
  """Puts `launch` and `configs`, names that others have too, into `tts` where a wheel is built."""

  def finalize_options(self):
    super().finalize_options()
    for name in ('launch', 'configs'):
      self.packages = [*self.packages, f'tts.{name}']
      self.package_dir[f'tts.{name}'] = name


setuptools.setup(
    name='tts-scaling',  # `tts` is another's; the import is `tts` all the same
    version='0.1.0',
    description='Test-time scaling of language models in JAX: search, verifiers, allocation.',
    license='Apache-2.0',
    python_requires='>=3.11',
    cmdclass={'build_py': BuildPy},
    packages=setuptools.find_packages(include=['tts', 'tts.*']),
    package_dir={'': '.'},
    package_data={'tts': ['py.typed']},
    entry_points={'console_scripts': ['tts-scaling = tts.command:main']},
    install_requires=[
        'absl-py>=2.1',
        # The only format of TFDS without TensorFlow.
        'array_record>=0.8; platform_system != "Windows"',
        'flax>=0.12',
        'importlib_resources',  # TFDS needs it and does not say so
        'jax>=0.10',
        'matplotlib>=3.8',
        'ml_collections>=1.0',
        'mpmath>=1.3',  # irrational numbers in answers
        'msgspec>=0.19',
        'numpy>=2.0',
        'optax>=0.2.5',
        'orbax-checkpoint>=0.12',
        'rapidfuzz>=3.9',
        'scipy>=1.13',
        'sentencepiece>=0.2.1',
        'tensorflow-datasets>=4.9.9',
        'tqdm>=4.66',
    ],
    extras_require={
        'docs': ['markdown>=3.6'],  # README and docs as a site: docs/build.py
        'engine': ['httpx>=0.28'],  # a completions server as generator
        'gcs': ['google-cloud-storage>=3.4'],  # gs:// paths
        'gguf': ['gguf>=0.17', 'jinja2>=3.1.6', 'tokenizers>=0.21'],  # F.gguf as a checkpoint
        'lint': ['mypy==2.4.1', 'ruff==0.17.6'],  # what .ci/run checks before it tests
        'math': ['math-verify>=0.9'],  # knows algebra: --config.data.grader=math
        # Checkpoints, tokenizers and data from elsewhere, hf:// paths among them.
        'open': ['huggingface_hub>=0.34', 'jinja2>=3.1.6', 'safetensors>=0.5', 'tokenizers>=0.21'],
        # What imports are compared with in tests.
        'parity': ['accelerate>=1.1', 'torch>=2.5', 'transformers>=4.51'],
        # What `python -m benchmarks.peers` measures beside ours.
        'peers': ['ctranslate2>=4.6', 'torch>=2.5', 'transformers>=5.0', 'xllamacpp>=2025.10'],
        'tensorboard': ['tensorboardX>=2.6'],  # event files beside W/metrics/*.jsonl
        'test': ['gcp-storage-emulator>=2024.8', 'gguf>=0.17', 'google-cloud-storage>=3.4',
                 'httpx>=0.28', 'huggingface_hub>=0.34', 'jinja2>=3.1.6', 'markdown>=3.6',
                 'math-verify>=0.9', 'pytest>=8', 'pytest-xdist>=3.6', 'safetensors>=0.5',
                 'setuptools>=70.1',
                 'tensorboardX>=2.6', 'tokenizers>=0.21'],
        'tpu': ['libtpu>=0.0.52'],  # compiles for TPU topologies on a machine that has none
    },
)
