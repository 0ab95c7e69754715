#!/bin/sh
# A Python environment with the HTML parser that tests/cli/page.py needs.
exec sh "$(dirname "$0")/venv" html-venv "html5lib>=1.1,<2"
