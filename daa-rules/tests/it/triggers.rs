//! Rules that are triggered, and do something.

mod bounds;
mod crashes;
mod language;
mod marks;
mod naive;
mod redaction;
mod runner;
mod world;
