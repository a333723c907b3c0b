"""What a classifier says of patches."""

import numpy as np
import torch

from engine import metrics
from engine.batches import in_order, to_float
from engine.classifiers.base import Classifier
from engine.context import Context
from engine.data.patches import Patches
from engine.spec.failpoints import Act, reach

_BATCH = 512


@torch.no_grad()
def predict(context: Context, model: Classifier, patches: Patches) -> metrics.Array:
    """Logits of tumour, (N,) float64. Raises Stopped where the run was asked to stop."""
    model.eval()
    logits = np.empty(len(patches), np.float64)
    for start, images in in_order(patches, _BATCH, context.device):
        context.stop.raise_if_requested()
        reach(Act.PREDICT)
        logits[start : start + len(images)] = model(to_float(images)).double().cpu().numpy()
    return logits
