"""Sentences of `tts.data.words`: settings in which something is counted, and what happens to it.

A story is an opening, at most two events, and a question. An opening gives a number, `{a}`, or one
that takes an operation, `{a}` and `{b}`; an event does an operation with the number so far and
`{n}`; an end is an event with a question of its own. Every opening of a setting goes with every
event and every question of it.
"""

from __future__ import annotations

from collections.abc import Mapping
import dataclasses

Texts = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Setting:
  """What may be said where one kind of thing is counted.

  Attributes:
    given: openings with the number alone.
    opens: operation (`+`, `-`, `*`) --> openings that take it.
    events: operation --> events.
    asks: questions right behind an opening.
    asks_after: questions behind events.
    ends: operation (`/`) --> events with a question.
    fills: what stands for `{things}`, with `{place}` where there is one.
  """

  given: Texts
  opens: Mapping[str, Texts]
  events: Mapping[str, Texts]
  asks: Texts
  asks_after: Texts
  ends: Mapping[str, Texts] = dataclasses.field(default_factory=dict)
  fills: tuple[tuple[str, str], ...] = (('', ''),)


NAMES = tuple((name, 'she') for name in (
    'Anna', 'Bella', 'Clara', 'Dana', 'Emma', 'Fiona', 'Grace', 'Hannah', 'Ivy', 'Julia', 'Kate',
    'Lily', 'Maria', 'Nina', 'Olivia', 'Paula', 'Rosa', 'Sara', 'Tina', 'Zoe')) + tuple(
        (name, 'he') for name in (
            'Adam', 'Ben', 'Carlos', 'David', 'Eric', 'Felix', 'George', 'Henry', 'Ivan', 'Jack',
            'Kevin', 'Leo', 'Mark', 'Noah', 'Oscar', 'Peter', 'Robert', 'Sam', 'Tom', 'Victor'))
PRONOUNS = {'she': {'he': 'she', 'him': 'her', 'his': 'her'},
            'he': {'he': 'he', 'him': 'him', 'his': 'his'}}
BOXES = (('box', 'boxes'), ('bag', 'bags'), ('basket', 'baskets'), ('jar', 'jars'),
         ('drawer', 'drawers'), ('tray', 'trays'), ('case', 'cases'), ('bowl', 'bowls'))
VEHICLES = ('bus', 'train', 'ferry', 'tram', 'boat')
_OWNED = ('apples', 'badges', 'balls', 'beads', 'books', 'buttons', 'candles', 'candies', 'cards',
          'coins', 'cookies', 'crayons', 'cups', 'dolls', 'eggs', 'feathers', 'keys', 'lemons',
          'magnets', 'marbles', 'nuts', 'oranges', 'peaches', 'pears', 'pencils', 'pens', 'photos',
          'plums', 'postcards', 'ribbons', 'rings', 'shells', 'stamps', 'stickers', 'toys')

_THINGS = Setting(
    given=('{name} has {a} {things}.',
           '{name} starts the day with {a} {things}.',
           '{name} counts {a} {things} in {his} room.',
           '{name} keeps {a} {things} on a shelf.',
           'For {his} birthday {name} gets {a} {things}.'),
    opens={
        '+': ('{name} has {a} red {things} and {b} blue ones.',
              '{name} buys {a} {things} on Monday and {b} on Tuesday.',
              '{friend} has {a} {things}, and {name} has {b} more than {friend}.',
              '{name} finds {a} {things} in one {box} and {b} in another.'),
        '-': ('{friend} has {a} {things}, and {name} has {b} fewer than {friend}.',
              '{name} had {a} {things} and lost {b} of them.',
              'Of {a} {things}, {b} belong to {friend} and the others to {name}.'),
        '*': ('{name} has {a} {boxes} with {b} {things} in each {box}.',
              '{friend} has {a} {things}, and {name} has {b} times as many.',
              '{name} fills {a} {boxes} and puts {b} {things} into each {box}.',
              'Every day for {a} days, {name} gets {b} {things}.',
              '{name} buys {a} packs of {b} {things} each.',
              '{a} friends bring {name} {b} {things} each.',
              'For {a} days {name} makes {b} {things} a day.')},
    events={
        '+': ('{He} buys {n} more {things}.', '{friend} gives {him} {n} more.',
              'Then {he} finds another {n} {things}.', '{His} uncle brings {him} {n} {things}.',
              'In the evening {he} gets {n} more.'),
        '-': ('{He} gives {n} of them to {friend}.', '{He} loses {n} of them.',
              'Then {he} sells {n} {things}.', '{friend} takes {n} of the {things}.',
              'Later {he} throws {n} of them away.')},
    asks=('How many {things} does {name} have?', 'How many {things} does {name} have altogether?',
          'What is the number of {things} that {name} has?'),
    asks_after=('How many {things} does {name} have now?',
                'How many {things} does {name} have at the end?',
                'What is the number of {things} that {name} has then?'),
    ends={'/': (
        '{He} shares {his} {things} equally among {n} friends. How many {things} does each friend '
        'get?',
        '{He} puts {his} {things} into {n} {boxes}, the same number into each. How many {things} '
        'are in one {box}?',
        '{He} packs all {his} {things}, {n} of them into every {box}. How many {boxes} does {he} '
        'fill?')},
    fills=tuple((things, '') for things in _OWNED))

_RIDE = Setting(
    given=('A {vehicle} leaves with {a} people on board.', 'There are {a} people on a {vehicle}.',
           '{a} people are waiting for a {vehicle}, and all of them get on.'),
    opens={'+': ('A {vehicle} has {a} children and {b} adults on board.',
                 '{a} men and {b} women get on an empty {vehicle}.'),
           '-': ('Of the {a} seats on a {vehicle} all but {b} are taken, one by each person.',
                 '{a} people want to take a {vehicle}, but {b} of them come too late.'),
           '*': ('{a} families of {b} people each get on an empty {vehicle}.',
                 'A {vehicle} has {a} rows with {b} people in each row.',
                 '{a} groups of {b} people get on an empty {vehicle}.')},
    events={'+': ('At the next stop {n} people get on.', 'Then {n} more people come on board.',
                  'At the market another {n} people get on.'),
            '-': ('At the next stop {n} people get off.', 'Then {n} of the people leave.',
                  'At the station {n} people get off.')},
    asks=('How many people are on the {vehicle}?', 'How many people does the {vehicle} carry?'),
    asks_after=('How many people are on the {vehicle} now?',
                'How many people are on the {vehicle} after that?'))

_MONEY = Setting(
    given=('{name} has {a} dollars.', 'There are {a} dollars in {name}\'s purse.',
           '{name} has saved {a} dollars.'),
    opens={'+': ('{name} earns {a} dollars on Friday and {b} dollars on Saturday.',
                 '{name} has {a} dollars at home and {b} dollars in {his} pocket.'),
           '-': ('{name} had {a} dollars and spent {b} of them.',
                 '{name} earns {a} dollars and gives {b} of them to {friend}.'),
           '*': ('{name} works for {a} hours and earns {b} dollars an hour.',
                 '{name} saves {b} dollars a week for {a} weeks.',
                 '{name} sells {a} {things} for {b} dollars each.',
                 '{a} people give {name} {b} dollars each.')},
    events={'+': ('{friend} pays {him} {n} dollars.', '{His} aunt gives {him} {n} more dollars.',
                  'Then {he} earns another {n} dollars.', 'On the street {he} finds {n} dollars.'),
            '-': ('{He} spends {n} dollars on a book.', '{He} pays {n} dollars for lunch.',
                  'Then {he} lends {n} dollars to {friend}.', 'A ticket costs {him} {n} dollars.')},
    asks=('How many dollars does {name} have?', 'How much money is that, in dollars?'),
    asks_after=('How many dollars does {name} have now?',
                'How many dollars does {name} have left?'),
    ends={'/': (
        '{He} shares the money equally among {n} children. How many dollars does each child get?',
        '{He} spends all of it on tickets for {n} dollars each. How many tickets does {he} buy?')},
    fills=tuple((things, '') for things in ('cakes', 'drawings', 'flowers', 'lamps', 'pies')))

_PLACE = Setting(
    given=('There are {a} {things} {place}.', 'In the morning {name} sees {a} {things} {place}.'),
    opens={'+': ('There are {a} {things} {place} in the morning, and {b} more come at noon.',
                 '{a} {things} are {place}, and then {b} more come.'),
           '-': ('There were {a} {things} {place}, but {b} of them have left.',),
           '*': ('There are {a} groups of {b} {things} {place}.',
                 '{a} times {b} {things} come, and all of them stay {place}.')},
    events={'+': ('Then {n} more {things} come.', 'Soon another {n} arrive.',
                  '{n} more join them.'),
            '-': ('Then {n} of them leave.', 'After a while {n} {things} go away.',
                  'When it rains, {n} of the {things} leave.')},
    asks=('How many {things} are there?', 'What is the number of {things}?'),
    asks_after=('How many {things} are there now?', 'What is the number of {things} now?'),
    fills=(('birds', 'in a tree'), ('ducks', 'on a pond'), ('cows', 'in a field'),
           ('children', 'in a park'), ('cars', 'on a street'), ('boats', 'in a harbor'),
           ('people', 'in a hall'), ('cats', 'on a roof'), ('bees', 'on a flower bed'),
           ('horses', 'on a farm'), ('geese', 'by a lake'), ('dogs', 'on a beach')))

_SHOP = Setting(
    given=('A shop has {a} {things}.', 'A baker makes {a} {things}.',
           'There are {a} {things} on the counter of a shop.'),
    opens={'+': ('A shop has {a} small {things} and {b} large ones.',
                 'A baker makes {a} {things} before noon and {b} after it.'),
           '-': ('A shop had {a} {things} and has sold {b} of them.',),
           '*': ('A baker fills {a} trays with {b} {things} each.',
                 'A shop gets {a} boxes of {b} {things} each.',
                 'For {a} hours a baker makes {b} {things} an hour.')},
    events={'+': ('Then {n} more are made.', 'A van brings another {n} {things}.',
                  '{n} more {things} come from the kitchen.'),
            '-': ('A customer buys {n} of them.', 'Then {n} {things} are sold.',
                  '{n} of them fall on the floor and are thrown away.')},
    asks=('How many {things} are there?', 'How many {things} are on sale?'),
    asks_after=('How many {things} are there now?', 'How many {things} are on sale now?'),
    ends={'/': (
        'They are packed into bags of {n}. How many bags are there?',
        'They are put on {n} plates, the same number on each. How many {things} are on a plate?')},
    fills=tuple((things, '') for things in (
        'rolls', 'buns', 'cakes', 'muffins', 'pies', 'cookies', 'loaves', 'tarts', 'waffles')))

_GARDEN = Setting(
    given=('A garden has {a} {things}.', '{name} plants {a} {things} in {his} garden.'),
    opens={'+': ('{name} plants {a} {things} by the gate and {b} by the wall.',
                 'A garden has {a} white {things} and {b} yellow ones.'),
           '-': ('{name} planted {a} {things}, but {b} of them did not grow.',),
           '*': ('{name} plants {a} rows of {b} {things}.',
                 'A garden has {a} beds with {b} {things} in each.')},
    events={'+': ('A week later {n} more are planted.', 'In May {n} more {things} come up.'),
            '-': ('A storm breaks {n} of them.', 'Then {n} of the {things} are cut.',
                  'A goat eats {n} of them.')},
    asks=('How many {things} are there?', 'How many {things} grow in the garden?'),
    asks_after=('How many {things} are there now?', 'How many {things} grow in the garden now?'),
    fills=tuple((things, '') for things in (
        'roses', 'tulips', 'lilies', 'daisies', 'bushes', 'cabbages', 'sunflowers', 'pumpkins')))

_GAME = Setting(
    given=('{name} scores {a} points in the first round of a game.',
           'In a game {name} has {a} points.'),
    opens={'+': ('{name} scores {a} points in the first half of a game and {b} in the second.',
                 'In a game {friend} has {a} points, and {name} has {b} more than {friend}.'),
           '-': ('In a game {friend} has {a} points, and {name} has {b} fewer than {friend}.',),
           '*': ('{name} wins {a} rounds of a game and gets {b} points for each.',
                 'In {a} rounds of a game {name} scores {b} points each time.',
                 'In a game {friend} has {a} points, and {name} has {b} times as many.')},
    events={'+': ('In the next round {he} scores {n} points.', 'A bonus gives {him} {n} points.'),
            '-': ('In the next round {he} loses {n} points.', 'A mistake costs {him} {n} points.')},
    asks=('How many points does {name} have?', 'What is the score of {name}, in points?'),
    asks_after=('How many points does {name} have now?', 'What is the score of {name} then?'))

_BOOK = Setting(
    given=('{name} has a book of {a} pages to read.', '{name} has {a} pages of homework to read.'),
    opens={'+': ('{name} has {a} pages to read for one class and {b} for another.',),
           '-': ('Of a book of {a} pages {name} has read {b}.',),
           '*': ('{name} has {a} chapters of {b} pages each to read.',
                 'For {a} days {name} has {b} pages a day to read.')},
    events={'+': ('The teacher adds {n} more pages.', 'Then {he} gets {n} more pages to read.'),
            '-': ('On Sunday {he} reads {n} pages.', 'On the train {he} reads {n} of them.',
                  'Before bed {he} reads {n} pages.')},
    asks=('How many pages are left to read?', 'How many pages does {name} still have to read?'),
    asks_after=('How many pages are left to read?', 'How many pages does {he} still have to read?'),
    ends={'/': (
        '{He} reads {n} pages a day. How many days does {he} need?',
        '{He} reads them in {n} days, the same number each day. How many pages is that a day?')})

SETTINGS = {'things': _THINGS, 'ride': _RIDE, 'money': _MONEY, 'place': _PLACE, 'shop': _SHOP,
            'garden': _GARDEN, 'game': _GAME, 'book': _BOOK}
