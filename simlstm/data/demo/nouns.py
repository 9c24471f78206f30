"""The people, animals and things that the demo corpus speaks of, as a tree."""

from simlstm.data.demo.taxonomy import parse_taxonomy, select

NOUNS = parse_taxonomy("""
people.adult.man: man
people.adult.woman: woman
people.adult.any: person
people.child.boy: boy
people.child.girl: girl
people.child.any: child
people.child.small: baby
people.child.big: teenager
people.family.parent: mother father
people.family.grandparent: grandmother grandfather
people.family.sibling: brother sister
people.school.learner: student
people.school.teacher: teacher professor
people.health.doctor: doctor nurse
people.safety.police: police_officer
people.safety.rescue: firefighter
people.safety.army: soldier
people.service.food: cook waiter
people.service.shop: seller customer
people.service.transport: driver pilot
people.hands.factory: worker mechanic
people.hands.wood: carpenter
people.hands.land: farmer gardener
people.art.music: singer musician
people.art.stage: dancer actor clown
people.art.picture: painter photographer
people.mind.science: engineer scientist
people.mind.computer: programmer
people.mind.word: writer journalist
people.mind.law: lawyer
people.sport.player: athlete
people.sport.coach: coach
people.social.friend: friend neighbor
people.social.guest: tourist
people.crime.thief: thief
animal.pet.dog: dog puppy
animal.pet.cat: cat kitten
animal.pet.rabbit: rabbit
animal.farm.horse: horse donkey
animal.farm.cow: cow
animal.farm.sheep: sheep goat
animal.farm.pig: pig
animal.farm.poultry: chicken duck goose
animal.wild.cat: lion tiger
animal.wild.bear: bear panda
animal.wild.wolf: wolf fox
animal.wild.large: elephant giraffe
animal.wild.hoof: deer zebra
animal.wild.ape: monkey
animal.wild.rodent: squirrel mouse
animal.bird.small: bird parrot
animal.bird.prey: eagle owl
animal.water.fish: fish shark
animal.water.mammal: dolphin whale
animal.reptile.shell: turtle
animal.reptile.snake: snake
animal.reptile.frog: frog
animal.insect.flying: butterfly bee
animal.insect.crawling: ant spider
vehicle.road.car: car taxi
vehicle.road.large: bus truck
vehicle.road.rescue: ambulance
vehicle.cycle.pedal: bicycle
vehicle.cycle.motor: motorcycle scooter
vehicle.rail.far: train
vehicle.rail.city: tram
vehicle.water.small: boat
vehicle.water.large: ship
vehicle.air.wing: plane
vehicle.air.rotor: helicopter
vehicle.field.farm: tractor
food.fruit.round: apple pear peach
food.fruit.long: banana
food.fruit.citrus: orange lemon
food.fruit.berry: strawberry
food.fruit.melon: watermelon
food.vegetable.red: tomato
food.vegetable.root: potato carrot onion
food.vegetable.green: cucumber cabbage
food.bakery.bread: bread
food.bakery.sweet: cake cookie
food.meal.fast: pizza sandwich hamburger
food.meal.bowl: noodles rice soup
food.meal.filled: dumpling
food.meal.cold: salad
food.protein.egg: egg
food.protein.dairy: cheese
food.protein.meat: beef
food.sweet.cold: ice_cream
food.sweet.dry: chocolate candy
drink.hot.brewed: coffee tea
drink.cold.plain: water
drink.cold.juice: juice
drink.cold.dairy: milk
drink.alcohol.brewed: beer wine
instrument.string.plucked: guitar
instrument.string.bowed: violin cello
instrument.keyboard.large: piano
instrument.wind.wood: flute
instrument.wind.brass: trumpet saxophone
instrument.percussion.skin: drum
game.ball.hand: basketball volleyball
game.ball.foot: football
game.ball.bat: baseball golf
game.ball.racket: tennis badminton table_tennis
game.table.board: chess
game.table.card: cards
clothes.body.top: shirt sweater
clothes.body.outer: coat
clothes.body.dress: dress skirt
clothes.head.soft: hat
clothes.head.hard: helmet
clothes.neck.cloth: scarf tie
clothes.foot.outer: shoes
clothes.foot.inner: socks
clothes.hand.cover: gloves
furniture.seat.one: chair
furniture.seat.many: sofa
furniture.table.any: table desk
furniture.rest.any: bed
furniture.store.any: cupboard
furniture.light.any: lamp
furniture.wall.any: mirror clock
kitchen.dish.flat: plate
kitchen.dish.deep: bowl
kitchen.drink.open: cup
kitchen.drink.closed: bottle
kitchen.cook.any: pot
kitchen.cutlery.sharp: knife
kitchen.cutlery.round: spoon
container.carry.hand: bag basket
container.carry.back: backpack
container.carry.travel: suitcase
container.store.any: box
text.print.book: book novel
text.print.periodical: newspaper magazine
text.mail.paper: letter
text.mail.screen: email
text.work.any: report article
text.art.any: poem story
media.sound.any: song music
media.moving.any: movie video
media.still.any: photo painting
device.talk.any: phone
device.compute.any: computer
device.record.any: camera
device.home.any: television radio
device.machine.any: machine robot
personal.wear.any: watch
personal.jewel.any: ring necklace
personal.rain.any: umbrella
personal.open.any: key
personal.money.any: wallet
personal.paper.any: ticket
personal.present.any: gift
tool.hit.any: hammer
tool.reach.any: ladder
tool.tie.any: rope
plaything.figure.any: doll toy
plaything.air.any: kite balloon
plaything.round.any: ball
plant.flower.any: flower rose
plant.tree.any: tree
structure.home.any: house
structure.cross.any: bridge
structure.high.any: tower
structure.border.any: wall fence
opening.wall.any: door window
opening.outside.any: gate
surface.ground.any: floor carpet
cloth.bed.any: blanket
cloth.bath.any: towel
nature.high.any: mountain
nature.hard.any: stone
""")

# Never counted, never with an article or attribute: people play basketball, not two basketballs.
UNCOUNTED = frozenset(select(NOUNS, "game music"))
# Always one: the uncounted, and who nobody has five of.
SINGLE = UNCOUNTED | frozenset(select(NOUNS, "people.family.parent people.family.grandparent"))
