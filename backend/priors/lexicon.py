"""The meanings of words, as far as a kit of objects needs them: data only.

Words between two slashes of `_SAME` mean the same; the first is the root by which all are compared.  `_KINDS` go one
way: a bus is a vehicle.  Words between two slashes of `_ADJECTIVES` and `_COMPOUNDS` stand for each other in
descriptions; an adjective says how a thing is ("a small chair"), a compound which kind it is ("a bar stool").
The word table (`backend.priors.words`) has thousands more, but takes a sideboard for a board.
"""

from __future__ import annotations

_SAME = """
sofa couch settee loveseat divan chesterfield davenport canape / car automobile auto motorcar / bicycle bike velo /
motorbike motorcycle moped / tv television telly / fridge refrigerator / stove cooker range / hob cooktop / cabinet
sideboard credenza / nightstand nightable / bookcase bookshelf / wardrobe closet armoire / dustbin trashcan garbage
trash bin wastebasket / lamp light luminaire / flashlight torch / faucet tap / bathtub tub bath / sink washbasin
washstand basin / toilet lavatory wc loo / carpet rug / plane airplane aeroplane aircraft / truck lorry / van minivan
/ train locomotive / horse pony stallion mare foal / dog hound puppy doggy doggie pup pooch mutt / cat kitty kitten
pussycat / rabbit bunny hare / chicken hen rooster cockerel / deer stag doe / fish goldfish / person human somebody /
man male guy gentleman / woman female lady / child kid toddler / boy lad / girl lass / trousers pants jeans slacks /
jacket coat blazer / shirt tshirt tee blouse / sneaker trainer / boot bootie / handbag purse / backpack rucksack
knapsack / suitcase luggage / mug beaker / glasses eyeglasses spectacles / pan skillet / pot saucepan casserole /
kettle teakettle / hamburger burger cheeseburger / mushroom fungus toadstool / bread loaf baguette / cake gateau /
plant houseplant / flower bloom / bush shrub / pillow cushion / shovel spade / hammer mallet / phone telephone /
smartphone cellphone mobile / laptop notebook / computer pc desktop / screen monitor / speaker loudspeaker / headphone
earphone headset / joystick gamepad controller / cctv surveillance / fan ventilator / heater radiator / fireplace
hearth / crib cot cradle / lounge lounger / stroller pram buggy pushchair / ladder stepladder / bucket pail / box
carton / chest coffer trunk trunck / jar jug / pencil crayon / marker highlighter / gift present / doll dolly / bear
teddybear / mailbox letterbox postbox / candle taper / statue sculpture bust figurine statuette / rock boulder stone /
shell seashell / starfruit carambola / hut shed cabin / house home building / mower lawnmower / puff pouf pouffe
hassock / ashtray hashtray / grey gray
"""

_KINDS = """
furniture: chair sofa table desk bed cabinet wardrobe dresser bookcase stool armchair bench
seat: chair armchair sofa stool bench ottoman
armchair: recliner throne
vehicle: car truck bus van motorbike bicycle scooter tricycle forklift boat plane
car: sedan suv hatchback coupe convertible taxi cab limousine roadster
van: ambulance
truck: pickup firetruck
bus: coach tram
plane: biplane jet airliner
boat: rowboat canoe sailboat yacht dinghy
animal: dog cat horse rabbit chicken deer fish jellyfish beetle bird
pet: dog cat rabbit
dog: bulldog poodle labrador retriever terrier dachshund chihuahua beagle husky corgi dalmatian spaniel pug
cat: siamese tabby
fish: salmon trout tuna shark carp
bird: chicken duck owl parrot
insect: beetle bee ant butterfly
bug: beetle
person: man woman boy girl child
child: boy girl baby
fruit: apple strawberry blackberry coconut pineapple durian starfruit banana pear orange lemon
berry: strawberry blackberry
food: bread hamburger hotdog cake cupcake fries steak roast apple sandwich sushi fruit
vegetable: carrot tomato mushroom
plant: cactus succulent fern ficus bamboo spathiphyllum yucca flower
tree: acacia pine cypress poplar maple beech palm ficus bonsai oak birch spruce fir sycamore
conifer: pine cypress fir spruce
flower: tulip orchid lily rose sunflower daisy blossom spathiphyllum poppy daffodil iris peony
shell: conch nautilus volute
lamp: lantern chandelier lamppost spotlight
computer: laptop tablet
phone: smartphone
instrument: piano guitar xylophone violin drum
tool: hammer saw drill screwdriver pliers shovel wrench
cutlery: knife fork spoon
dish: plate bowl
crockery: plate bowl cup mug
drink: bottle glass mug
cup: mug
glass: wineglass
vase: urn amphora trophy
bottle: flacon flask
container: box crate barrel jar chest
clothing: shirt jacket trousers skirt dress suit
clothes: shirt jacket trousers skirt dress suit
shoe: sneaker slipper boot sandal mocassin heel loafer
footwear: shoe
hat: cap beret
pencil: pen
perfume: flacon
bag: handbag backpack
toy: doll teddy train bear puzzle
teddy: bear
ball: basketball football
appliance: fridge oven stove dishwasher microwave toaster washer
shelf: bookcase
cupboard: cabinet wardrobe
weapon: knife sword
sofa: futon sofabed
bed: crib
pool: jacuzzi
house: hut
"""

# Kinds whose members look alike, so that others can stand for a missing one: without a taxi, any car.
ALIKE = frozenset(
    "armchair car van truck bus boat plane dog cat fish child flower tree shoe hat bag bottle glass cup vase bed shell "
    "lamp sofa house pencil".split()
)

# Wider kinds, used where only they match a description: there is no rattan chair, but a rattan armchair.
WIDER = {
    "chair": ("armchair", "stool"),
    "table": ("desk",),
    "desk": ("table",),
    "bookcase": ("shelf",),
    "cup": ("glass",),
}

_ADJECTIVES = """
wood wooden oak teak timber pine alder walnut bamboo birch beech mahogany teck plywood / metal metallic iron steel
aluminium aluminum wire wrought chrome / rattan wicker cane / plastic vinyl acrylic / leather leathery / glass glassy
/ stone marble granite concrete / fabric textile cloth burlap linen velvet upholstered / ceramic porcelain clay
earthenware / paper cardboard / small little mini tiny miniature / large big huge giant / tall high / low lower / long
elongated / wide broad / narrow slim thin / round circular / square cubic / oval elliptic / rectangular rectangle /
old antique vintage ancient retro / modern contemporary minimalist futuristic sleek / classic classical traditional
victorian / industrial technical / japanese tatami ryokan osaka asian / oriental persian / decorative ornate
ornamental / electric electronic electrical / sport sporty racing / bended bent curved
"""

_COMPOUNDS = """
corner cornered / indoor inside / outdoor garden exterior park outside patio / folding foldable / open opened / child
kid baby infant toddler nursery / hanging pendant suspended / standing upright / sitting seated / lying reclining /
deck beach lounge relax / bar counter / desk table
"""

# These mean little in a kit, as all objects are shown at one size.
SIZES = frozenset("small large tall low long wide narrow".split())

# Several words for one thing, in the singular, and its root.
IDIOMS = {
    "hot dog": "hotdog", "tea pot": "teapot", "lip stick": "lipstick", "sofa bed": "sofabed", "french fry": "fries",
    "french fries": "fries", "table tennis": "tabletennis", "t shirt": "shirt", "ping pong": "tabletennis",
    "ping pong table": "tabletennis", "rocking horse": "rockinghorse", "cup cake": "cupcake",
    "cell phone": "smartphone", "mobile phone": "smartphone", "smart phone": "smartphone",
    "apple iphone": "smartphone", "apple ipad": "tablet", "apple watch": "watch", "apple imac": "computer",
    "apple ibook": "laptop", "apple macbook": "laptop", "mac book": "laptop", "macbook pro": "laptop",
    "macbook air": "laptop", "play station": "console", "game console": "console", "vw beetle": "car",
    "vw new beetle": "car", "volkswagen beetle": "car", "seat leon": "car", "ford focus": "car",
    "ford mustang": "car", "renault scenic": "car", "smart car": "car", "range rover": "car", "land rover": "car",
    "roll royce": "car", "alfa romeo": "car", "harley davidson": "motorbike", "motor bike": "motorbike",
    "fork lift": "forklift", "pickup truck": "truck", "fire engine": "truck", "soccer ball": "football",
    "basket ball": "basketball", "wine glass": "wineglass", "book shelf": "bookcase", "arm chair": "armchair",
    "easy chair": "armchair", "wheel chair": "wheelchair", "chest of drawer": "dresser", "night stand": "nightstand",
    "bedside table": "nightstand", "night table": "nightstand", "trash can": "dustbin", "garbage can": "dustbin",
    "street lamp": "lamppost", "street light": "lamppost", "lamp post": "lamppost", "light bulb": "bulb",
    "fish tank": "aquarium", "swimming pool": "pool", "pool table": "pooltable", "football table": "foosball",
    "table football": "foosball", "hot tub": "jacuzzi", "washing machine": "washer", "dryer machine": "dryer",
    "coffee machine": "coffeemaker", "coffee maker": "coffeemaker", "coffee brewer": "coffeemaker",
    "christmas tree": "christmastree", "toilet unit": "toilet", "toilet seat": "toilet",
    "air conditioning": "airconditioner", "air conditioner": "airconditioner", "step ladder": "ladder",
    "lawn mower": "mower", "ice cream": "icecream", "clothes horse": "dryingrack", "indoor bike": "exercisebike",
    "exercise bike": "exercisebike", "abdominal bench": "gymbench", "mannequin female": "mannequin",
    "mannequin male": "mannequin", "microwave oven": "microwave", "shower stall": "shower", "shower cabin": "shower",
    "space ship": "spaceship", "roasted chicken": "roast", "roast chicken": "roast", "fried chicken": "roast",
    "dog house": "kennel", "doll house": "dollhouse", "sea shell": "shell", "fire hydrant": "hydrant",
    "phone booth": "phonebooth",
}  # fmt: skip

BRANDS = {
    "car": "ford chevrolet chevy renault peugeot citroen toyota honda bmw mercedes audi volkswagen vw porsche ferrari "
    "lamborghini tesla fiat volvo nissan mazda hyundai kia jaguar bentley bugatti maserati mustang corvette prius",
    "motorbike": "yamaha suzuki ducati kawasaki vespa harley",
    "smartphone": "iphone",
    "laptop": "macbook ibook thinkpad chromebook",
    "computer": "imac macintosh",
    "tablet": "ipad kindle",
    "console": "playstation xbox nintendo",
    "sneaker": "nike adidas converse",
}

# Words that have no plural.
MASSES = frozenset("furniture food fruit cutlery clothing clothes crockery footwear".split())
# Last words of objects' names that mean nothing: "toilets unit".
WEAK = frozenset("unit set model piece object item thing asset mesh prop".split())
# Words that may come before the thing: "a statue of a horse".
CARRIERS = frozenset(
    "sculpture statue figurine bust drawing painting sketch style version scene toy miniature description design "
    "concept art".split()
)
FLUFF = frozenset(
    "but some pair bunch piece slice group couple pile lot kind sort type set view photo photograph picture image "
    "render rendering rendered model object 3d cg cgi 4k 8k hd uhd hdr dslr raw very really quite high highly "
    "quality best masterpiece detailed detail intricate realistic photorealistic hyperrealistic photorealism "
    "beautiful nice lovely pretty cute cool amazing awesome elegant stunning good great perfect professional "
    "award winning trending artstation octane unreal engine blender cycle studio lighting light soft sharp focus "
    "background isolated centered plain simple single one two three four five front side back dark resolution "
    "ultra super photography product shot closeup close up full body i want need would like please make me give "
    "show draw create generate there this these my your it its his her our their typical ordinary normal real "
    "colored coloured color colour painted dyed all be being aesthetic bright deep pale".split()
)
# Words of negative prompts that are about picture quality.
NEGATIVE_FLUFF = frozenset(
    "blurry blur low bad ugly worst poor jpeg artifact artefact noise noisy grainy watermark text signature logo "
    "deformed disfigured distorted mutated mutation extra missing limb finger hand anatomy cropped out frame duplicate "
    "oversaturated saturated overexposed underexposed unrealistic cartoon lowres error no not any face shadow".split()
)
IRREGULAR = {
    "knives": "knife", "wolves": "wolf", "leaves": "leaf", "loaves": "loaf", "shelves": "shelf", "mice": "mouse",
    "geese": "goose", "teeth": "tooth", "feet": "foot", "men": "man", "women": "woman", "children": "child",
    "people": "person", "glasses": "glasses", "sunglasses": "sunglasses", "shoes": "shoe", "toes": "toe",
    "hoes": "hoe", "canoes": "canoe", "cacti": "cactus", "fungi": "fungus", "deer": "deer", "fishes": "fish",
    "sheep": "sheep", "scissors": "scissors", "pliers": "pliers", "trousers": "trousers", "clothes": "clothes",
    "jeans": "jeans", "pants": "pants", "fries": "fries", "cookies": "cookie", "pies": "pie", "ties": "tie",
    "movies": "movie", "lens": "lens", "lenses": "lens", "buses": "bus", "tomatoes": "tomato", "potatoes": "potato",
    "christmas": "christmas", "canvas": "canvas", "gas": "gas", "axes": "axe", "spectacles": "spectacles",
    "tennis": "tennis", "slacks": "slacks",
}  # fmt: skip


def _groups(text: str) -> list[list[str]]:
    return [group.split() for group in text.split("/")]


ROOTS = {word: group[0] for group in _groups(_SAME) for word in group}
ROOTS |= {brand: thing for thing, brands in BRANDS.items() for brand in brands.split()}
KINDS = {kind: tuple(rest.split()) for kind, rest in (line.split(":") for line in _KINDS.strip().split("\n"))}


def _synonyms(text: str) -> dict[str, frozenset[str]]:
    """Root -> the roots that can stand for it; a word may be in several groups."""
    found: dict[str, frozenset[str]] = {}
    for group in _groups(text):
        roots = frozenset(ROOTS.get(word, word) for word in group)
        found |= {root: found.get(root, frozenset()) | roots for root in roots}
    return found


ADJECTIVES = _synonyms(_ADJECTIVES)
COMPOUNDS = _synonyms(_COMPOUNDS)
# Kind -> the more general kind that it looks like.
LIKE = {kind: general for general in sorted(ALIKE) for kind in KINDS.get(general, ())}
