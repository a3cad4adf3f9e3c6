//! A double-entry ledger and budgets on the event store: exact money for agents.
