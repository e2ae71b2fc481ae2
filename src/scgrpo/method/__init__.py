"""The paper, file by file: tensors in, tensors out, torch only.

`routing` -> `references` -> `divergence` (dense) and `chunked` (the same at scale) -> `weights`
-> `advantages` -> `losses`; `signals` for weights other than f(D), `signed` for those with a sign.
"""

from scgrpo.method.advantages import diversity_advantage as diversity_advantage
from scgrpo.method.advantages import diversity_score as diversity_score
from scgrpo.method.advantages import group_advantage as group_advantage
from scgrpo.method.advantages import token_returns as token_returns
from scgrpo.method.advantages import whiten as whiten
from scgrpo.method.chunked import chunked_comparison as chunked_comparison
from scgrpo.method.chunked import chunked_disagreement as chunked_disagreement
from scgrpo.method.chunked import chunked_divergence as chunked_divergence
from scgrpo.method.chunked import chunked_logps as chunked_logps
from scgrpo.method.chunked import chunked_statistics as chunked_statistics
from scgrpo.method.chunked import chunked_top_tokens as chunked_top_tokens
from scgrpo.method.divergence import disagreement as disagreement
from scgrpo.method.divergence import entry_clipped as entry_clipped
from scgrpo.method.divergence import per_token_divergence as per_token_divergence
from scgrpo.method.losses import clipped_divergence as clipped_divergence
from scgrpo.method.losses import clipped_surrogate as clipped_surrogate
from scgrpo.method.losses import sequence_mean as sequence_mean
from scgrpo.method.losses import token_mean as token_mean
from scgrpo.method.losses import warmed as warmed
from scgrpo.method.references import REFERENCE_KINDS as REFERENCE_KINDS
from scgrpo.method.references import draw_elsewhere as draw_elsewhere
from scgrpo.method.references import draw_references as draw_references
from scgrpo.method.routing import REFERENCE_SETS as REFERENCE_SETS
from scgrpo.method.routing import Route as Route
from scgrpo.method.routing import route_groups as route_groups
from scgrpo.method.routing import verified_mask as verified_mask
from scgrpo.method.signals import WEIGHTS as WEIGHTS
from scgrpo.method.signals import Weight as Weight
from scgrpo.method.signals import as_weight as as_weight
from scgrpo.method.signed import Ranking as Ranking
from scgrpo.method.signed import believed as believed
from scgrpo.method.signed import faded as faded
from scgrpo.method.signed import ranked as ranked
from scgrpo.method.signed import signed_weight as signed_weight
from scgrpo.method.weights import credit_weight as credit_weight
from scgrpo.method.weights import mean_one as mean_one
from scgrpo.method.weights import quantile as quantile
from scgrpo.method.weights import threshold as threshold
