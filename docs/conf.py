"""The documentation as a site: sphinx-build -W -n -b html docs site"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import mailwire

extensions = ["docstrings", "myst_parser", "sphinx.ext.autodoc"]

project = "mailwire"
release = version = mailwire.__version__
source_suffix = {".md": "markdown"}
exclude_patterns = ["examples"]

html_theme = "furo"
html_title = "mailwire"
html_copy_source = False
html_show_copyright = False
# Of modules there is one in it: the others are documented by the packages that offer their names.
html_domain_indices = False
html_static_path = ["_static"]
html_css_files = ["site.css"]

# The pages are read on a code forge as well: their anchors are those that forges make.
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_inherit_docstrings = False
autodoc_use_type_comments = False
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True
add_module_names = False
