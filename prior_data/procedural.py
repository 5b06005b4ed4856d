"""Renders objects that PyPI's `infinigen` 1.15.5 (BSD-3) makes by procedure: every seed is a new one.

    python -m prior_data.procedural --out work/data --have ../shared/prior-data --minutes 75

Raistrick et al., "Infinite Photorealistic Worlds Using Procedural Generation" (CVPR 2023) and "Infinigen Indoors"
(CVPR 2024).  Only generators that need nothing but Blender are here, most of them done in under ten seconds.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from prior_data.record import Record, sources_packed
from prior_data.workers import Job, Views, run

PATIENCE = 25.0  # seconds of processor time for an object; slower generators are not worth their pictures
LICENCE = "BSD-3-Clause tool, own render"


@dataclass(frozen=True)
class Kind:
    """A generator of infinigen, what people call its objects, how many are wanted, and whether they have a front."""

    module: str
    generator: str
    name: str
    wanted: int
    front: bool = False

    def job(self, seed: int) -> Job:
        record = Record(self.name, f"infinigen/{self.generator}/{seed}", LICENCE, "", self.front)
        return Job(record, self.generator, (self.module, self.generator, str(seed)))


KINDS = [
    # What people ask for.
    Kind("seating", "ChairFactory", "chair", 30, front=True),
    Kind("seating", "OfficeChairFactory", "office chair", 24, front=True),
    Kind("seating", "BarChairFactory", "bar stool", 20),
    Kind("seating", "ArmChairFactory", "armchair", 24, front=True),
    Kind("seating", "SofaFactory", "sofa", 24, front=True),
    Kind("tables", "TableDiningFactory", "dining table", 24),
    Kind("tables", "CoffeeTableFactory", "coffee table", 24),
    Kind("tables", "SideTableFactory", "side table", 20),
    Kind("tables", "TableCocktailFactory", "cocktail table", 20),
    Kind("shelves", "SimpleDeskFactory", "desk", 20, front=True),
    Kind("shelves", "SimpleBookcaseFactory", "bookcase", 20, front=True),
    Kind("shelves", "CellShelfFactory", "shelf", 16, front=True),
    Kind("lamp", "FloorLampFactory", "floor lamp", 24),
    Kind("lamp", "DeskLampFactory", "desk lamp", 24),
    Kind("tableware", "CupFactory", "cup", 30),
    Kind("tableware", "BottleFactory", "bottle", 30),
    Kind("tableware", "BowlFactory", "bowl", 20),
    Kind("tableware", "PlateFactory", "plate", 16),
    Kind("tableware", "PotFactory", "pot", 20),
    Kind("tableware", "WineglassFactory", "wineglass", 20),
    Kind("tableware", "JarFactory", "jar", 20),
    Kind("tableware", "LargePlantContainerFactory", "large potted plant", 3),
    Kind("tableware", "FruitContainerFactory", "bowl of fruit", 16),
    Kind("table_decorations", "VaseFactory", "vase", 30),
    Kind("fruits", "FruitFactoryApple", "apple", 30),
    Kind("fruits", "FruitFactoryPineapple", "pineapple", 24),
    Kind("fruits", "FruitFactoryStrawberry", "strawberry", 24),
    Kind("fruits", "FruitFactoryStarfruit", "starfruit", 16),
    Kind("fruits", "FruitFactoryBlackberry", "blackberry", 16),
    Kind("fruits", "FruitFactoryCoconutgreen", "green coconut", 16),
    Kind("fruits", "FruitFactoryCoconuthairy", "coconut", 16),
    Kind("fruits", "FruitFactoryDurian", "durian", 16),
    Kind("cactus", "CactusFactory", "cactus", 24),
    Kind("mushroom", "MushroomFactory", "mushroom", 30),
    Kind("grassland", "FlowerFactory", "flower", 24),
    Kind("grassland", "FlowerPlantFactory", "flower plant", 16),
    Kind("small_plants", "SnakePlantFactory", "snake plant", 16),
    Kind("small_plants", "SpiderPlantFactory", "spider plant", 16),
    Kind("small_plants", "SucculentFactory", "succulent", 20),
    Kind("small_plants", "FernFactory", "fern", 16),
    Kind("creatures", "FishFactory", "fish", 24, front=True),
    Kind("creatures", "BeetleFactory", "beetle", 24, front=True),
    Kind("creatures", "JellyfishFactory", "jellyfish", 16),
    # Good for variety.
    Kind("tableware", "PanFactory", "pan", 12),
    Kind("tableware", "SpoonFactory", "spoon", 10),
    Kind("tableware", "ForkFactory", "fork", 10),
    Kind("tableware", "KnifeFactory", "knife", 10),
    Kind("tableware", "CanFactory", "can", 16),
    Kind("tableware", "FoodBagFactory", "bag of food", 8),
    Kind("tableware", "FoodBoxFactory", "box", 8),
    Kind("table_decorations", "BookFactory", "book", 12),
    Kind("table_decorations", "BookStackFactory", "stack of books", 12),
    Kind("seating", "PillowFactory", "pillow", 12),
    Kind("bathroom", "BathtubFactory", "bathtub", 16),
    Kind("bathroom", "ToiletFactory", "toilet", 20, front=True),
    Kind("bathroom", "StandingSinkFactory", "washbasin", 12, front=True),
    Kind("appliances", "MonitorFactory", "monitor", 12, front=True),
    Kind("appliances", "TVFactory", "tv", 12, front=True),
    Kind("appliances", "MicrowaveFactory", "microwave", 12, front=True),
    Kind("appliances", "OvenFactory", "oven", 10, front=True),
    Kind("shelves", "SingleCabinetFactory", "cabinet", 12, front=True),
    Kind("clothes", "ShirtFactory", "shirt", 12),
    Kind("clothes", "PantsFactory", "trousers", 12),
    Kind("clothes", "TowelFactory", "towel", 8),
    Kind("wall_decorations", "BalloonFactory", "balloon", 12),
    Kind("elements", "PillarFactory", "pillar", 8),
    Kind("elements", "PalletFactory", "pallet", 8),
    Kind("mollusk", "ConchFactory", "conch", 12),
    Kind("mollusk", "NautilusFactory", "nautilus", 12),
    Kind("mollusk", "VoluteFactory", "volute", 8),
    Kind("mollusk", "ClamFactory", "clam", 10),
    Kind("mollusk", "ScallopFactory", "scallop", 10),
    Kind("mollusk", "MusselFactory", "mussel", 8),
    Kind("mollusk", "AugerFactory", "auger shell", 8),
    Kind("monocot", "PineconeFactory", "pinecone", 12),
    Kind("monocot", "AgaveMonocotFactory", "agave", 10),
    Kind("monocot", "BananaMonocotFactory", "banana plant", 10),
    Kind("monocot", "MaizeMonocotFactory", "maize plant", 10),
    Kind("monocot", "TaroMonocotFactory", "taro plant", 8),
    Kind("tropic_plants", "LeafPalmPlantFactory", "palm", 12),
    Kind("tropic_plants", "PlantBananaTreeFactory", "banana tree", 10),
    Kind("tropic_plants", "CoconutTreeFactory", "coconut tree", 10),
    Kind("corals", "BrainCoralFactory", "brain coral", 8),
    Kind("corals", "FanCoralFactory", "fan coral", 8),
    Kind("corals", "TubeCoralFactory", "tube coral", 8),
    Kind("deformed_trees", "TruncatedTreeFactory", "tree stump", 10),
    Kind("underwater", "UrchinFactory", "urchin", 10),
    Kind("underwater", "SeaweedFactory", "seaweed", 8),
]


def jobs() -> list[Job]:
    """Seed by seed, so that a run cut short has some of every kind; some 1,400 objects."""
    return [
        kind.job(seed) for seed in range(max(kind.wanted for kind in KINDS)) for kind in KINDS if seed < kind.wanted
    ]


def make_renderer() -> Callable[[Job], Views]:
    """Called in the worker: the parent never loads Blender."""
    from prior_data.generators import make_renderer

    return make_renderer()


def main() -> None:
    """Read the command line and render."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the objects' files")
    parser.add_argument("--have", type=Path, action="append", default=[], help="packed data to leave out, repeatable")
    parser.add_argument("--minutes", type=float, default=60, help="stop after so long")
    args = parser.parse_args()
    run(jobs(), make_renderer, args.out, sources_packed(args.have), args.minutes, PATIENCE)


if __name__ == "__main__":
    main()
