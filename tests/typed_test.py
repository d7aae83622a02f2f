"""What type checkers read of `tts`: every public name, from the module that has it."""

import ast
import pathlib

import tts


def test_hints_know_the_public_names():
  tree = ast.parse(pathlib.Path(tts.__file__).read_text())
  block, = (node for node in tree.body
            if isinstance(node, ast.If) and ast.unparse(node.test) == 'TYPE_CHECKING')
  said = {alias.asname: None if node.module == 'tts' else node.module
          for node in block.body for alias in node.names}
  assert said == tts._PUBLIC
  assert pathlib.Path(tts.__file__).with_name('py.typed').is_file()
