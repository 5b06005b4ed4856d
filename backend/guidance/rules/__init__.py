"""All rules by their names in jobs.  A new rule is a module here and a line in this table, nothing else."""

from __future__ import annotations

from typing import Any

from backend.guidance.base import Rule
from backend.guidance.rules.asd import ASD
from backend.guidance.rules.asd_async import Asynchronous
from backend.guidance.rules.consistent3d import Consistent3D
from backend.guidance.rules.csd import CSD
from backend.guidance.rules.dreamflow import DreamFlow
from backend.guidance.rules.ism import ISM
from backend.guidance.rules.jsd import JSD
from backend.guidance.rules.lmc import LMC
from backend.guidance.rules.lods import LODS
from backend.guidance.rules.nfsd import NFSD
from backend.guidance.rules.sdi import SDI
from backend.guidance.rules.sds import SDS
from backend.guidance.rules.ssd import SSD
from backend.guidance.rules.vdm import VDM
from backend.guidance.rules.vsd import VSD

RULES: dict[str, type[Rule[Any]]] = {
    "sds": SDS,
    "jsd": JSD,
    "vdm": VDM,
    "csd": CSD,
    "nfsd": NFSD,
    "ism": ISM,
    "sdi": SDI,
    "ssd": SSD,
    "consistent3d": Consistent3D,
    "asd-async": Asynchronous,
    "vsd": VSD,
    "asd": ASD,
    "lods": LODS,
    "dreamflow": DreamFlow,
    "lmc": LMC,
}
