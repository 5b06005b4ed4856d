"""Renders objects that PyPI's `infinigen` 1.15.5 (BSD-3) makes by procedure: every seed is a new one.

    python -m prior_data.procedural --out work/infinigen --minutes 90

Raistrick et al., "Infinite Photorealistic Worlds Using Procedural Generation" (CVPR 2023) and "Infinigen Indoors"
(CVPR 2024).  Only generators that need nothing but Blender are here, most of them done in under ten seconds.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from prior_data.record import Record, sources_in
from prior_data.workers import Job, Views, run

SEEDS = 3  # of each kind
PATIENCE = 120.0  # seconds of processor time for an object; slower generators are not worth their pictures
LICENCE = "BSD-3-Clause tool, own render"


@dataclass(frozen=True)
class Kind:
    """A generator of infinigen, what people call its objects, and whether they have a front."""

    module: str
    generator: str
    name: str
    front: bool = False

    def job(self, seed: int) -> Job:
        record = Record(self.name, f"infinigen/{self.generator}/{seed}", LICENCE, "", self.front)
        return Job(record, self.generator, (self.module, self.generator, str(seed)))


KINDS = [
    # What people ask for.
    Kind("seating", "ChairFactory", "chair", front=True),
    Kind("seating", "OfficeChairFactory", "office chair", front=True),
    Kind("seating", "BarChairFactory", "bar stool"),
    Kind("seating", "ArmChairFactory", "armchair", front=True),
    Kind("seating", "SofaFactory", "sofa", front=True),
    Kind("tables", "TableDiningFactory", "dining table"),
    Kind("tables", "CoffeeTableFactory", "coffee table"),
    Kind("tables", "SideTableFactory", "side table"),
    Kind("tables", "TableCocktailFactory", "cocktail table"),
    Kind("shelves", "SimpleDeskFactory", "desk", front=True),
    Kind("shelves", "SimpleBookcaseFactory", "bookcase", front=True),
    Kind("shelves", "CellShelfFactory", "shelf", front=True),
    Kind("lamp", "FloorLampFactory", "floor lamp"),
    Kind("lamp", "DeskLampFactory", "desk lamp"),
    Kind("tableware", "CupFactory", "cup"),
    Kind("tableware", "BottleFactory", "bottle"),
    Kind("tableware", "BowlFactory", "bowl"),
    Kind("tableware", "PlateFactory", "plate"),
    Kind("tableware", "PotFactory", "pot"),
    Kind("tableware", "WineglassFactory", "wineglass"),
    Kind("tableware", "JarFactory", "jar"),
    Kind("tableware", "FruitContainerFactory", "bowl of fruit"),
    Kind("table_decorations", "VaseFactory", "vase"),
    Kind("fruits", "FruitFactoryApple", "apple"),
    Kind("fruits", "FruitFactoryPineapple", "pineapple"),
    Kind("fruits", "FruitFactoryStrawberry", "strawberry"),
    Kind("fruits", "FruitFactoryStarfruit", "starfruit"),
    Kind("fruits", "FruitFactoryBlackberry", "blackberry"),
    Kind("fruits", "FruitFactoryCoconutgreen", "green coconut"),
    Kind("fruits", "FruitFactoryCoconuthairy", "coconut"),
    Kind("fruits", "FruitFactoryDurian", "durian"),
    Kind("cactus", "CactusFactory", "cactus"),
    Kind("mushroom", "MushroomFactory", "mushroom"),
    Kind("grassland", "FlowerFactory", "flower"),
    Kind("grassland", "FlowerPlantFactory", "flower plant"),
    Kind("small_plants", "SnakePlantFactory", "snake plant"),
    Kind("small_plants", "SpiderPlantFactory", "spider plant"),
    Kind("small_plants", "SucculentFactory", "succulent"),
    Kind("small_plants", "FernFactory", "fern"),
    Kind("creatures", "FishFactory", "fish", front=True),
    Kind("creatures", "BeetleFactory", "beetle", front=True),
    Kind("creatures", "JellyfishFactory", "jellyfish"),
    # Good for variety.
    Kind("tableware", "PanFactory", "pan"),
    Kind("tableware", "SpoonFactory", "spoon"),
    Kind("tableware", "KnifeFactory", "knife"),
    Kind("tableware", "CanFactory", "can"),
    Kind("tableware", "FoodBagFactory", "bag of food"),
    Kind("tableware", "FoodBoxFactory", "box"),
    Kind("table_decorations", "BookFactory", "book"),
    Kind("table_decorations", "BookStackFactory", "stack of books"),
    Kind("seating", "PillowFactory", "pillow"),
    Kind("bathroom", "BathtubFactory", "bathtub"),
    Kind("bathroom", "ToiletFactory", "toilet", front=True),
    Kind("bathroom", "StandingSinkFactory", "washbasin", front=True),
    Kind("appliances", "MonitorFactory", "monitor", front=True),
    Kind("appliances", "TVFactory", "tv", front=True),
    Kind("appliances", "MicrowaveFactory", "microwave", front=True),
    Kind("shelves", "SingleCabinetFactory", "cabinet", front=True),
    Kind("clothes", "ShirtFactory", "shirt"),
    Kind("clothes", "PantsFactory", "trousers"),
    Kind("clothes", "TowelFactory", "towel"),
    Kind("wall_decorations", "BalloonFactory", "balloon"),
    Kind("elements", "PillarFactory", "pillar"),
    Kind("elements", "PalletFactory", "pallet"),
    Kind("mollusk", "ConchFactory", "conch"),
    Kind("mollusk", "NautilusFactory", "nautilus"),
    Kind("mollusk", "VoluteFactory", "volute"),
    Kind("mollusk", "ClamFactory", "clam"),
    Kind("mollusk", "ScallopFactory", "scallop"),
    Kind("monocot", "PineconeFactory", "pinecone"),
    Kind("tropic_plants", "LeafPalmPlantFactory", "palm"),
    Kind("underwater", "UrchinFactory", "urchin"),
]


def jobs() -> list[Job]:
    """Seed by seed, so that a run cut short has some of every kind."""
    return [kind.job(seed) for seed in range(SEEDS) for kind in KINDS]


def make_renderer() -> Callable[[Job], Views]:
    """Called in the worker: the parent never loads Blender."""
    from prior_data.generators import make_renderer

    return make_renderer()


def main() -> None:
    """Read the command line and render."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the objects' files")
    parser.add_argument(
        "--have", type=Path, action="append", default=[], help="a folder whose objects.json is left out"
    )
    parser.add_argument("--minutes", type=float, default=60, help="stop after so long")
    args = parser.parse_args()
    run(jobs(), make_renderer, args.out, sources_in(args.have), args.minutes, PATIENCE)


if __name__ == "__main__":
    main()
