"""The English words for the concepts of the demo corpus, and how they are inflected."""

from dataclasses import dataclass

from simlstm.data.demo.nouns import NOUNS

# A concept that is not listed is called by its own name. Several words mean the same; people/persons: irregular plural.
_NOUNS = """
man: man, gentleman, guy · woman: woman, lady · person: person/people · boy: boy, lad · child: child, kid
baby: baby, infant · teenager: teenager, adolescent · mother: mother, mom · father: father, dad
grandmother: grandmother, grandma · grandfather: grandfather, grandpa · student: student, pupil
teacher: teacher, schoolteacher · doctor: doctor, physician · police_officer: police officer, policeman, cop
firefighter: firefighter, fireman · cook: cook, chef · seller: seller, salesperson/salespeople
customer: customer, shopper · driver: driver, chauffeur · pilot: pilot, aviator · worker: worker, laborer
singer: singer, vocalist · actor: actor, performer · painter: painter, artist · scientist: scientist, researcher
programmer: programmer, software developer · writer: writer, author · journalist: journalist, reporter
lawyer: lawyer, attorney · athlete: athlete, sportsperson/sportspeople · coach: coach, trainer · friend: friend, buddy
tourist: tourist, traveler · thief: thief, robber · neighbor: neighbor · dog: dog, hound · puppy: puppy, young dog
kitten: kitten, young cat · rabbit: rabbit, bunny · pig: pig, hog · panda: panda, panda bear · monkey: monkey
mouse: mouse · eagle: eagle · turtle: turtle, tortoise · car: car, automobile · taxi: taxi, cab · bus: bus
truck: truck, lorry · bicycle: bicycle, bike · motorcycle: motorcycle, motorbike · scooter: scooter, motor scooter
tram: tram, streetcar · plane: plane, airplane · helicopter: helicopter, chopper · hamburger: hamburger, burger
cookie: cookie, biscuit · ice_cream: ice cream · table_tennis: table tennis, ping-pong · football: football, soccer
sweater: sweater, pullover · coat: coat, jacket · shoes: shoes · sofa: sofa, couch · cupboard: cupboard, cabinet
lamp: lamp · pot: pot, cooking pot · bag: bag, handbag · backpack: backpack, rucksack · novel: novel
email: email, e-mail · report: report · article: article · story: story, tale · movie: movie, film
video: video, video clip · photo: photo, photograph, picture · phone: phone, telephone · television: television, TV
watch: watch, wristwatch · gift: gift, present · ball: ball · mountain: mountain · stone: stone, rock
carpet: carpet, rug · house: house · cards: cards · clock: clock · doll: doll · badminton: badminton
"""

# Never plural by themselves; counted by a unit (a cup of coffee). The last group is plural by itself (pairs of shoes).
_UNITS = {
    "loaf/loaves": "bread",
    "bowl": "rice soup noodles salad",
    "cup": "coffee tea",
    "glass": "water juice milk beer wine",
    "piece": "cheese beef chocolate candy",
    "pair": "shoes socks gloves",
}
_PLURAL_BY_ITSELF = frozenset({"noodles", "shoes", "socks", "gloves"})
_UNCHANGED = frozenset({"sheep", "deer", "fish"})
_IRREGULAR_PLURALS = {
    "man": "men", "gentleman": "gentlemen", "woman": "women", "child": "children", "mouse": "mice", "goose": "geese",
    "policeman": "policemen", "fireman": "firemen", "wolf": "wolves", "thief": "thieves", "knife": "knives",
    "scarf": "scarves",
}  # fmt: skip

# The first word is inflected; the object goes to the end; * has no passive.
_VERBS = """
eat: eat, consume · dine: eat, have a meal, dine · peel: peel, remove the skin of* · taste: taste, try
drink: drink, sip · cook: cook, prepare · bake: bake · cut: cut, slice, cut up
make_dinner: make dinner, cook dinner, prepare dinner · wash: wash · clean: clean, wipe · buy: buy, purchase
sell: sell · steal: steal · send: send, mail · receive: receive, get* · read: read · write: write
tell: tell, narrate · paint: paint, draw · sing_song: sing, perform · sing: sing · play_instrument: play, perform on*
perform: perform, give a performance, put on a show · dance: dance · play_game: play · play_at_table: play
play_with: play with · play: play, play around · fly_kite: fly · watch: watch, view · look_at: look at, observe
photograph: photograph, take a picture of*, take a photo of* · listen_to: listen to · ride: ride · drive: drive, steer
roll: move along, roll along, drive along · sail: sail, cruise · build: build, construct · make: make, put together
design: design, draft · repair: repair, fix, mend · use: use, work with* · break: break, smash, shatter
hit: hit, strike · bite: bite · push: push, shove · pull: pull, drag, haul · carry: carry, transport
lift: lift, raise, pick up · throw: throw, toss, hurl · kick: kick · hold: hold, grip · catch: catch, capture
chase: chase, run after, pursue · follow: follow, walk behind* · hug: hug, embrace, cuddle
kiss: kiss, give a kiss to* · stroke: stroke, pet, caress · feed: feed, give food to* · help: help, assist, aid
rescue: rescue, save · examine: examine, check · teach: teach, instruct · train: train · praise: praise, compliment
scold: scold, criticize, tell off · thank: thank, say thanks to* · greet: greet, say hello to*
call: call, phone, telephone · phone: make a phone call, talk on the phone · interview: interview, ask questions of*
wait_for: wait for*, await · wait: wait
queue: stand in line, wait in line, line up · visit: visit, pay a visit to* · open: open · close: close, shut
find: find, discover · lose: lose, misplace · look_for: look for, search for · hide: hide, conceal · wear: wear
climb: climb, climb up* · jump: jump, leap · run: run, sprint · jog: jog, go jogging · walk: walk, walk around
stroll: stroll, take a walk, go for a walk · crawl: crawl, creep · swim: swim · dive: dive · fly: fly, soar
take_off: take off, lift off · land: land, touch down · fall: fall, fall down, fall over · plant: plant
water: water, give water to* · pick: pick, gather, pluck · sleep: sleep, slumber · rest: rest, relax, take a rest
sit: sit · lie: lie, lie down · stand: stand · cry: cry, weep · laugh: laugh, chuckle · smile: smile, grin
shout: shout, yell, scream · bark: bark · talk: talk, chat, have a conversation · argue: argue, quarrel
work: work, do some work · study: study, learn · exercise: exercise, work out · ski: ski · skate: skate, ice-skate
surf: surf, ride the waves · go_fishing: fish, go fishing · camp: camp, go camping · go_shopping: shop, go shopping
wave: wave · clap: clap, applaud
"""
# Base, past, participle.
_IRREGULAR_FORMS = """
eat ate eaten · drink drank drunk · cut cut cut · make made made · buy bought bought · sell sold sold
steal stole stolen · send sent sent · get got gotten · read read read · write wrote written · tell told told
draw drew drawn · sing sang sung · give gave given · put put put · fly flew flown · take took taken
ride rode ridden · drive drove driven · build built built · break broke broken · hit hit hit
strike struck struck · bite bit bitten · throw threw thrown · hold held held · catch caught caught
run ran run · feed fed fed · teach taught taught · say said said · pay paid paid · shut shut shut
find found found · lose lost lost · hide hid hidden · wear wore worn · go went gone · swim swam swum
fall fell fallen · sleep slept slept · sit sat sat · lie lay lain · stand stood stood · weep wept wept
do did done · have had had · creep crept crept
"""
_IRREGULAR_VERBS = {
    base: (past, participle)
    for base, past, participle in map(str.split, _IRREGULAR_FORMS.replace("\n", " · ").strip(" ·").split(" · "))
}
_DOUBLED = frozenset(
    {"cut", "get", "put", "hit", "shut", "run", "swim", "sit", "hug", "pet", "chat", "jog", "shop"}
) | {"clap", "grin", "grip", "drag", "sip"}


@dataclass(frozen=True)
class EnglishNoun:
    """One English noun, the units it is counted by (None: itself), and whether it is plural by itself."""

    singular: str
    plural: str
    units: tuple[str, str] | None
    always_plural: bool


@dataclass(frozen=True)
class EnglishVerb:
    """One English verb in its five forms, each with the words that follow it, and whether it has a passive."""

    base: str
    third: str
    past: str
    participle: str
    gerund: str
    has_passive: bool


def split_entries(table: str) -> dict[str, list[str]]:
    """Read ``concept: word, word · concept: …`` into the words of each concept."""
    entries = (entry.split(":") for line in table.strip().splitlines() for entry in line.split(" · "))
    return {concept.strip(): [word.strip() for word in words.split(",")] for concept, words in entries}


def plural(word: str) -> str:
    """Return the plural of an English noun, of its last word when there are several."""
    *rest, last = word.split(" ")
    if last in _UNCHANGED:
        changed = last
    elif last in _IRREGULAR_PLURALS:
        changed = _IRREGULAR_PLURALS[last]
    else:
        changed = last + _s_ending(last)
        if last.endswith("y") and last[-2] not in "aeiou":
            changed = last[:-1] + "ies"
        elif last in {"potato", "tomato"}:
            changed = last + "es"
    return " ".join([*rest, changed])


def inflect(phrase: str) -> EnglishVerb:
    """Return the forms of an English verb; words after the first one stay as they are; ``*`` at the end: no passive."""
    base, *rest = phrase.removesuffix("*").split(" ")
    third = {"have": "has", "do": "does", "go": "goes"}.get(base, base + _s_ending(base))
    stem = base + base[-1] if base in _DOUBLED else base
    past, gerund = stem + "ed", stem + "ing"
    if base.endswith("ie"):
        past, gerund = base + "d", base[:-2] + "ying"
    elif base.endswith("e"):
        past, gerund = base + "d", base[:-1] + "ing"
    elif base.endswith("y") and base[-2] not in "aeiou":
        third, past = base[:-1] + "ies", base[:-1] + "ied"
    past, participle = _IRREGULAR_VERBS.get(base, (past, past))
    base, third, past, participle, gerund = (
        " ".join([form, *rest]) for form in (base, third, past, participle, gerund)
    )
    return EnglishVerb(base, third, past, participle, gerund, has_passive=not phrase.endswith("*"))


def _s_ending(word: str) -> str:
    return "es" if word.endswith(("s", "x", "z", "ch", "sh")) else "s"


def _nouns(concept: str, words: list[str]) -> tuple[EnglishNoun, ...]:
    unit = next((unit for unit, concepts in _UNITS.items() if concept in concepts.split()), None)
    singular, _, irregular = (unit or "").partition("/")
    units = (singular, irregular or plural(singular)) if unit else None
    found = []
    for word in words:
        singular, _, irregular = word.partition("/")
        found.append(EnglishNoun(singular, irregular or plural(singular), units, concept in _PLURAL_BY_ITSELF))
    return tuple(found)


_NOUN_ENTRIES = split_entries(_NOUNS)
ENGLISH_NOUNS = {concept: _nouns(concept, _NOUN_ENTRIES.get(concept, [concept.replace("_", " ")])) for concept in NOUNS}
ENGLISH_VERBS = {concept: tuple(map(inflect, phrases)) for concept, phrases in split_entries(_VERBS).items()}
