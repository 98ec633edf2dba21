"""x"""
from beamtrain.topk.soft import SoftTopK, soft_topk
