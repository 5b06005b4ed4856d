"""A kit of thirty things with the names and colours that kits have, and the chooser of its objects."""

import numpy as np

from backend.priors.base import PriorError
from backend.priors.choosing import Chooser
from backend.priors.kit import SHIPPED
from backend.priors.words import WordTable

GREY, BROWN, RED, BLUE, WHITE, BLACK = (
    (0.55, 0.55, 0.55), (0.45, 0.28, 0.12), (0.7, 0.05, 0.06), (0.1, 0.2, 0.7), (0.93, 0.93, 0.92), (0.05, 0.05, 0.05),
)  # fmt: skip
KIT = {
    "Chair": GREY, "chair.001": BROWN, "Oak chair": BROWN, "Red chair": RED, "Folding chair": BLUE,
    "Plastic chair": GREY, "Chair with cushion": WHITE, "Rattan armchair": BROWN, "Armchair": GREY,
    "Corner sofa": GREY, "Couch": WHITE,
    "Toilets unit": WHITE, "Toilet paper dispenser": GREY, "Apples": RED, "Apple iPhone": BLACK, "Card game": WHITE,
    "Table": BROWN, "Coffee table": GREY, "Round table": WHITE, "Table tennis": BLUE, "Table fan": GREY,
    "Desk lamp": BLACK, "Pendant lamp": WHITE, "Street light": GREY, "Chandelier lamp": GREY, "Bowl": WHITE,
    "Bowl with fruits": WHITE, "Ford Focus": BLUE, "Concept Sedan 01": RED, "Small oven": WHITE, "Oven": BLACK,
    "Bulldog": BROWN, "Siamese cat": GREY, "Hot dog": BROWN, "Female": BLACK, "Sitting female": BLUE, "Boy": RED,
    "Acacia": BROWN, "Pine under snow": WHITE, "Christmas tree": RED, "Teddy bear": BROWN, "Glasses": BLACK,
    "Wine bottle": BLACK, "Bicycle": RED, "Indoor bike": GREY, "Tulips": RED, "Side table": GREY,
}  # fmt: skip
NAMES, TABLE = list(KIT), WordTable.load(SHIPPED)
CHOOSER = Chooser(NAMES, np.array(list(KIT.values())), np.ones(len(KIT)), TABLE)


def chosen(prompt, negative=""):
    choice = CHOOSER.choose(prompt, negative)
    return {NAMES[number] for number in np.flatnonzero(choice.weights)}


def note(prompt, negative=""):
    return CHOOSER.choose(prompt, negative).notes[0]


def attempt(prompt, negative):
    """A choice, or why there is none."""
    try:
        return CHOOSER.choose(prompt, negative)
    except PriorError as error:
        return str(error)


def dyed(prompt):
    return {NAMES[number] for number in CHOOSER.choose(prompt).dyes}
