"""Launchers: `python -m launch.NAME` in a checkout, `tts-scaling NAME` wherever it is installed.

In a wheel this package is `tts.launch`, so its modules import each other relatively.
"""
