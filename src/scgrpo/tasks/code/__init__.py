"""Programming problems, judged by running the programs in a sandbox."""

from scgrpo.extras import require

require("code")
