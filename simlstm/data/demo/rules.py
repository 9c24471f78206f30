"""Who does what to what, where and how in the demo corpus: nobody drinks a car."""

from dataclasses import dataclass

from simlstm.data.demo.circumstances import MANNERS, PLACES
from simlstm.data.demo.nouns import NOUNS
from simlstm.data.demo.taxonomy import select

# Words that stand for several patterns of the table below.
_GROUPS = {
    "GROWN": "people !people.child.boy !people.child.girl !people.child.any !baby",
    "ABLE": "people !baby",
    "INSIDE": "indoor.food indoor.rest indoor.any indoor.whole",
    "OUTSIDE": "outdoor.green street city.open",
    "LEGGED": "animal.pet animal.farm animal.wild",
    "PORTABLE": "box suitcase basket chair ladder",
}

# action | agent > patient; agent > patient … | places | manners | flags
# one: one agent acts on one thing · each: several agents act on several things · many: takes several agents
# instant: does not last, so it is never under way · posture: a lasting state
_FRAMES = """
eat | people > food !soup; monkey rabbit horse goat sheep > food.fruit food.vegetable; dog cat lion tiger > beef | \
INSIDE eat outdoor.green.garden outdoor.animal | slowly quickly happily quietly alone | each
dine | ABLE animal.pet | INSIDE eat outdoor.green.garden bench stay | slowly quickly happily quietly alone |
peel | GROWN > apple banana orange potato onion carrot | indoor.food eat.out.meal | slowly quickly carefully |
taste | ABLE > food drink !water | indoor.food eat store.food | slowly carefully happily | each
drink | ABLE > drink; baby kitten puppy > milk; animal.farm animal.pet > water | INSIDE eat work.desk outdoor.animal \
| slowly quickly quietly happily alone | each
cook | GROWN > noodles rice soup dumpling egg beef potato | indoor.food eat.out.meal | slowly quickly carefully \
happily |
bake | GROWN > bread cake cookie pizza | indoor.food eat.out | carefully happily quickly |
cut | GROWN > food.fruit food.vegetable bread cake cheese beef | indoor.food eat.out.meal | slowly quickly carefully \
|
make_dinner | GROWN | indoor.food indoor.whole eat.out.meal | slowly quickly happily alone |
wash | ABLE > kitchen !bottle clothes.body clothes.foot.inner food.fruit food.vegetable vehicle.road.car bicycle \
towel blanket !banana !orange | indoor.whole outdoor.green.home | slowly quickly carefully happily alone |
clean | ABLE > surface window table desk mirror | INSIDE learn.room work.desk stay eat | slowly quickly carefully |
buy | ABLE > backpack food drink !water clothes furniture text.print device plaything !robot flower rose watch ring \
necklace umbrella ticket gift bicycle car guitar piano | store.food store.goods | quickly happily alone | each
sell | seller farmer man woman boy girl > food drink !water !beer !wine clothes furniture text.print device \
plaything !robot flower rose | store.food store.goods city.open street | happily quickly |
steal | thief man boy teenager > wallet watch ring necklace phone camera computer bicycle car painting bag; monkey \
fox > food.fruit egg | store.goods travel.rail street culture.look stay | quickly quietly |
send | GROWN > letter email gift | work.desk indoor.whole stay | quickly happily | each
receive | GROWN > letter email gift | work.desk indoor.whole stay | happily | instant
read | ABLE > text | indoor.soft under_tree bench indoor.any indoor.whole indoor.rest learn.room learn.read \
store.books outdoor.green.garden eat.out.drink travel.rail | slowly quickly quietly carefully loudly alone | each
write | ABLE > text.mail report article poem story novel | indoor.any indoor.rest learn.room learn.read work.desk \
eat.out.drink | slowly quickly quietly carefully alone | each
tell | GROWN > story | learn.room indoor.rest culture.show.stage | slowly happily loudly quietly |
paint | ABLE > animal.pet animal.wild bird flower rose tree house bridge mountain boat horse | outdoor.green.garden \
learn.room indoor.rest | slowly quickly carefully happily alone |
sing_song | ABLE > song | culture.show.stage indoor.whole learn.room outdoor.green.garden | loudly quietly happily \
alone |
sing | ABLE | indoor.any culture.show.stage indoor.whole learn.room outdoor.green.garden indoor.wash | loudly \
quietly happily alone |
play_instrument | ABLE > instrument | indoor.any culture.show.stage indoor.rest learn.room city.open street \
outdoor.green.garden | loudly quietly happily alone slowly | one
perform | people.art.music people.art.stage child student friend | culture.show.stage city.open | happily alone |
dance | ABLE bear | indoor.any culture.show.stage city.open outdoor.green.garden shore.sea indoor.rest | slowly \
happily quietly alone |
play_game | ABLE > game.ball | sport outdoor.green.garden learn.sport | happily alone |
play_at_table | ABLE > game.table | indoor.rest indoor.whole outdoor.green.garden eat.out.drink stay | happily \
quietly |
play_with | child boy girl baby > plaything !kite; dog puppy cat kitten > ball; boy girl child woman man > puppy \
kitten | indoor.rest indoor.whole outdoor.green learn.room | happily quietly alone |
play | child boy girl baby LEGGED !animal.wild.large | indoor.any outdoor.green indoor.rest shore.sea learn.sport | \
happily quietly alone |
fly_kite | ABLE > kite | outdoor.green.garden outdoor.green.open shore.sea city.open | happily alone | one
watch | ABLE > movie video | indoor.any indoor.soft indoor.rest indoor.whole culture.show.screen learn.room | \
quietly happily alone |
look_at | ABLE > animal painting photo plant.flower mountain ship bridge tower; cat dog > bird fish butterfly | \
outdoor.green outdoor.animal.zoo culture.look | quietly carefully happily alone |
photograph | ABLE > people !thief animal plant tower bridge mountain house | outdoor street city.open shore | \
carefully quickly happily | each
listen_to | ABLE > song story radio music | indoor.any indoor.soft indoor.rest indoor.whole learn.room eat.out.drink \
| quietly happily carefully alone |
ride | ABLE > vehicle.cycle horse donkey elephant | city.road outdoor.green.garden outdoor.animal.farm shore.sea | \
slowly quickly happily carefully alone | one
drive | GROWN > vehicle.road tractor | city.road city.over | slowly quickly carefully happily alone | one
roll | vehicle.road vehicle.rail.city tractor vehicle.cycle.motor | city.road city.over | slowly quickly |
sail | vehicle.water | water.salt water.fresh | slowly quickly |
build | GROWN > house bridge wall tower fence | outdoor.animal outdoor.green.home city.open | slowly quickly |
make | GROWN > chair table doll kite robot machine dress necklace | work.hand indoor.rest | slowly quickly carefully \
alone |
design | engineer scientist programmer worker man woman student > house bridge tower robot machine dress | work.desk \
work.hand learn.room | slowly quickly carefully alone |
repair | GROWN > vehicle.road vehicle.cycle boat tractor device clock watch chair table bed door window fence | \
work.hand indoor.cars outdoor.green.home street | slowly quickly carefully quietly alone |
use | GROWN > computer phone camera machine hammer | work indoor.rest learn.read | quietly carefully alone |
break | ABLE dog cat monkey > plate bowl cup bottle mirror window | indoor.food indoor.rest learn.room eat | angrily \
| instant
hit | boy girl man woman teenager clown > people.child.boy people.child.girl man woman thief clown ball | \
learn.sport street outdoor.green.garden | angrily |
bite | dog cat snake goose monkey > people !baby dog cat horse goat; lion tiger wolf > deer zebra | OUTSIDE \
outdoor.animal | angrily quickly |
push | ABLE > box chair table bicycle car boat gate people.child people.adult; elephant bear > box car | OUTSIDE \
indoor.cars work.hand | slowly quickly gently angrily carefully alone |
pull | ABLE horse donkey > box boat rope suitcase | OUTSIDE shore work.hand | slowly quickly carefully alone |
carry | ABLE > PORTABLE table | street travel.rail travel.air indoor.cars work.hand stay | slowly quickly carefully \
alone |
lift | GROWN > PORTABLE table sofa stone | street indoor.cars work.hand sport.indoor | slowly quickly carefully \
alone |
throw | ABLE > ball stone box bottle; monkey > stone banana | OUTSIDE shore learn.sport | quickly angrily happily |
kick | ABLE > ball box door stone; horse donkey > dog man | OUTSIDE learn.sport | angrily quickly happily |
hold | ABLE > cup bottle book newspaper umbrella flower rose phone camera ticket key knife spoon hammer balloon | | \
quietly happily alone | one posture
catch | police_officer man woman soldier > thief; man boy girl woman > fish butterfly mouse frog rabbit; cat owl fox \
> mouse bird; eagle > mouse rabbit fish; bear > fish | OUTSIDE shore outdoor.green.trees | quickly carefully |
chase | ABLE > people.child.boy people.child.girl thief dog puppy cat chicken duck butterfly; LEGGED > people \
animal.pet animal.farm deer zebra monkey squirrel mouse | OUTSIDE outdoor.animal outdoor.green | quickly happily \
angrily |
follow | people dog puppy cat duck wolf > people animal.pet duck; police_officer > vehicle.road.car truck | OUTSIDE \
outdoor.green.trees | slowly quietly quickly carefully alone |
hug | people > people !thief dog puppy cat kitten doll monkey | indoor.rest travel.rail travel.air \
outdoor.green.garden | happily gently quietly |
kiss | people > people.child people.family people.adult !person friend dog puppy kitten | indoor.rest travel.rail \
outdoor.green.garden | happily gently |
stroke | people > animal.pet horse sheep goat elephant dolphin | indoor.rest outdoor.animal outdoor.green.garden | \
gently slowly quietly carefully happily |
feed | ABLE > animal.pet animal.farm animal.wild bird parrot duck fish dolphin baby | outdoor.animal \
outdoor.green.garden outdoor.green.home | slowly carefully happily quietly alone |
help | ABLE > people !thief | city.road learn.room store health work | quickly happily quietly |
rescue | firefighter police_officer soldier man woman dog pilot > people !thief animal.pet horse sheep | city.road \
water.salt water.fresh outdoor.high outdoor.green.trees | quickly carefully |
examine | doctor nurse > people !people.health animal.pet horse | health | carefully slowly quickly quietly |
teach | people.school.teacher people.family coach musician > child boy girl student teenager | learn.room \
indoor.rest | slowly carefully quietly happily |
train | man woman coach police_officer soldier clown > dog horse lion tiger dolphin elephant parrot | outdoor.animal \
outdoor.green.home | slowly carefully quietly alone |
praise | GROWN > people !thief dog horse | learn.room work learn.sport indoor.rest | loudly happily |
scold | GROWN > people dog cat | learn.room work learn.sport indoor.rest street | loudly angrily quietly |
thank | ABLE > people !thief !baby | street work health store | happily loudly quietly |
greet | ABLE > people !thief | street work stay outdoor.green.garden | happily loudly quietly |
phone | ABLE | work.desk indoor.whole indoor.any indoor.soft stay travel street bench | quietly loudly angrily \
happily alone |
call | ABLE > people !baby !thief !person | work.desk indoor.whole stay travel.rail | quietly quickly |
interview | writer journalist > people !baby !thief !journalist | city.open street stay work.desk | quietly \
carefully |
wait_for | ABLE dog > people !thief !baby; ABLE > bus train taxi tram | travel.rail travel.bus | quietly alone |
wait | ABLE dog | bench travel health eat street | quietly alone |
queue | ABLE | travel store.food culture.show.screen | quietly | many
visit | ABLE > people.family friend neighbor teacher | indoor.whole health | happily alone |
open | ABLE > door window box bottle gift | indoor.rest indoor.food learn.room stay | slowly quickly quietly \
carefully |
close | ABLE > door window | indoor.rest indoor.food learn.room stay | slowly quickly quietly carefully angrily |
find | ABLE dog > key wallet ring watch phone ball; ABLE > dog puppy kitten child | OUTSIDE shore indoor.rest | \
quickly happily | instant
lose | ABLE > key wallet ring watch phone umbrella ticket scarf hat bag | OUTSIDE travel shore store.goods | | \
instant
look_for | ABLE > key wallet ring phone ticket dog puppy kitten child thief; dog bear wolf > beef fish | OUTSIDE \
outdoor.green.trees indoor.rest | slowly quickly carefully quietly alone |
hide | ABLE > gift key letter wallet candy chocolate; dog squirrel > ball egg | indoor.rest indoor.food \
outdoor.green.home | quickly quietly carefully happily |
wear | people > clothes | | happily | one posture
climb | ABLE > mountain tree ladder wall; monkey squirrel cat > tree wall | | slowly quickly carefully happily alone \
|
plant | GROWN > plant | outdoor.green.garden outdoor.green.home outdoor.animal.farm | slowly quickly carefully \
happily |
water | GROWN > plant | outdoor.green.garden outdoor.green.home | slowly quickly carefully happily alone |
pick | ABLE > apple pear peach orange lemon strawberry tomato flower rose; monkey > banana peach | \
outdoor.green.garden outdoor.green.home outdoor.animal.farm | slowly quickly carefully happily |
run | ABLE LEGGED | OUTSIDE outdoor.green shore.sea learn.sport sport | slowly quickly happily alone |
jog | ABLE | OUTSIDE shore sport learn.sport | slowly happily alone |
walk | ABLE LEGGED | OUTSIDE outdoor.green outdoor.animal city.over | slowly quickly quietly happily alone |
stroll | ABLE | OUTSIDE shore city.over | slowly quietly happily alone |
jump | ABLE frog rabbit monkey animal.pet.cat goat | indoor.soft OUTSIDE outdoor.green learn.sport | happily loudly \
|
crawl | baby turtle ant spider snake | outdoor.green.open outdoor.green.home outdoor.green.garden | slowly quickly |
swim | ABLE animal.water duck goose | water | slowly quickly happily alone |
dive | ABLE dolphin whale | water.salt water.fresh | slowly carefully alone |
fly | bird parrot eagle owl goose animal.insect.flying plane helicopter | air | slowly quickly quietly |
take_off | vehicle.air | travel.air | slowly quickly |
land | vehicle.air | travel.air | slowly quickly |
fall | ABLE | city.road learn.sport indoor.food store.goods | | instant
sleep | people animal.pet animal.farm lion tiger bear panda | indoor.soft under_tree bench indoor.rest indoor.whole \
outdoor.green.garden stay | quietly |
rest | ABLE LEGGED | indoor.soft under_tree bench outdoor.green indoor.rest shore | quietly alone |
sit | ABLE animal.pet | indoor.soft under_tree bench indoor.any outdoor.green indoor.rest shore eat travel \
learn.room | quietly alone | posture
lie | people animal.pet lion tiger pig | indoor.soft under_tree bench outdoor.green indoor.rest shore.sea | quietly \
alone | posture
stand | ABLE horse cow donkey goat sheep | under_tree indoor.any outdoor.green city travel culture.show.stage | \
quietly alone | posture
cry | people | indoor.any indoor.rest health learn.room travel.rail | loudly quietly alone |
laugh | people | indoor.rest learn.room culture.show work eat | loudly happily |
smile | people | indoor.rest learn.room culture.show work | happily quietly |
shout | ABLE | city.road city.open learn.sport sport.outdoor outdoor.green.garden | loudly angrily happily |
bark | dog puppy | OUTSIDE outdoor.animal.farm | loudly angrily happily |
talk | ABLE | indoor.any indoor.rest work.desk eat OUTSIDE travel | loudly quietly happily | many
argue | ABLE | indoor.rest work.desk street learn.room | loudly angrily | many
work | GROWN !student !teenager !thief | indoor.any work outdoor.animal.farm health stay eat.out.meal | quietly \
quickly alone |
study | child boy girl student teenager | indoor.any learn indoor.rest | quietly alone |
exercise | ABLE | sport outdoor.green.garden learn.sport | happily quietly alone |
ski | ABLE | outdoor.high | quickly slowly happily alone |
skate | ABLE | water.fresh sport.indoor | quickly slowly happily alone |
surf | ABLE | water.salt | happily alone |
go_fishing | ABLE | shore | quietly happily alone |
camp | ABLE | outdoor.high outdoor.green.trees shore.fresh | happily alone |
go_shopping | ABLE | store.food store.goods | happily quickly alone |
wave | ABLE | travel street culture.show.stage | happily |
clap | people | culture.show learn.room sport.outdoor | loudly happily |
"""


@dataclass(frozen=True)
class Action:
    """What an action goes with.

    Attributes:
        pairs: Every agent with every patient it can act on (None: the action has no patient).
        frames: The same as (agents, patients) groups, to draw from.
        places: Where it can happen; empty: the place is never told.
        manners: How it can happen.
        flags: Some of ``one``, ``each``, ``many``, ``instant``, ``posture``; see the table.
    """

    pairs: frozenset[tuple[str, str | None]]
    frames: tuple[tuple[tuple[str, ...], tuple[str | None, ...]], ...]
    places: tuple[str, ...]
    manners: tuple[str, ...]
    flags: frozenset[str]


def _expand(pattern: str) -> str:
    return " ".join(_GROUPS.get(word, word) for word in pattern.split())


def _parse(line: str) -> tuple[str, Action]:
    name, frames_text, places, manners, flags = (column.strip() for column in line.split("|"))
    frames: list[tuple[tuple[str, ...], tuple[str | None, ...]]] = []
    for frame in frames_text.split(";"):
        agents, _, patients = frame.partition(">")
        frames.append((select(NOUNS, _expand(agents)), select(NOUNS, _expand(patients)) if patients else (None,)))
    pairs = {(agent, patient) for agents, patients in frames for agent in agents for patient in patients}
    action = Action(
        pairs=frozenset(pair for pair in pairs if pair[0] != pair[1]),
        frames=tuple(frames),
        places=select(PLACES, _expand(places)),
        manners=select(MANNERS, manners),
        flags=frozenset(flags.split()),
    )
    return name, action


RULES: dict[str, Action] = dict(_parse(line) for line in filter(None, _FRAMES.strip().splitlines()))
