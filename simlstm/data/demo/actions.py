"""What people, animals and vehicles do in the demo corpus, as a tree."""

from simlstm.data.demo.taxonomy import parse_taxonomy

ACTIONS = parse_taxonomy("""
body.food.eat: eat dine
body.food.try: taste
body.liquid.drink: drink
make.food.heat: cook bake
make.food.cut: cut peel
make.meal.any: make_dinner
care.clean.water: wash
care.clean.dry: clean
trade.money.get: buy
trade.money.give: sell
trade.crime.take: steal
trade.mail.give: send
trade.mail.get: receive
language.text.read: read
language.text.write: write
language.story.tell: tell
art.picture.paint: paint
art.music.voice: sing_song sing
art.music.instrument: play_instrument
art.stage.any: perform
art.dance.any: dance
play.game.ball: play_game
play.game.table: play_at_table
play.toy.any: play_with play
play.toy.air: fly_kite
sense.see.watch: watch
sense.see.look: look_at
sense.see.record: photograph
sense.hear.any: listen_to
travel.vehicle.ride: ride
travel.vehicle.drive: drive
travel.vehicle.go: roll sail
make.thing.build: build
make.thing.craft: make
make.thing.plan: design
work.repair.any: repair
work.tool.use: use
harm.thing.break: break
harm.body.hit: hit
harm.body.bite: bite
force.move.push: push
force.move.pull: pull
force.lift.carry: carry lift
force.throw.hand: throw
force.throw.foot: kick
force.hold.any: hold
hunt.get.any: catch
hunt.run.any: chase
hunt.run.calm: follow
love.touch.arms: hug
love.touch.lips: kiss
love.touch.hand: stroke
care.living.food: feed
care.living.aid: help
care.living.danger: rescue
care.living.health: examine
speak.teach.person: teach
speak.teach.animal: train
speak.judge.good: praise
speak.judge.bad: scold
speak.polite.thank: thank
speak.polite.greet: greet
speak.far.any: call phone
speak.ask.any: interview
stay.wait.any: wait_for wait
stay.wait.line: queue
social.visit.any: visit
change.open.any: open
change.shut.any: close
possess.find.any: find
possess.lose.any: lose
possess.search.any: look_for
possess.hide.any: hide
wear.any.any: wear
move.up.climb: climb
move.up.jump: jump
move.run.any: run jog
move.walk.any: walk stroll
move.walk.low: crawl
move.water.any: swim
move.water.under: dive
move.air.any: fly
move.air.start: take_off
move.air.end: land
move.down.any: fall
grow.start.any: plant
grow.care.any: water
grow.harvest.any: pick
rest.sleep.any: sleep
rest.awake.any: rest
posture.low.sit: sit
posture.low.lie: lie
posture.high.stand: stand
feel.sad.any: cry
feel.glad.loud: laugh
feel.glad.still: smile
voice.loud.person: shout
voice.loud.dog: bark
voice.talk.any: talk
voice.quarrel.any: argue
job.work.any: work
job.learn.any: study
sport.train.any: exercise
sport.snow.any: ski
sport.ice.any: skate
sport.wave.any: surf
leisure.water.any: go_fishing
leisure.tent.any: camp
leisure.shop.any: go_shopping
hand.greet.any: wave
hand.praise.any: clap
""")
