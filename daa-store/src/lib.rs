//! The contracts of DAA on real engines: SQLite and a local artefact folder.
