"""Mathematics: DAPO-Math, MATH and GSM8K to train on; AIME, MATH-500 and AMC to evaluate on."""

from scgrpo.extras import require

require("math")
