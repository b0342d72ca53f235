"""Five documents about what was never there, and thirty questions that only they answer."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from tests.documents.printing import printed

SHELF = Path(__file__).parent / "shelf"
LIGHT, BEETLE, WAR = "harrow-skerry.md", "vellum-beetle.html", "salt-war.txt"
TRAM, LAKE = "quillon-tram.pdf", "corvina-expedition.pdf"
NAMES = (LIGHT, BEETLE, WAR, TRAM, LAKE)


class Question(NamedTuple):
    """What is asked, and words of the one place that answers it."""

    text: str
    document: str
    answer: str


QUESTIONS = (
    Question("How often does the lamp clockwork need winding?", LIGHT, "every 55 minutes"),
    Question("Which landmark shows a keeper that there is fog?", LIGHT, "Maiden's Tooth"),
    Question("What must be done when the drinking water tastes salty?", LIGHT, "turn the brass cock to SEA"),
    Question("How do the keepers ask for a doctor when the radio does not work?", LIGHT, "send the doctor"),
    Question("Where is the key to the morphine?", LIGHT, "around the neck of the principal keeper"),
    Question("Who is the Provost and may one feed him?", LIGHT, "hauled out on the boat landing"),
    Question("Who first described the vellum beetle?", BEETLE, "Ansgar Tolvig"),
    Question("What do the larvae of the beetle feed on?", BEETLE, "nothing but the lichen"),
    Question("How does the insect survive freezing temperatures in winter?", BEETLE, "alcohol similar to"),
    Question("Which parasite destroys the eggs of the beetle?", BEETLE, "Telenoxys minor"),
    Question("Why should mothballs not be used against beetles in a library?", BEETLE, "Naphthalene must not be used"),
    Question("What is the fine for collecting a protected beetle?", BEETLE, "900 crowns"),
    Question("Why did the old duchess hate Duke Rainard?", WAR, "Ysolde died of marsh fever"),
    Question("How was salt brought over the mountains when the river was blocked?", WAR, "eight hundred goats"),
    Question("Which officer was promoted after the battle in the fog?", WAR, "Hesper Doon"),
    Question("How many cartloads of wood did a barrel of salt cost after the peace?", WAR, "five cartloads for ever"),
    Question("What did the secret article of the treaty say?", WAR, "pay his mother a pension"),
    Question("Why did the salt pans go out of use?", WAR, "rock salt was found near Brack"),
    Question("How steep is the steepest part of the tram line?", TRAM, "24 in a hundred"),
    Question("What should the driver do if the green lamp stays dark before the rack?", TRAM, "stop at once"),
    Question("How thin may brake shoes become before they are replaced?", TRAM, "less than 9 millimetres"),
    Question("How is snow removed from the rack if salt is forbidden?", TRAM, "cleared by steam"),
    Question("The car jerks every three seconds; which part is broken?", TRAM, "the front cog wheel"),
    Question("Does a musician have to pay for a cello on the tram?", TRAM, "ticket at half price"),
    Question("How deep below the ice is the lake?", LAKE, "1 240 metres of ice"),
    Question("What did the expedition run out of before anything else?", LAKE, "not food but spoons"),
    Question("How was the hole in the ice made and how wide was it?", LAKE, "melted, not cut"),
    Question("How old is the water of Lake Ondra?", LAKE, "38 000 years"),
    Question("Why is one end of the lake warmer?", LAKE, "magma chamber"),
    Question("What caused the headaches in September?", LAKE, "blocked exhaust flue"),
)


def data(name: str) -> bytes:
    """A document as it is handed in."""
    if name.endswith(".pdf"):
        return printed((SHELF / name.replace(".pdf", ".txt")).read_text())
    return (SHELF / name).read_bytes()


def answers(text: str, question: Question) -> bool:
    """Whether a passage has what is asked for."""
    return question.answer in " ".join(text.split())
