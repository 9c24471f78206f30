"""Where, when, how and of what kind: the places, times, manners and attributes of the demo corpus, as trees."""

from simlstm.data.demo.nouns import NOUNS
from simlstm.data.demo.taxonomy import parse_taxonomy, select

PLACES = parse_taxonomy("""
outdoor.green.garden: park garden
outdoor.green.shade: under_tree
outdoor.green.seat: bench
outdoor.green.home: yard
outdoor.green.open: grass field
outdoor.green.trees: forest
outdoor.high.any: mountains
outdoor.animal.farm: farm
outdoor.animal.zoo: zoo
shore.sea.any: beach
shore.fresh.any: riverside lakeside
water.salt.any: sea
water.fresh.any: river lake
water.built.any: pool
city.road.any: street road
city.over.any: bridge
city.open.any: square
city.cars.any: parking_lot
indoor.whole.any: home
indoor.food.any: kitchen
indoor.rest.any: living_room bedroom
indoor.any.any: room
indoor.soft.any: sofa bed
indoor.wash.any: bathroom
indoor.cars.any: garage
learn.room.any: school classroom
learn.read.any: library
learn.sport.any: playground
culture.look.any: museum
culture.show.stage: stage theater
culture.show.screen: cinema
health.any.any: hospital
work.desk.any: office
work.hand.any: factory workshop
sport.indoor.any: gym
sport.outdoor.any: stadium
store.food.any: supermarket market
store.goods.any: shop mall
store.books.any: bookstore
eat.out.meal: restaurant
eat.out.drink: cafe
stay.any.any: hotel
travel.rail.any: train_station
travel.air.any: airport
travel.bus.any: bus_stop
air.any.any: sky
""")

# The first level is the tense. The concept named like its tense leaves the moment open.
TIMES = parse_taxonomy("""
now.open.any: now
past.open.any: past
past.day.any: yesterday
past.day.night: last_night
past.today.any: this_morning
past.week.any: last_week
future.open.any: future
future.day.any: tomorrow
future.today.any: tonight
future.week.any: next_week
habit.day.any: every_day
habit.week.any: weekends
""")
OPEN_TIMES = frozenset({"now", "past", "future"})

MANNERS = parse_taxonomy("""
speed.low.any: slowly
speed.high.any: quickly
mood.good.any: happily
mood.bad.any: angrily
sound.low.any: quietly
sound.high.any: loudly
care.high.any: carefully
care.soft.any: gently
company.none.any: alone
""")

ATTRIBUTES = parse_taxonomy("""
color.bright.warm: red yellow
color.bright.cool: blue green
color.plain.light: white
color.plain.dark: black brown gray
size.big.any: big
size.small.any: small
age.person.low: young
age.person.high: elderly
height.person.any: tall
mood.good.any: happy
mood.bad.any: sad angry
body.weak.any: tired
body.need.any: hungry
fame.person.any: famous
look.good.any: beautiful
state.good.any: new
state.bad.any: old
state.clean.bad: dirty
price.high.any: expensive
price.low.any: cheap
heat.high.any: hot
heat.low.any: cold
taste.good.any: delicious
taste.fresh.any: fresh
weight.high.any: heavy
stuff.wood.any: wooden
""")

_GOODS = "clothes furniture kitchen container device personal.wear personal.rain plaything instrument vehicle"
_COLORED = "clothes furniture.seat kitchen.dish kitchen.drink container vehicle personal.rain plaything"
_GROWN = "people.adult people.school people.health people.safety people.service people.hands people.art people.mind"
# A small dog is not a puppy, a big elephant no news.
_GROWTH = "animal !puppy !kitten !panda !elephant !whale !animal.insect"

# The nouns that each attribute goes with.
DESCRIBED = {
    attribute: frozenset(select(NOUNS, pattern))
    for attribute, pattern in {
        "red": f"{_COLORED} plant.flower apple",
        "yellow": f"{_COLORED} flower bird butterfly",
        "blue": f"{_COLORED} flower bird butterfly",
        "green": f"{_COLORED} apple parrot snake",
        "white": f"{_COLORED} plant.flower animal.pet horse duck goose sheep",
        "black": f"{_COLORED} animal.pet animal.farm.horse bear bird pig goat",
        "brown": "animal.pet animal.farm.horse cow bear owl clothes.body clothes.foot furniture.seat container.carry",
        "gray": "animal.pet donkey wolf squirrel mouse elephant clothes.body furniture.seat vehicle.road.car",
        "big": f"{_GROWTH} vehicle.road ship container watermelon cake tree house stone fish table bed",
        "small": f"{_GROWTH} !giraffe vehicle.road.car container ball cake table house stone tree",
        "young": f"{_GROWN} people.social mother father",
        "elderly": f"{_GROWN} people.social",
        "tall": "man woman teenager student soldier police_officer tree",
        "happy": "people !thief",
        "sad": "people !baby !thief",
        "angry": "people !baby animal.wild.cat bear goose",
        "tired": "people !baby animal.farm.horse",
        "hungry": "people animal",
        "famous": "people.art people.mind professor doctor cook coach athlete",
        "beautiful": "woman girl plant.flower clothes.body.dress butterfly bird personal.jewel media.still",
        "new": f"{_GOODS} bridge house text.print.book",
        "old": f"{_GOODS} bridge house text.print.book wall fence tower",
        "dirty": "kitchen.dish cup pot clothes.body clothes.foot vehicle.road surface window towel blanket",
        "expensive": "clothes.body watch personal.jewel device vehicle.road.car wine instrument",
        "cheap": "clothes phone camera vehicle.cycle wine ticket umbrella plaything",
        "hot": "drink.hot soup milk",
        "cold": "drink.cold beer",
        "delicious": "food !onion !lemon !potato !cabbage",
        "fresh": "food.fruit food.vegetable bread egg milk juice beef",
        "heavy": "container.store suitcase furniture.table furniture.rest sofa stone",
        "wooden": "chair furniture.table furniture.rest container.store spoon plaything.figure ladder fence bridge",
    }.items()
}

# Where animals and vehicles can be; people can be anywhere that an action can take place.
HABITATS = {
    noun: frozenset(select(PLACES, places))
    for nouns, places in {
        "animal.pet": "outdoor.green outdoor.animal.farm city.road indoor !kitchen !bathroom !garage shore",
        "animal.farm": "outdoor.green.open outdoor.green.home under_tree outdoor.animal city.road shore",
        "animal.wild": "outdoor !yard !bench water.fresh",
        "squirrel mouse": "outdoor.green outdoor.animal",
        "animal.bird animal.insect animal.reptile": "outdoor !bench shore air",
        "duck goose": "outdoor.green outdoor.animal shore water.fresh air",
        "animal.water": "water !pool outdoor.animal.zoo",
        "vehicle": "city water !pool travel air",
    }.items()
    for noun in select(NOUNS, nouns)
}
