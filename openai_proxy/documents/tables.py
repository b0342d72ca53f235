"""The tables of documents.

Whose a collection is stands in `collection.owner`, which every query asks for: '' is everybody. Passages have their
vectors and words in tables of their own, so that one search reads no more than it needs. The words' column `shelf` says
whose they are: `c` and the number of the collection.
"""

VERSION = 1

TABLES = """
CREATE TABLE collection (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    created REAL NOT NULL,
    used REAL NOT NULL,
    model TEXT,
    metadata TEXT NOT NULL DEFAULT '{}',
    UNIQUE (owner, id)
);
CREATE TABLE document (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    collection INTEGER NOT NULL REFERENCES collection ON DELETE CASCADE,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    created REAL NOT NULL,
    beat REAL NOT NULL,
    turn TEXT NOT NULL,
    size INTEGER NOT NULL,
    state TEXT NOT NULL,
    media_type TEXT NOT NULL DEFAULT '',
    pages INTEGER NOT NULL DEFAULT 0,
    characters INTEGER NOT NULL DEFAULT 0,
    passages INTEGER NOT NULL DEFAULT 0,
    code TEXT NOT NULL DEFAULT '',
    problem TEXT NOT NULL DEFAULT '',
    attributes TEXT NOT NULL DEFAULT '{}',
    UNIQUE (collection, id)
);
CREATE INDEX document_by_owner ON document (owner);
CREATE TABLE passage (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    document INTEGER NOT NULL REFERENCES document ON DELETE CASCADE,
    page INTEGER NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX passage_by_document ON passage (document);
CREATE TABLE vector (
    passage INTEGER PRIMARY KEY REFERENCES passage ON DELETE CASCADE,
    collection INTEGER NOT NULL,
    vector BLOB NOT NULL
);
CREATE INDEX vector_by_collection ON vector (collection);
CREATE VIRTUAL TABLE words USING fts5 (
    text, shelf, content = '', contentless_delete = 1, tokenize = 'porter unicode61 remove_diacritics 2'
);
"""
