"""The PE Audio model: find a checkpoint, load its towers, embed windows and texts.

The only floor that imports torch and transformers.
"""

import os

# Between two operations torch's threads spin by default, and on a machine that is busy with something else they take
# the very cores that the work is waiting for: indexing beside one busy process went 13 times as slowly. OpenMP reads
# this when torch is first imported; a user's own setting stands.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
