"""English words and phrases for places, times, manners, attributes and numbers."""

from simlstm.data.demo.circumstances import ATTRIBUTES
from simlstm.data.demo.english_words import split_entries

PLACE_PHRASES = split_entries("""
room: in the room · sofa: on the sofa, on the couch · bed: on the bed · bench: on the bench, on a bench
under_tree: under the tree, under a tree
park: in the park, at the park · garden: in the garden · yard: in the yard, in the backyard
grass: on the grass, on the lawn · field: in the field, in the meadow · forest: in the forest, in the woods
mountains: in the mountains · farm: on the farm, at the farm · zoo: at the zoo, in the zoo
beach: on the beach, at the beach · riverside: by the river, beside the river · lakeside: by the lake, beside the lake
sea: in the sea, in the ocean · river: in the river · lake: in the lake · pool: in the pool, in the swimming pool
street: on the street, in the street · road: on the road · bridge: on the bridge
square: in the square, on the square · parking_lot: in the parking lot, in the car park · home: at home, in the house
kitchen: in the kitchen · living_room: in the living room, in the sitting room · bedroom: in the bedroom
bathroom: in the bathroom · garage: in the garage · school: at school, at the school · classroom: in the classroom
library: in the library, at the library · playground: on the playground, at the playground
museum: in the museum, at the museum · stage: on stage, on the stage · theater: in the theater, at the theater
cinema: at the cinema, at the movie theater · hospital: in the hospital, at the hospital
office: in the office, at the office · factory: in the factory, at the factory · workshop: in the workshop
gym: in the gym, at the gym · stadium: in the stadium, at the stadium
supermarket: in the supermarket, at the supermarket, at the grocery store · market: at the market, in the market
shop: in the shop, in the store · mall: at the mall, at the shopping center
bookstore: in the bookstore, at the bookshop · restaurant: in the restaurant, at the restaurant
cafe: in the café, in the coffee shop · hotel: in the hotel, at the hotel
train_station: at the train station, at the railway station · airport: at the airport · bus_stop: at the bus stop
sky: in the sky
""")

# An empty phrase says the time by the tense alone.
TIME_PHRASES = split_entries("""
now: , , , , , , right now, at the moment · past: · yesterday: yesterday · last_night: last night, yesterday evening
this_morning: this morning · last_week: last week · future: · tomorrow: tomorrow · tonight: tonight, this evening
next_week: next week · every_day: every day, each day · weekends: on weekends, at the weekend
""")

ADVERBS = split_entries("""
slowly: slowly, at a slow pace · quickly: quickly, rapidly, fast · happily: happily, joyfully, cheerfully
angrily: angrily, furiously · quietly: quietly, silently · loudly: loudly, noisily
carefully: carefully, cautiously, with care · gently: gently, softly · alone: alone
""")

_ADJECTIVES = split_entries("""
big: big, large · small: small, little · young: young, youthful · elderly: old, elderly, aged · tall: tall
happy: happy, cheerful · sad: sad, unhappy · angry: angry, furious · tired: tired, weary · hungry: hungry, starving
famous: famous, well-known · beautiful: beautiful, pretty, lovely · new: new, brand-new · old: old, worn
dirty: dirty, filthy · expensive: expensive, costly · cheap: cheap, inexpensive · hot: hot · cold: cold, chilled
delicious: delicious, tasty · fresh: fresh · heavy: heavy · wooden: wooden · red: red, crimson
""")
ADJECTIVES = {attribute: _ADJECTIVES.get(attribute, [attribute]) for attribute in ATTRIBUTES}

NUMBERS = dict(enumerate(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]))
