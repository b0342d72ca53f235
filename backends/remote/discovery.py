"""The models that upstreams list: under which names they are served, and which upstreams have each."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping, Sequence
from itertools import islice

from msgspec import Struct, structs

from backends import Model
from backends.remote.listing import Listed, kinds_at, lacking, narrowest
from backends.remote.options import Options
from backends.remote.upstream import Upstream
from backends.via import NAME

LONGEST = 200  # characters of a name
MOST = 10_000  # names of one table
LONGEST_PATH = 10  # servers of our kind, as for requests


class Found(Struct, frozen=True):
    """A model as the upstreams call it, `theirs`, and those upstreams that list it."""

    model: Model
    theirs: str
    upstreams: tuple[Upstream, ...]


class Discovery:
    """What there is by the names that clients use: `found`, and of that the `models` alone.

    An upstream has what it listed last: it may be down for a while, and comes back with the same. `model` is what is
    known of each of them beside its context and, where a listing tells them, its kinds; what takes none that are served
    is left out.
    """

    def __init__(self, options: Options, model: Model) -> None:
        self.found: Mapping[str, Found] = {}
        self.models: Mapping[str, Model] = {}
        self._model = model
        self._prefix = options.prefix
        self._wanted = re.compile("|".join(map(fnmatch.translate, options.patterns)))
        self._listings: dict[int, Mapping[str, Listed]] = {}

    def take(self, upstreams: Sequence[Upstream], index: int, listing: Mapping[str, Listed]) -> bool:
        """The upstream of that index lists this now. True when another set of models follows from it."""
        if self._listings.get(index) == listing:
            return False
        self._listings[index] = listing
        holders: dict[str, list[Upstream]] = {}
        for upstream in upstreams:
            for theirs, entry in self._listings.get(upstream.index, {}).items():
                if self._serves(theirs) and not _comes_from_us(entry):
                    holders.setdefault(theirs, []).append(upstream)
        some = [self._found(theirs, holders[theirs]) for theirs in islice(holders, MOST)]
        self.found = {self._prefix + found.theirs: found for found in some if self._takes(found.model)}
        models = {name: found.model for name, found in self.found.items()}
        same = models == self.models
        self.models = models
        return not same

    def _serves(self, theirs: str) -> bool:
        name = self._prefix + theirs
        if self._prefix and theirs.startswith(self._prefix):
            return False  # two servers that list one another would find ever longer names
        shown = name.isprintable() and name == name.strip() and theirs != "" and len(name) <= LONGEST
        return shown and self._wanted.match(theirs) is not None

    def _takes(self, model: Model) -> bool:
        """Whether there is anything to ask it for: counting tokens is nothing by itself, if we serve more than that."""
        return bool(model.kinds - {"tokenize"}) or (bool(model.kinds) and self._model.kinds == {"tokenize"})

    def _found(self, theirs: str, upstreams: Sequence[Upstream]) -> Found:
        listings = [self._listings[each.index] for each in upstreams]
        told = kinds_at(theirs, listings)
        model = structs.replace(
            self._model,
            context=narrowest(theirs, listings),
            parameters=self._model.parameters - lacking(listing[theirs] for listing in listings),
            kinds=self._model.kinds if told is None else self._model.kinds & told,
            via=min((listing[theirs].path for listing in listings), key=len),
        )
        return Found(model, theirs, tuple(upstreams))


def _comes_from_us(entry: Listed) -> bool:
    """Whether that server knows the model by way of this one, or of ever more.

    Servers that list one another would else keep a name alive that nobody has any more, each because the other one
    lists it. A path that is told with each name is how BGP keeps routes from going in circles (RFC 4271, section 9).
    """
    return NAME in entry.path or len(entry.path) > LONGEST_PATH
